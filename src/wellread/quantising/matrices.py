"""Floats to int8: a scale for each row, chosen by the error that it leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wellread.formats.int8 import LARGEST, LARGEST_PAIR, Int8Matrix

Floats = NDArray[np.float32]

# Of the scale at which a row's largest numbers just fit: smaller ones cut these, and let all others be finer.
FACTORS = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8)
DAMPING = 0.1  # of the mean square of the inputs, added to each: inputs that the texts never showed may come
BLOCK = 128  # columns whose errors are fed on at once


def quantise_matrix(
    weights: Floats,
    *,
    input_scales: Floats | None = None,
    gram: Floats | None = None,
    multiplied: bool = True,
    feed_back: bool = True,
) -> Int8Matrix:
    """Quantise weights [out, in], each row with the scale that leaves the least squared error of its outputs.

    `gram` [in, in] is the mean of x x' over inputs x; without it all count alike, and by themselves. With it, and
    `feed_back`, the error of each column is made good in those behind it. `input_scales` [in] are folded in by their
    inverse. A table, which nothing is `multiplied` by, may have large neighbours.
    """
    folded = weights if input_scales is None else weights / input_scales
    if gram is not None and input_scales is not None:
        gram = gram * np.outer(input_scales, input_scales)
    importance = np.ones(weights.shape[1], np.float32) if gram is None else np.diag(gram).copy()
    values, scales = _rounded(folded, importance, multiplied)
    if gram is not None and feed_back:
        values = _fed_back(folded / scales[:, None], gram, multiplied)
        outputs = values @ gram
        scales = _fitted((folded * outputs).sum(1), (values * outputs).sum(1), otherwise=scales)
    return Int8Matrix(values=values.astype(np.int8), scales=scales, input_scales=input_scales)


def _rounded(weights: Floats, importance: Floats, multiplied: bool) -> tuple[Floats, Floats]:
    """Return whole numbers and scales of the rows: of several scales for each row the best."""
    fitting = _fitting_scales(weights, multiplied)
    best = np.full(len(weights), np.inf)
    values, scales = np.zeros_like(weights), fitting.copy()
    for factor in FACTORS:
        candidate = fitting * np.float32(factor)
        rounded = _round(weights / candidate[:, None], multiplied)
        weighted = rounded * importance
        candidate = _fitted((weighted * weights).sum(1), (weighted * rounded).sum(1), otherwise=candidate)
        errors = ((weights - rounded * candidate[:, None]) ** 2 * importance).sum(1)
        better = errors < best
        best[better], scales[better], values[better] = errors[better], candidate[better], rounded[better]
    return values, scales


def _fitted(products: Floats, squares: Floats, *, otherwise: Floats) -> Floats:
    """Return the scales of given whole numbers that leave the least error, where there is one above 0."""
    fitted = products / np.where(squares > 0, squares, 1)
    usable = (squares > 0) & np.isfinite(fitted) & (fitted > np.finfo(np.float32).tiny)
    return np.where(usable, fitted, otherwise).astype(np.float32)


def _fed_back(numbers: Floats, gram: Floats, multiplied: bool) -> Floats:
    """Round numbers [rows, columns] one column after another, and take what each loses from those behind it.

    Frantar et al. 2022, GPTQ (arXiv:2210.17323), in the order of the columns, so that neighbours keep to their rule.
    """
    columns = numbers.shape[1]
    damped = gram.astype(np.float64)
    damped[np.diag_indices(columns)] += max(DAMPING * float(np.trace(damped)) / columns, 1e-12)
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float32)
    left, values = numbers.copy(), np.zeros_like(numbers)
    for begin in range(0, columns, BLOCK):
        end = min(begin + BLOCK, columns)
        block, losses = left[:, begin:end].copy(), np.zeros((len(numbers), end - begin), np.float32)
        for at in range(begin, end):
            largest = np.full(len(numbers), LARGEST, np.float32)
            if multiplied and at % 2:
                largest = np.minimum(largest, LARGEST_PAIR - np.abs(values[:, at - 1]))
            number = block[:, at - begin]
            values[:, at] = np.clip(np.rint(number), -largest, largest)
            losses[:, at - begin] = (number - values[:, at]) / spread[at, at]
            block[:, at - begin + 1 :] -= np.outer(losses[:, at - begin], spread[at, at + 1 : end])
        left[:, end:] -= losses @ spread[begin:end, end:]
    return values


def _fitting_scales(weights: Floats, multiplied: bool) -> Floats:
    """Return for each row the smallest scale at which nothing is cut; 1 for a row of zeros."""
    sizes = np.abs(weights)
    needed = sizes.max(1, initial=0) / LARGEST
    if multiplied:
        even, odd = sizes[:, 0::2], sizes[:, 1::2]
        needed = np.maximum(needed, (even[:, : odd.shape[1]] + odd).max(1, initial=0) / LARGEST_PAIR)
    # a subnormal scale would be no number at all on some CPUs
    return np.where(needed > np.finfo(np.float32).tiny, needed, 1).astype(np.float32)


def _round(numbers: Floats, multiplied: bool) -> Floats:
    """Round [rows, columns] to whole numbers that int8 holds and, where they are multiplied, to neighbours that fit."""
    if not multiplied:
        return np.clip(np.rint(numbers), -LARGEST, LARGEST)
    sizes, columns = np.abs(numbers), numbers.shape[1]
    if columns % 2:
        sizes = np.pad(sizes, ((0, 0), (0, 1)))
    pairs = sizes.reshape(len(sizes), -1, 2)
    excess = np.maximum(pairs.sum(-1, keepdims=True) - LARGEST_PAIR, 0)
    pairs = np.maximum(pairs - excess / 2, 0)
    rounded = np.clip(np.rint(pairs), 0, LARGEST)
    # two that were both rounded up, or of which one was cut at 0: the one that gained more gives way
    for _ in range(2):
        over = np.maximum(rounded.sum(-1) - LARGEST_PAIR, 0)
        gained = rounded - pairs
        first = (gained[..., 0] >= gained[..., 1]) & (rounded[..., 0] >= over)
        rounded[..., 0] -= over * first
        rounded[..., 1] -= over * ~first
    return np.copysign(rounded.reshape(len(sizes), -1)[:, :columns], numbers)
