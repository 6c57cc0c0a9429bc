"""Scores of labels, numbers and masked tokens, as the field defines them, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wellread.dataclass import dataclass
from wellread.errors import DataError, nearest

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
    values: list[float] = []
    for _ in range(resamples):
        with suppress(DataError):
            values.append(score(rng.integers(0, examples, examples)))
    low, high = np.quantile(values or [value], [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=value, low=float(low), high=float(high))


Score = Callable[[NDArray[np.int64]], float]  # of the examples with these numbers (N,)


def difference(first: Score, second: Score, examples: int, *, seed: int = 0) -> Interval:
    """Return by how much one score is above another on the same N examples: both are scored on every draw of them.

    Two systems err on many of the same examples, so this interval is narrower than their own two would suggest. Where
    it holds 0, the examples do not tell the systems apart. Sources: the paired bootstrap of Efron & Tibshirani, An
    Introduction to the Bootstrap, 1993, and of Koehn, Statistical Significance Tests for Machine Translation
    Evaluation, 2004.

    Raises: as `interval`.

    >>> first, second = np.arange(100) < 80, np.arange(100) < 70
    >>> apart = difference(lambda rows: float(first[rows].mean()), lambda rows: float(second[rows].mean()), 100)
    >>> round(apart.value, 6), 0 < apart.low < 0.1 < apart.high
    (0.1, True)
    """
    return interval(lambda rows: first(rows) - second(rows), examples, seed=seed)


def ratio(first: Score, second: Score, examples: int, *, seed: int = 0) -> Interval:
    """Return what share one score is of another on the same N examples, drawn as for `difference`.

    Raises: DataError where the second score is not above 0, and as `interval`.

    >>> first, second = np.arange(100) < 80, np.arange(100) < 70
    >>> kept = ratio(lambda rows: float(second[rows].mean()), lambda rows: float(first[rows].mean()), 100)
    >>> round(kept.value, 6)
    0.875
    """

    def share(rows: NDArray[np.int64]) -> float:
        if not (whole := second(rows)) > 0:
            raise DataError(f"a share of a score takes one above 0; found {whole:.4g}; compare the differences instead")
        return first(rows) / whole

    return interval(share, examples, seed=seed)


LARGEST_LOSS = math.log(np.finfo(np.float64).max)  # its exponential is the last that is finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What was true and what was predicted of N examples of C classes, as one number each."""

    classes: tuple[Hashable, ...]  # in their own order
    cells: NDArray[np.int64]  # (N,): the true class times C, plus the predicted one

    @classmethod
    def of(cls, true: Sequence[Hashable], predicted: Sequence[Hashable]) -> Outcomes:
        """Compare two lists of N labels. Raises: DataError for none, different counts, or labels of two kinds.

        >>> Outcomes.of(["a", "b", "b"], ["a", "a", "b"]).confusion().tolist()
        [[1, 0], [1, 1]]
        """
        if len(true) != len(predicted) or not len(true):
            raise DataError(
                f"a score takes two lists of as many labels; found {len(true)} and {len(predicted)}; match them"
            )
        kinds = sorted({type(label).__name__ for label in (*true, *predicted)})
        try:
            classes = tuple(sorted({*true, *predicted}))  # type: ignore[type-var]
        except TypeError:
            raise DataError(
                f"a score takes labels of one kind; found {' and '.join(kinds)}; write all of them alike"
            ) from None
        ids = {label: id for id, label in enumerate(classes)}
        cells = [ids[a] * len(classes) + ids[b] for a, b in zip(true, predicted, strict=True)]
        return cls(classes=classes, cells=np.asarray(cells, np.int64))

    def confusion(self, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.int64]:
        """Count the given examples: (C, C), a true class a row, a predicted one a column."""
        size = len(self.classes)
        return np.bincount(self.cells[rows], minlength=size**2).reshape(size, size)


def accuracy(true: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Return the share of N labels that were predicted right, 0 to 1. Raises: as `Outcomes.of`.

    >>> accuracy(["a", "b", "b", "b"], ["a", "a", "b", "b"])
    0.75
    """
    return accuracy_of(Outcomes.of(true, predicted).confusion())


def accuracy_of(confusion: NDArray[np.int64]) -> float:
    """Return the share of the counts (C, C) on the diagonal."""
    return float(np.trace(confusion) / confusion.sum())


def f1(
    true: Sequence[Hashable], predicted: Sequence[Hashable], *, average: str = "binary", positive: Hashable = 1
) -> float:
    """Return F1, the harmonic mean of precision and recall, of N labels, 0 to 1.

    `binary` scores the class `positive` of two; `macro` is the mean over the classes that are true or predicted
    somewhere; `micro` counts all classes together, which for one label an example is the accuracy. A class that is
    never hit has 0. Source: van Rijsbergen, Information Retrieval, 1979, chapter 7.

    Raises: DataError for another average, three classes or more where `binary` is asked, or no `positive` among them.

    >>> f1([1, 0, 1, 1], [1, 1, 0, 1])
    0.6666666666666666
    >>> round(f1(["a", "b", "c"], ["a", "b", "b"], average="macro"), 4)
    0.5556
    """
    outcomes = Outcomes.of(true, predicted)
    if average == "binary":
        if positive not in outcomes.classes or len(outcomes.classes) > 2:
            raise DataError(
                f"a binary F1 takes two classes, {positive!r} among them; found {len(outcomes.classes)}: "
                f"{str(outcomes.classes)[:80]}; name the positive one, or ask for average='macro'"
            )
        return float(f1_of_classes(outcomes.confusion())[outcomes.classes.index(positive)])
    if average not in _AVERAGES:
        averages = ("binary", *_AVERAGES)
        raise DataError(
            f"the average {average!r} was asked of F1; it has {', '.join(averages)}; name one"
            f"{nearest(average, averages)}"
        )
    return _AVERAGES[average](outcomes.confusion())


def f1_of_classes(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the F1 of every class (C,) from the counts (C, C); 0 for a class that is nowhere."""
    both = confusion.sum(0) + confusion.sum(1)
    scores: NDArray[np.float64] = 2 * np.diag(confusion) / np.maximum(both, 1)
    return scores


def macro_f1_of(confusion: NDArray[np.int64]) -> float:
    """Return the mean F1 of the classes that are true or predicted somewhere in the counts (C, C)."""
    return float(f1_of_classes(confusion)[(confusion.sum(0) + confusion.sum(1)) > 0].mean())


_AVERAGES = {"macro": macro_f1_of, "micro": accuracy_of}


def matthews(true: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Return Matthews' correlation of N labels, -1 to 1; 0 where all are one class. Raises: as `Outcomes.of`.

    For more than two classes it is R_K: Gorodkin, Comparing two K-category assignments, 2004.

    >>> matthews([1, 1, 0, 0], [1, 0, 0, 0])
    0.5773502691896258
    """
    return matthews_of(Outcomes.of(true, predicted).confusion())


def matthews_of(confusion: NDArray[np.int64]) -> float:
    """Return Matthews' correlation from the counts (C, C)."""
    counts = confusion.astype(np.float64)
    true, predicted, total = counts.sum(1), counts.sum(0), counts.sum()
    spread = math.sqrt((total**2 - true @ true) * (total**2 - predicted @ predicted))
    return float((np.trace(counts) * total - true @ predicted) / spread) if spread else 0.0


def perplexity(losses: ArrayLike) -> float:
    """Return the exponential of the mean of N negative log-likelihoods in nats, one a masked position.

    It is what BERT's paper calls the perplexity of masked words (Devlin et al., 2019, table 6).

    Raises: DataError for no numbers, or numbers that are negative or not finite.

    >>> round(perplexity([0.0, 1.3862943611]), 6)
    2.0
    """
    values = np.asarray(losses, np.float64).reshape(-1)
    bad = int((~(values >= 0) | np.isinf(values)).sum())
    if bad or not len(values):
        raise DataError(
            f"a perplexity takes the losses of masked positions, 0 or more; found {len(values)}, {bad} of them "
            "negative or not finite; check the loss"
        )
    return raised(float(values.mean()))


def raised(loss: float) -> float:
    """Return the exponential of a loss; infinity where it is too large."""
    return math.exp(loss) if loss < LARGEST_LOSS else math.inf


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
