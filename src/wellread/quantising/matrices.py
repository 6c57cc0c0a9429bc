"""Floats to int8: a scale for each row, chosen by the error that it leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wellread.formats.int8 import LARGEST, LARGEST_PAIR, Int8Matrix

Floats = NDArray[np.float32]

# Of the scale at which a row's largest numbers just fit: smaller ones cut these, and let all others be finer.
FACTORS = tuple(round(1 - 0.04 * step, 2) for step in range(16))


def quantise_matrix(
    weights: Floats,
    *,
    input_scales: Floats | None = None,
    squares: Floats | None = None,
    multiplied: bool = True,
) -> Int8Matrix:
    """Quantise weights [out, in], each row with the scale that leaves the least squared error of its outputs.

    `squares` [in] are the mean squares of the inputs; without them all count alike. `input_scales` [in] are folded in
    by their inverse. A table, which nothing is `multiplied` by, may have large neighbours.
    """
    folded = weights if input_scales is None else weights / input_scales
    importance = np.ones(weights.shape[1], np.float32) if squares is None else squares
    if input_scales is not None:
        importance = importance * input_scales**2
    fitting = _fitting_scales(folded, multiplied)
    best = np.full(len(weights), np.inf)
    values, scales = np.zeros(weights.shape, np.int8), fitting.copy()
    for factor in FACTORS:
        candidate = fitting * np.float32(factor)
        rounded = _round(folded / candidate[:, None], multiplied)
        # of these integers, the scale that fits best
        weighted = rounded * importance
        refitted = (weighted * folded).sum(1) / np.maximum((weighted * rounded).sum(1), 1e-30)
        refitted = np.where(refitted > 0, refitted, candidate).astype(np.float32)
        errors = ((folded - rounded * refitted[:, None]) ** 2 * importance).sum(1)
        better = errors < best
        best[better], scales[better], values[better] = errors[better], refitted[better], rounded[better]
    return Int8Matrix(values=values, scales=scales, input_scales=input_scales)


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
