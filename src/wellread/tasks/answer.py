"""Answers that are spans of a context: windows over long contexts, and the best spans of their logits.

Devlin et al. 2018, sections 4.2 and 4.3, and what google-research/bert's run_squad.py does beyond the paper.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import FloatArray
from wellread.config import HeadConfig
from wellread.data.examples import Examples
from wellread.data.tables import at
from wellread.dataclass import dataclass
from wellread.encode import logits_of
from wellread.errors import DataError, InputError, TruncationWarning
from wellread.metrics.spans import score_spans
from wellread.tasks.characters import Located, locate
from wellread.tasks.classify import softmax
from wellread.tasks.task import Advance, Inputs, Predictions, Predictor, Scores, Scoring, Targets, Task, needed
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
        counts = {"top_k": self.top_k, "max_answer_length": self.max_answer_length, "stride": self.stride}
        bad = [f"{name} {value}" for name, value in counts.items() if value is not None and value < 1]
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

    def __str__(self) -> str:
        return "\n".join(f"{answer.text}\t{answer.score:.4f}" for answer in (self, *self.others))


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
    tokens = tokenizer.tokenize(questions)
    lengths = np.minimum(tokens.lengths, min(MAX_QUESTION, (max_seq_length - special) // 2))
    located = locate(tokenizer, contexts)
    room = max_seq_length - special - lengths
    steps = np.minimum(room, np.minimum(MAX_STRIDE, (room + 1) // 2) if stride is None else stride)
    count = 1 + np.maximum(0, -(-(located.tokens.lengths - room) // steps))
    source = np.repeat(np.arange(len(lengths)), count)
    offsets = (np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)) * steps[source]
    return Windows(
        contexts=located,
        questions=Ragged.from_rows([tokens[row][: lengths[row]] for row in source.tolist()]),
        parts=Ragged.from_rows(
            [
                located.tokens[row][at : at + room[row]]
                for row, at in zip(source.tolist(), offsets.tolist(), strict=True)
            ]
        ),
        source=source,
        offsets=offsets,
        first=tokenizer.template.second_column(lengths[source]),
        truncated=tokens.lengths - lengths,
    )


def span_positions(parts: Windows, starts: NDArray[np.integer], limits: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return where an answer begins and ends in every window, int64 [W, 2]: its first and its last piece.

    `starts` and `limits` [N] are the characters of each question's answer, limit 0 where it has none. Windows that do
    not hold the whole answer have 0 twice: [CLS].
    """
    contexts, positions = parts.contexts, np.zeros((len(parts.source), 2), np.int64)
    inside = [
        np.flatnonzero((contexts.limits[row] > start) & (contexts.starts[row] < limit))
        for row, (start, limit) in enumerate(zip(starts, limits, strict=True))
    ]  # of each question, the pieces that hold characters of its answer
    for window, row in enumerate(parts.source.tolist()):
        pieces, offset = inside[row], parts.offsets[window]
        if len(pieces) and pieces[0] >= offset and pieces[-1] < offset + parts.parts.lengths[window]:
            positions[window] = pieces[[0, -1]] - offset + parts.first[window]
    return positions


def read_answer(parts: Windows, row: int, logits: Sequence[FloatArray], settings: AnswerSettings) -> FoundAnswer:
    """Read the answer to a question from the logits [T, 2] of its windows, in their order.

    A span's score is the sum of its first piece's begin logit and its last piece's end logit; the best over all windows
    wins. A piece that stands in several windows may begin an answer where it has the most context around it. The empty
    answer takes part where `null_threshold` is given, with the lowest score of [CLS] in any window, and the threshold.
    """
    numbers, contexts = parts.of(row), parts.contexts
    # of each piece of the context, the window that has the most context around it
    owner, most = np.zeros(int(contexts.tokens.lengths[row]), np.int64), np.full(contexts.tokens.lengths[row], -np.inf)
    for number, window in enumerate(numbers):
        begin, length = int(parts.offsets[window]), int(parts.parts.lengths[window])
        around = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.01 * length
        pieces = slice(begin, begin + length)
        owner[pieces] = np.where(around > most[pieces], number, owner[pieces])
        most[pieces] = np.maximum(around, most[pieces])
    characters = np.stack([contexts.starts[row], contexts.limits[row]], axis=1)  # of each piece of the context
    values: dict[tuple[int, int], float] = {}
    for number, window in enumerate(numbers):
        part = logits[number][parts.first[window] :][: parts.parts.lengths[window]].astype(np.float64)
        pieces = slice(int(parts.offsets[window]), int(parts.offsets[window]) + len(part))
        part[owner[pieces] != number, 0] = -np.inf
        values |= _best_spans(part, characters[pieces], settings.max_answer_length)
    if settings.null_threshold is not None or not values:
        values[0, 0] = min(float(window[0].sum()) for window in logits) + (settings.null_threshold or 0.0)
    best = sorted(values, key=lambda span: (-values[span], span))[:N_BEST]
    probabilities = softmax(np.asarray([values[span] for span in best])).tolist()
    answers = [
        FoundAnswer(text=contexts.texts[row][start:end], start=start, end=end, score=probability)
        for (start, end), probability in zip(best[: settings.top_k], probabilities, strict=False)
    ]
    return replace(answers[0], others=tuple(answers[1:]))


def _best_spans(logits: FloatArray, characters: NDArray[np.int32], longest: int) -> dict[tuple[int, int], float]:
    """Score the spans of C pieces, at most `longest` each, by logits [C, 2]; return the N_BEST, by characters."""
    if not len(logits):
        return {}
    blank = characters[:, 0] == characters[:, 1]  # no answer begins or ends there
    logits = np.where(blank[:, None], -np.inf, logits)
    ends = np.append(logits[:, 1], np.full(longest, -np.inf))
    scores = logits[:, :1] + np.lib.stride_tricks.sliding_window_view(ends, longest)[:-1]  # [C, longest]
    best = np.argpartition(-scores, min(N_BEST, scores.size) - 1, axis=None)[:N_BEST]
    values: dict[tuple[int, int], float] = {}
    for begin, more in zip(*(axis.tolist() for axis in np.unravel_index(best, scores.shape)), strict=True):
        if np.isfinite(value := float(scores[begin, more])):
            span = (int(characters[begin, 0]), int(characters[begin + more, 1]))
            values[span] = max(value, values.get(span, value))
    return values


def predict(predictor: Predictor, inputs: Inputs, advance: Advance) -> Predictions:
    """Answer N questions, each from its context."""
    length, settings = predictor.checkpoint.sentence.max_seq_length, predictor.options
    parts = windows(
        predictor.tokenizer, inputs.texts, inputs.pairs or [], max_seq_length=length, stride=settings.stride
    )
    logits: list[FloatArray] = [np.empty(0)] * len(parts.source)
    for numbers, values in logits_of(predictor.backend, [parts.questions, parts.parts], predictor.packer):
        for window, value in zip(numbers.tolist(), values, strict=True):
            logits[window] = value
    answers: list[FoundAnswer] = []
    for row in range(len(inputs.texts)):
        answers.append(read_answer(parts, row, [logits[window] for window in parts.of(row)], settings))
        advance(1)
    return Predictions(values=answers, truncated=parts.truncated)


def targets(
    tokenizer: Tokenizer, examples: Examples, head: HeadConfig, *, max_seq_length: int, stride: int
) -> tuple[list[Ragged], Targets]:
    """Make windows of a question and part of its context; targets are where its first answer begins and ends, [W, 2].

    Questions that are cut, and answers that no window holds whole, are counted in a TruncationWarning.
    """
    parts = windows(tokenizer, examples.texts, examples.pairs or [], max_seq_length=max_seq_length, stride=stride)
    first = [row[0] if row else None for row in examples.answers or []]
    starts = np.asarray([answer.start if answer else 0 for answer in first])
    limits = starts + [len(answer.text) if answer else 0 for answer in first]
    positions = span_positions(parts, starts, limits)
    whole = np.bincount(parts.source, weights=positions[:, 0] > 0, minlength=len(first)) > 0
    cut, lost = np.count_nonzero(parts.truncated), np.count_nonzero((limits > 0) & ~whole)
    if cut or lost:
        warnings.warn(
            f"{cut} of {len(first)} questions were cut, and the answers of {lost} stand whole in no window of "
            f"max_seq_length {max_seq_length}, which is taught as no answer; raise it where that matters",
            TruncationWarning,
            stacklevel=3,
        )
    return [parts.questions, parts.parts], positions


def check(examples: Examples) -> None:
    """Refuse answers that do not stand where they are said to. Files were held to that when they were read."""
    rows = zip(examples.pairs or [], examples.answers or [], strict=True)
    lost = [not all(context.startswith(answer.text, answer.start) for answer in row) for context, row in rows]
    if any(lost):
        raise DataError(
            f"answers that stand at their start in the context were asked of {examples.source}; found {sum(lost)} of "
            f"{len(lost)} rows that have others, {at(examples.lines, lost)}; mend where they start"
        )


def scoring_options(examples: Examples) -> dict[str, Any]:
    """Let the module give no answer where some question has none (SQuAD 2.0)."""
    return {} if all(examples.answers or []) else {"null_threshold": 0.0}


def score(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    """Score the texts of answers: exact match and F1, by the rules of SQuAD or KorQuAD."""
    right = [[answer.text for answer in row] for row in needed(examples, "answers")]
    exact, f1 = score_spans([str(text) for text in predicted], right, rules=scoring.rules)
    return {
        "exact_match": lambda rows: float(exact[rows].mean()),
        "f1": lambda rows: float(f1[rows].mean()),
    }


ANSWER = Task(
    name="answer",
    head="answer",
    takes_pairs="yes",
    columns=("pairs", "answers"),
    target="answers",
    targets=targets,
    loss="start_end",
    predict=predict,
    scored=lambda prediction: prediction.text,
    score=score,
    main_score="f1",
    summary="the span of a text that answers a question",
    pipeline="question-answering",
    usage='["A question?"], ["A text that answers it."]',
    logits="scores.start_logits, scores.end_logits",
    options=AnswerSettings,
    scoring_options=scoring_options,
    check=check,
    input_name="question",  # the text of its predictions is another than its own
)
