"""Answers that are spans of a context: windows over long contexts, and the best spans of their logits.

Devlin et al. 2018, sections 4.2 and 4.3, and what google-research/bert's run_squad.py does beyond the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import FloatArray
from wellread.errors import InputError
from wellread.tasks.characters import Located, locate
from wellread.tasks.classes import softmax
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer

MAX_QUESTION = 64  # pieces; longer questions are cut
MAX_STRIDE = 128  # pieces from one window to the next, where none is given
N_BEST = 20  # spans of a question that share the probability


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings:
    """How answers are looked for."""

    top_k: int = 1  # answers a question
    max_answer_length: int = 30  # in pieces
    null_threshold: float | None = None  # the best span must beat "no answer" by more; none: always answer
    stride: int | None = None  # pieces from one window to the next; none: half a window, MAX_STRIDE at most

    def __post_init__(self) -> None:
        """Refuse numbers that allow no answer."""
        low = {"top_k": self.top_k, "max_answer_length": self.max_answer_length, "stride": self.stride}
        bad = [f"{name} {value}" for name, value in low.items() if value is not None and value < 1]
        if bad or self.top_k > N_BEST:
            raise InputError(
                f"answers take numbers of 1 or more, top_k up to {N_BEST}; found {', '.join(bad) or self.top_k}; "
                "change them"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAnswer:
    """An answer to a question; without text where the context is said to hold none."""

    text: str
    start: int  # its first character in the context
    end: int  # the character behind its last
    score: float  # its share among the question's best spans, 0 to 1
    others: tuple[FoundAnswer, ...] = ()  # the next best, where more than one was asked for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """W windows [CLS] question [SEP] part of the context [SEP] over N questions, those of a question together."""

    contexts: Located  # [N]
    questions: Ragged  # [W]
    parts: Ragged  # [W]
    source: NDArray[np.int64]  # [W], the question of each window
    offsets: NDArray[np.int64]  # [W], the part's first piece among those of its context
    first: NDArray[np.int64]  # [W], the column where the part begins in its window
    truncated: NDArray[np.int64]  # [N], pieces of the question that were cut

    def of(self, row: int) -> range:
        """Return the windows of a question."""
        return range(*np.searchsorted(self.source, [row, row + 1]).tolist())


def windows(
    tokenizer: Tokenizer,
    questions: Sequence[str],
    contexts: Sequence[str],
    *,
    max_seq_length: int,
    stride: int | None = None,
) -> Windows:
    """Put N questions and their contexts into windows of at most `max_seq_length` tokens.

    Parts of a context begin `stride` pieces apart, or as many as a window holds if that is less: none is left out.

    Raises: InputError for different counts, or windows without room for a piece of each.
    """
    if len(questions) != len(contexts):
        raise InputError(f"a context for each of {len(questions)} questions was asked; found {len(contexts)}; match")
    special = tokenizer.template.overhead(2)
    if max_seq_length < special + 2:
        raise InputError(
            f"a window needs {special + 2} tokens, for a piece of each text; found {max_seq_length}; raise it"
        )
    asked = tokenizer.tokenize(questions)
    kept = np.minimum(asked.lengths, min(MAX_QUESTION, (max_seq_length - special) // 2))
    located = locate(tokenizer, contexts)
    room = max_seq_length - special - kept
    steps = np.minimum(room, np.minimum(MAX_STRIDE, (room + 1) // 2) if stride is None else stride)
    count = 1 + np.maximum(0, -(-(located.tokens.lengths - room) // steps))
    source = np.repeat(np.arange(len(kept)), count)
    offsets = (np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)) * steps[source]
    return Windows(
        contexts=located,
        questions=Ragged.from_rows([asked[row][: kept[row]] for row in source.tolist()]),
        parts=Ragged.from_rows(
            [
                located.tokens[row][at : at + room[row]]
                for row, at in zip(source.tolist(), offsets.tolist(), strict=True)
            ]
        ),
        source=source,
        offsets=offsets,
        first=tokenizer.template.second_column(kept[source]),
        truncated=asked.lengths - kept,
    )


def span_positions(found: Windows, starts: NDArray[np.integer], limits: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return where an answer begins and ends in every window, int64 [W, 2]: its first and its last piece.

    `starts` and `limits` [N] are the characters of each question's answer, limit 0 where it has none. Windows that do
    not hold the whole answer have 0 twice: [CLS].
    """
    made = np.zeros((len(found.source), 2), np.int64)
    spans = [
        _pieces_of(found.contexts, row, int(a), int(b)) for row, (a, b) in enumerate(zip(starts, limits, strict=True))
    ]
    for window, row in enumerate(found.source.tolist()):
        span, offset = spans[row], found.offsets[window]
        if span is not None and span[0] >= offset and span[1] < offset + found.parts.lengths[window]:
            made[window] = np.asarray(span) - offset + found.first[window]
    return made


def _pieces_of(contexts: Located, row: int, start: int, limit: int) -> tuple[int, int] | None:
    """Return the first and the last piece that hold characters of a span; none if no piece does."""
    inside = np.flatnonzero((contexts.limits[row] > start) & (contexts.starts[row] < limit))
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


def read_answer(found: Windows, row: int, logits: Sequence[FloatArray], settings: AnswerSettings) -> FoundAnswer:
    """Read the answer to a question from the logits [T, 2] of its windows, in their order.

    A span's score is the sum of its first piece's begin logit and its last piece's end logit; the best over all windows
    wins. A piece that stands in several windows may begin an answer where it has the most context around it. The empty
    answer takes part where `null_threshold` is given, with the lowest score of [CLS] in any window, and the threshold.
    """
    at = found.of(row)
    owner = _owners(found.offsets[at], found.parts.lengths[at], int(found.contexts.tokens.lengths[row]))
    values: dict[tuple[int, int], float] = {}
    for number, window in enumerate(at):
        part = logits[number][found.first[window] :][: found.parts.lengths[window]].astype(np.float64)
        offset = int(found.offsets[window])
        part[owner[offset : offset + len(part)] != number, 0] = -np.inf
        values |= _best_spans(part, _characters(found.contexts, row, offset, len(part)), settings.max_answer_length)
    if settings.null_threshold is not None or not values:
        values[0, 0] = min(float(own[0].sum()) for own in logits) + (settings.null_threshold or 0.0)
    best = sorted(values, key=lambda span: (-values[span], span))[:N_BEST]
    chances = softmax(np.asarray([values[span] for span in best])).tolist()
    told = [
        FoundAnswer(text=found.contexts.texts[row][start:end], start=start, end=end, score=chance)
        for (start, end), chance in zip(best[: settings.top_k], chances, strict=False)
    ]
    return replace(told[0], others=tuple(told[1:]))


def _owners(offsets: NDArray[np.int64], lengths: NDArray[np.int64], pieces: int) -> NDArray[np.int64]:
    """Return, of each piece of a context, the window that has the most context around it: [pieces]."""
    places = np.arange(pieces)
    before = places - offsets[:, None]
    behind = lengths[:, None] - 1 - before
    return np.asarray((np.minimum(before, behind) + 0.01 * lengths[:, None]).argmax(0))


def _characters(contexts: Located, row: int, offset: int, count: int) -> NDArray[np.int32]:
    """Return where `count` pieces of a context from `offset` on begin and end: [count, 2]."""
    return np.stack([side[row][offset : offset + count] for side in (contexts.starts, contexts.limits)], axis=1)


def _best_spans(logits: FloatArray, characters: NDArray[np.int32], longest: int) -> dict[tuple[int, int], float]:
    """Score the spans of C pieces, at most `longest` each, by logits [C, 2]; return the N_BEST, by characters."""
    if not len(logits):
        return {}
    blank = characters[:, 0] == characters[:, 1]  # no answer begins or ends there
    logits = np.where(blank[:, None], -np.inf, logits)
    ends = np.append(logits[:, 1], np.full(longest, -np.inf))
    scores = logits[:, :1] + np.lib.stride_tricks.sliding_window_view(ends, longest)[:-1]  # [C, longest]
    best = np.argpartition(-scores, min(N_BEST, scores.size) - 1, axis=None)[:N_BEST]
    made: dict[tuple[int, int], float] = {}
    for begin, more in zip(*(axis.tolist() for axis in np.unravel_index(best, scores.shape)), strict=True):
        if np.isfinite(value := float(scores[begin, more])):
            span = (int(characters[begin, 0]), int(characters[begin + more, 1]))
            made[span] = max(value, made.get(span, value))
    return made
