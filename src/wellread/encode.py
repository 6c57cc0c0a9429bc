"""Rows of ids to sentence vectors or logits, in bulk: sorted by length, batched by tokens, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import Backend, FloatArray
from wellread.config import SentenceConfig
from wellread.encoder.heads import LOGITS_OUTPUT, SENTENCE_OUTPUT
from wellread.encoder.inputs import refuse_nan
from wellread.text.batch import Batch, Ragged, Template, chunk, token_budget_batches

TOKENS_A_BATCH = 1024  # padding included; measured: smaller batches stay in the cache, larger ones gain nothing
WINDOW = 16_384  # texts that are sorted by length together; bounds memory, and padding is already small


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """The vectors [N, E] of N rows, and how many tokens of each found no room [N]."""

    vectors: FloatArray
    truncated: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packer:
    """What a row becomes before it is encoded."""

    template: Template
    sentence: SentenceConfig
    max_rows: int = TOKENS_A_BATCH  # texts of a batch at most
    chunked: bool = False  # long rows are encoded piece by piece, not cut

    @property
    def room(self) -> int:
        """Tokens of a text that fit in beside the special ones."""
        return self.beside(1)

    def beside(self, segments: int) -> int:
        """Tokens of one or two texts together that fit in beside the special ones."""
        return self.template.room(self.sentence.max_seq_length, segments)

    def pack(self, segments: Sequence[Ragged]) -> Batch:
        """Pack the rows of a batch."""
        return self.template.pack(segments, seq_length=self.sentence.max_seq_length, pad_to_longest=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogitsItem:
    """The logits [B, C] or [B, T, C] of a batch, and which rows it holds [B]."""

    rows: NDArray[np.int64]
    value: FloatArray


def encode_rows(backend: Backend, rows: Ragged, packer: Packer, *, advance: Callable[[int], None]) -> Encoded:
    """Turn N rows of ids into N vectors; `advance` is told how many are done."""
    pieces, source = chunk(rows, packer.room) if packer.chunked else (rows, np.arange(len(rows), dtype=np.int64))
    kept = np.minimum(pieces.lengths, packer.room)
    plan = token_budget_batches(kept + packer.template.overhead(), max_tokens=TOKENS_A_BATCH, max_rows=packer.max_rows)
    batches = (packer.pack([pieces.take(chosen)]) for chosen in plan)
    vectors: FloatArray | None = None
    for item in backend.stream(batches, SENTENCE_OUTPUT):
        refuse_nan({SENTENCE_OUTPUT: item.value})
        if vectors is None:
            vectors = np.empty((len(pieces), item.value.shape[1]), np.float32)
        vectors[plan[item.index]] = item.value
        advance(0 if packer.chunked else len(item.value))
    assert vectors is not None
    if not packer.chunked:
        return Encoded(vectors=vectors, truncated=pieces.lengths - kept)
    advance(len(rows))
    averaged = _averaged(vectors, source, kept, len(rows))
    averaged = unit(averaged) if packer.sentence.normalize else averaged
    return Encoded(vectors=averaged, truncated=np.zeros(len(rows), np.int64))


def logits_of(backend: Backend, segments: Sequence[Ragged], packer: Packer) -> Iterator[LogitsItem]:
    """Yield the logits of N rows of one or two segments, batch by batch, in any order."""
    total = np.sum([segment.lengths for segment in segments], axis=0)
    lengths = np.minimum(total + packer.template.overhead(len(segments)), packer.sentence.max_seq_length)
    plan = token_budget_batches(lengths, max_tokens=TOKENS_A_BATCH, max_rows=packer.max_rows)
    batches = (packer.pack([segment.take(chosen) for segment in segments]) for chosen in plan)
    for item in backend.stream(batches, LOGITS_OUTPUT):
        refuse_nan({LOGITS_OUTPUT: item.value})
        yield LogitsItem(rows=plan[item.index], value=item.value)


def unit(vectors: FloatArray) -> FloatArray:
    """Scale every row to length 1; a row of zeros stays."""
    scaled: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


def _averaged(vectors: FloatArray, source: NDArray[np.int64], tokens: NDArray[np.int64], count: int) -> FloatArray:
    """Average the vectors of the pieces of each row, weighted by their tokens (an empty text counts as one)."""
    weights = np.maximum(tokens, 1).astype(np.float32)
    totals = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(totals, source, vectors * weights[:, None])
    averaged: FloatArray = totals / np.bincount(source, weights, count).astype(np.float32)[:, None]
    return averaged
