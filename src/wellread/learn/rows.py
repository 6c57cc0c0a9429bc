"""Rows of ids, of one text or two, as batches of a length."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wellread.data.augment import MASK
from wellread.encoder.inputs import warn_truncated
from wellread.text.batch import Batch, Ragged, Template
from wellread.text.masking import tokenize_with_masks
from wellread.text.tokenizer import Tokenizer

PART = 1 << 20  # numbers that are hashed at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """N rows of one segment or two between special tokens, cut at `max_seq_length` tokens."""

    segments: Sequence[Ragged]  # one or two, without special tokens
    template: Template
    max_seq_length: int
    kept: NDArray[np.int64] | None = None  # [N], which of the segments' rows these are; None: all
    truncation: str = "round_robin"  # of text.batch.TRUNCATIONS

    def __len__(self) -> int:
        return len(self.segments[0]) if self.kept is None else len(self.kept)

    @property
    def whole(self) -> NDArray[np.int64]:
        """Tokens of every row before it is cut, special ones included, [N]."""
        tokens: NDArray[np.int64] = np.sum([segment.lengths for segment in self.segments], axis=0)
        tokens = tokens + self.template.overhead(len(self.segments))
        return tokens if self.kept is None else tokens[self.kept]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every row as `pack` gives them, [N]."""
        return np.minimum(self.whole, self.max_seq_length)

    def warn_cut(self) -> None:
        """Say how many rows are cut, and by how much."""
        advice = f"max_seq_length is {self.max_seq_length}; raise it"
        warn_truncated(self.whole - self.lengths, advice, what="rows")

    def pack(self, rows: NDArray[np.int64]) -> Batch:
        """Pack some rows, padded to the longest of them."""
        numbers = rows if self.kept is None else self.kept[rows]
        chosen = [segment.take(numbers) for segment in self.segments]
        length = self.max_seq_length
        return self.template.pack(chosen, seq_length=length, pad_to_longest=True, truncation=self.truncation)

    def digest(self) -> str:
        """Return the SHA-256 of all ids, in hexadecimal; little of them is in memory at once."""
        digest = hashlib.sha256(str(self.max_seq_length).encode())
        kept = [] if self.kept is None else [self.kept]
        for array in [*kept, *(part for segment in self.segments for part in (segment.splits, segment.values))]:
            for begin in range(0, len(array), PART):
                digest.update(np.ascontiguousarray(array[begin : begin + PART]).tobytes())
        return digest.hexdigest()


def rows_of(tokenizer: Tokenizer, texts: Sequence[Sequence[str]], *, max_seq_length: int, type_rows: int = 2) -> Rows:
    """Tokenise the columns `texts`, one or two of them; words that `data.augment` masked get the mask token."""
    segments = [tokenize_with_masks(tokenizer, column, MASK) for column in texts]
    return Rows(segments=segments, template=tokenizer.template.for_types(type_rows), max_seq_length=max_seq_length)
