"""Scores of answers that are spans of a text: exact match and F1, by SQuAD's rules and by KorQuAD's."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import DataError, nearest

ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRules:
    """How a text is made simple before it is compared, and what F1 counts."""

    blanks: str  # characters that become a space, before all else
    articles: bool  # whether a, an and the are passed over
    characters: bool  # whether F1 counts characters other than spaces; words if not
    empty_is_answer: bool  # whether an empty text agrees with an empty one in F1


# In both rules texts are lowered, ASCII punctuation is taken away and white space is made one space.
RULES = {
    # the evaluation script of SQuAD 2.0 (Rajpurkar et al., 2018), which for questions with answers is that of 1.1
    "squad": SpanRules(blanks="", articles=True, characters=False, empty_is_answer=True),
    # the evaluation script of KorQuAD 1.0 (Lim et al., 2019, arXiv:1909.07005): F1 of characters, articles stay
    "korquad": SpanRules(blanks="'\"《》<>〈〉()‘’", articles=False, characters=True, empty_is_answer=False),
}


def normalize(text: str, rules: SpanRules) -> str:
    """Make a text simple before it is compared.

    >>> normalize("The Rhine,  in Köln!", RULES["squad"])
    'rhine in köln'
    >>> normalize("《The 한강》(漢江)", RULES["korquad"])
    'the 한강 漢江'
    """
    text = text.translate(dict.fromkeys(map(ord, rules.blanks), " ")).lower()
    text = text.translate(dict.fromkeys(map(ord, string.punctuation)))
    return " ".join((ARTICLES.sub(" ", text) if rules.articles else text).split())


def span_f1(predicted: str, true: str, rules: SpanRules) -> float:
    """Return the F1 of what two texts have in common: words, or characters.

    >>> round(span_f1("the river Rhine", "Rhine", RULES["squad"]), 4)
    0.6667
    >>> round(span_f1("한강은", "한강", RULES["korquad"]), 4)
    0.8
    """
    a, b = (normalize(text, rules) for text in (predicted, true))
    if rules.empty_is_answer and not (a and b):
        return float(a == b)
    ours, theirs = (Counter("".join(side.split()) if rules.characters else side.split()) for side in (a, b))
    return 2 * (ours & theirs).total() / max(ours.total() + theirs.total(), 1)


def score_spans(
    predicted: Sequence[str], answers: Sequence[Sequence[str]], *, rules: str = "squad"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score N predicted answers, each against the answers that are right; the best counts.

    Returns the exact matches and the F1, 0 to 1 each, both (N,).
    A question with no right answer has the empty text as its answer. `rules` is squad or korquad.

    Raises: DataError for no answers, different counts or other rules.

    >>> exact, f1 = score_spans(["The Rhine", ""], [["Rhine", "river Rhine"], []])
    >>> exact.tolist()
    [1.0, 1.0]
    """
    if rules not in RULES:
        raise DataError(
            f"the rules {rules!r} were asked of span scores; there are {', '.join(RULES)}; name one"
            f"{nearest(rules, RULES)}"
        )
    if len(predicted) != len(answers) or not len(answers):
        raise DataError(
            f"span scores take an answer for every question; found {len(predicted)} for {len(answers)}; match them"
        )
    how = RULES[rules]
    exact, scores = [], []
    for text, right in zip(predicted, answers, strict=True):
        accepted = [answer for answer in right if normalize(answer, how)] or [""]
        exact.append(max(normalize(text, how) == normalize(answer, how) for answer in accepted))
        scores.append(max(span_f1(text, answer, how) for answer in accepted))
    return np.asarray(exact, np.float64), np.asarray(scores, np.float64)
