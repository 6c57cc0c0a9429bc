"""Rows of different lengths in one array: what `tokenize` returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ragged:
    """B rows of token ids: `values` int32 [all tokens], `splits` int64 [B + 1]; row i is values[splits[i]:splits[i+1]].

    >>> rows = Ragged.from_rows([[7, 8], [], [9]])
    >>> len(rows), rows.lengths.tolist(), rows.to_list()
    (3, [2, 0, 1], [[7, 8], [], [9]])
    """

    values: NDArray[np.int32]
    splits: NDArray[np.int64]

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[int] | NDArray[np.integer]]) -> Ragged:
        """Join rows of ids."""
        rows = list(rows)
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        splits = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        values = np.concatenate([np.asarray(row, np.int32) for row in rows]) if rows else np.zeros(0, np.int32)
        return cls(values=values, splits=splits)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each row, int64 [B]."""
        return np.diff(self.splits)

    def __len__(self) -> int:
        return len(self.splits) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        return self.values[self.splits[row] : self.splits[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self.values[a:b] for a, b in zip(self.splits[:-1], self.splits[1:], strict=True))

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Ragged:
        """Return the named rows in the named order."""
        return Ragged.from_rows([self[int(row)] for row in rows])

    def to_list(self) -> list[list[int]]:
        """Return the rows as Python lists."""
        return [row.tolist() for row in self]
