"""How each task turns texts into answers: tokenize, pack, run, read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import Backend, FloatArray
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import HeadConfig
from wellread.encode import TOKENS_A_BATCH, Packer, encode_rows, logits_of, unit
from wellread.tasks.answers import AnswerSettings, FoundAnswer, read_answer, windows
from wellread.tasks.classes import read_classes
from wellread.tasks.tags import Spans, Tagged, align, read_tags
from wellread.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """N texts that are to be judged."""

    texts: list[str]
    pairs: list[str] | None = None  # the second texts; contexts, if the texts are questions
    tokens: list[Spans] | None = None  # of every text, where its tokens stand

    @classmethod
    def of(cls, texts: str | Sequence[str], pairs: str | Sequence[str] | None, tokens: Sequence[Spans] | None) -> Asked:
        """Take texts as users give them: many, or one."""
        return cls(
            texts=[texts] if isinstance(texts, str) else list(texts),
            pairs=[pairs] if isinstance(pairs, str) else pairs if pairs is None else list(pairs),
            tokens=tokens if tokens is None else list(tokens),
        )

    def part(self, window: slice) -> Asked:
        """Return some of them."""
        pairs, tokens = (side if side is None else side[window] for side in (self.pairs, self.tokens))
        return Asked(texts=self.texts[window], pairs=pairs, tokens=tokens)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """The answers to N texts, and how many tokens of each found no room [N]."""

    answers: list[Any]
    truncated: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """What answers: a checkpoint with its head, a tokenizer and a backend that runs them."""

    checkpoint: Checkpoint
    head: HeadConfig
    tokenizer: Tokenizer
    backend: Backend
    max_rows: int = TOKENS_A_BATCH
    settings: AnswerSettings = AnswerSettings()  # noqa: RUF009  it is frozen

    @property
    def packer(self) -> Packer:
        """How rows are packed."""
        return Packer(
            template=self.tokenizer.template.for_types(self.checkpoint.config.type_vocab_size),
            sentence=self.checkpoint.sentence,
            max_rows=self.max_rows,
        )


def _classes(own: Judge, asked: Asked, advance: Callable[[int], None]) -> Judged:
    sides = [asked.texts] if asked.pairs is None else [asked.texts, asked.pairs]
    rows = [own.tokenizer.tokenize(side) for side in sides]
    made = np.empty((len(asked.texts), own.head.outputs))
    for item in logits_of(own.backend, rows, own.packer):
        made[item.rows] = item.value
        advance(len(item.rows))
    total = np.sum([side.lengths for side in rows], axis=0)
    return Judged(
        answers=read_classes(made, own.head.labels), truncated=np.maximum(0, total - own.packer.beside(len(rows)))
    )


def _similarity(own: Judge, asked: Asked, advance: Callable[[int], None]) -> Judged:
    second, nothing = asked.pairs or [], lambda count: None
    rows = [own.tokenizer.tokenize(side) for side in (asked.texts, second)]
    made = [
        encode_rows(own.backend, side, own.packer, advance=told)
        for side, told in zip(rows, (nothing, advance), strict=True)
    ]
    vectors = [unit(side.vectors).astype(np.float64) for side in made]
    cosines = (vectors[0] * vectors[1]).sum(1)
    scores = own.head.low + cosines * (own.head.high - own.head.low)
    return Judged(answers=scores.tolist(), truncated=made[0].truncated + made[1].truncated)


def _tags(own: Judge, asked: Asked, advance: Callable[[int], None]) -> Judged:
    aligned = align(own.tokenizer, asked.texts, asked.tokens)
    made: list[Tagged | None] = [None] * len(asked.texts)
    kept, first = np.minimum(aligned.rows.lengths, own.packer.room), own.packer.template.first_column
    for item in logits_of(own.backend, [aligned.rows], own.packer):
        for row, logits in zip(item.rows.tolist(), item.value, strict=True):
            made[row] = read_tags(aligned, row, logits[first : first + kept[row]], own.head.labels)
        advance(len(item.rows))
    return Judged(answers=list(made), truncated=aligned.rows.lengths - kept)


def _answers(own: Judge, asked: Asked, advance: Callable[[int], None]) -> Judged:
    length = own.checkpoint.sentence.max_seq_length
    found = windows(own.tokenizer, asked.texts, asked.pairs or [], max_seq_length=length, stride=own.settings.stride)
    logits: list[FloatArray] = [np.empty(0)] * len(found.source)
    for item in logits_of(own.backend, [found.questions, found.parts], own.packer):
        for window, value in zip(item.rows.tolist(), item.value, strict=True):
            logits[window] = value
    made: list[FoundAnswer] = []
    for row in range(len(asked.texts)):
        made.append(read_answer(found, row, [logits[window] for window in found.of(row)], own.settings))
        advance(1)
    return Judged(answers=made, truncated=found.truncated)


# what a task does with N texts; it tells `advance` how many are done
JUDGES: dict[str, Callable[[Judge, Asked, Callable[[int], None]], Judged]] = {
    "classify": _classes,
    "pair": _classes,
    "similarity": _similarity,
    "tag": _tags,
    "answer": _answers,
}
