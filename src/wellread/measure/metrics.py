"""Scores, as the field defines them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wellread.errors import DataError


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Return Pearson's correlation of two lists of N numbers, -1 to 1.

    Raises: DataError for fewer than 2 numbers, different counts, or numbers that are all equal.

    >>> round(pearson([1, 2, 3], [2, 4, 7]), 4)
    0.9934
    """
    x, y = (np.asarray(values, np.float64) for values in (a, b))
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2:
        raise DataError(
            f"a correlation takes two lists of 2 or more numbers; found {x.shape} and {y.shape}; match them"
        )
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    if not spread > 0:
        raise DataError("a correlation takes numbers that differ; found a list of equal numbers; check the data")
    return float(x @ y) / spread


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's rank correlation, -1 to 1; equal numbers share their mean rank. Raises: as `pearson`.

    >>> round(spearman([1, 2, 2, 4], [10, 30, 20, 40]), 4)
    0.9487
    """
    return pearson(ranks(a), ranks(b))


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return the rank of each number from 1; equal numbers share their mean rank.

    >>> ranks([30, 10, 30]).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return shared
