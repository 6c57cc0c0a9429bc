"""How sure a score is: percentile intervals from examples drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wellread.errors import DataError

RESAMPLES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A score, and the bounds between which it would fall in 95 of 100 test sets of this size."""

    value: float
    low: float
    high: float


def interval(
    score: Callable[[NDArray[np.int64]], float],
    examples: int,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Score N examples, then as many drawn from them with replacement, `resamples` times; the draws give the bounds.

    `score` takes the numbers (N,) of the examples to be scored; it should index arrays that were made before, for it is
    called once a draw. Draws that have no score, as a correlation of equal numbers, are left out.
    The method is the percentile interval of Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Raises: DataError for no examples, no draws or a level outside 0 to 1, and what `score` raises of all examples.

    >>> hits = np.array([1.0, 1.0, 0.0, 1.0] * 25)
    >>> interval(lambda rows: float(hits[rows].mean()), 100)
    Interval(value=0.75, low=0.67, high=0.84)
    """
    if examples < 1 or resamples < 1 or not 0 < level < 1:
        raise DataError(
            "an interval takes an example or more, a draw or more and a level between 0 and 1; found "
            f"{examples}, {resamples} and {level}; change them"
        )
    value = score(np.arange(examples))
    rng = np.random.default_rng(seed)
    drawn = (_score(score, rng.integers(0, examples, examples)) for _ in range(resamples))
    told = [found for found in drawn if found is not None] or [value]
    low, high = np.quantile(told, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=value, low=float(low), high=float(high))


def _score(score: Callable[[NDArray[np.int64]], float], rows: NDArray[np.int64]) -> float | None:
    try:
        return score(rows)
    except DataError:
        return None
