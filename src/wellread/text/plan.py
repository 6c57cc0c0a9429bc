"""Which rows are encoded together, and how long each batch is: what is padded is planned once, before anything runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wellread.dataclass import dataclass
from wellread.errors import InputError
from wellread.text.batch import token_budget_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """What the batches of a backend look like."""

    tokens: int = 1024  # at most, padding included; measured: smaller ones stay in the cache, larger ones gain nothing
    multiple: int = 1  # lengths are rounded up to its multiples: few shapes, where each costs something
    streams: int = 0  # batches under way at once, where a backend has streams; 0: one a core

    def __post_init__(self) -> None:
        """Refuse what makes no batches. Raises: InputError."""
        numbers = (self.tokens, self.multiple, self.streams)
        if (
            not all(type(number) is int for number in numbers)
            or not min(self.tokens, self.multiple, self.streams + 1) > 0
        ):
            raise InputError(
                f"tokens and multiple must be whole numbers of at least 1, streams of at least 0; found {numbers}; "
                "raise them"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedBatch:
    """Rows that are encoded together."""

    rows: NDArray[np.int64]  # [B], their numbers
    length: int  # S, positions of each, padding included


def plan_batches(lengths: ArrayLike, batching: Batching, *, max_rows: int, longest: int) -> list[PlannedBatch]:
    """Group N rows of `lengths` [N] tokens, at most `longest` each, as `token_budget_batches` does.

    Each batch is as long as its longest row, rounded up, but never longer than `longest`. A length with more rows than
    a batch holds gives batches of one shape.

    >>> batches = plan_batches([5, 17, 18, 2], Batching(tokens=64, multiple=16), max_rows=8, longest=24)
    >>> [(batch.rows.tolist(), batch.length) for batch in batches]
    [([1, 2], 24), ([0, 3], 16)]
    """
    sizes = np.asarray(lengths)
    rounded = np.minimum(-(-sizes // batching.multiple) * batching.multiple, longest)
    groups = token_budget_batches(rounded, max_tokens=batching.tokens, max_rows=max_rows)
    return [PlannedBatch(rows=rows, length=int(rounded[rows[0]])) for rows in groups]
