"""Batches with padding to rows without, as the native kernel takes them, and back; what it pools by."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import Inputs
from wellread.encoder.heads import POOLING_MASK
from wellread.text.batch import Joined

Array = NDArray[Any]
Floats = NDArray[np.float32]

SUMS = ("mean", "weightedmean", "mean_sqrt_len_tokens")  # poolings that divide a sum over the tokens


def kept_positions(mask: Array, *, everywhere: bool) -> NDArray[np.bool_]:
    """Say which positions [B, T] are computed: a text's tokens; all of them where `everywhere` says so.

    All, too, of a row whose tokens do not stand at its beginning, and of one without: there attention is uniform.

    >>> kept_positions(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]]), everywhere=False).sum(1).tolist()
    [2, 3, 3]
    """
    attended: NDArray[np.bool_] = mask != 0
    lengths = attended.sum(1, keepdims=True)
    at_beginning = (attended == (np.arange(mask.shape[1]) < lengths)).all(1, keepdims=True) & (lengths > 0)
    return attended | ~at_beginning | everywhere


def join(inputs: Inputs, kept: NDArray[np.bool_]) -> Joined:
    """Put the kept positions [B, T] of a batch back to back."""
    rows = {
        name: np.asarray(array)[kept].astype(np.int32) for name, array in inputs.items() if array.shape == kept.shape
    }
    mask = rows["input_mask"] != 0
    pooled = rows.get(POOLING_MASK)
    return Joined(
        ids=rows["input_word_ids"],
        splits=np.array([0, *accumulate(kept.sum(1).tolist())], np.int64),
        types=rows.get("input_type_ids"),
        mask=None if mask.all() else mask,
        pooled=None if pooled is None else pooled != 0,
    )


def together(parts: Sequence[Joined]) -> Joined:
    """Put the rows of several one behind the other."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part.ids) for part in parts]
    begins = accumulate(sizes, initial=0)

    def column(arrays: Sequence[Array | None], fill: Any) -> Array | None:
        if all(array is None for array in arrays):
            return None
        return np.concatenate(
            [np.full(size, fill) if array is None else array for array, size in zip(arrays, sizes, strict=True)]
        )

    return Joined(
        ids=np.concatenate([part.ids for part in parts]),
        splits=np.concatenate([[0], *(part.splits[1:] + begin for part, begin in zip(parts, begins, strict=False))]),
        types=column([part.types for part in parts], np.int32(0)),
        mask=column([part.mask for part in parts], True),
        pooled=column([part.mask if part.pooled is None else part.pooled for part in parts], True),
    )


def padded(states: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Put states [N, D] in their positions [B, T, D], zeros in those that were not computed."""
    if kept.all():
        return states.reshape(*kept.shape, -1) if kept.size else np.empty((*kept.shape, states.shape[1]), np.float32)
    array = np.zeros((*kept.shape, states.shape[1]), np.float32)
    array[kept] = states
    return array


def positions_of(rows: Joined, offset: int) -> NDArray[np.int32]:
    """Return the row of the position table that each token has [N]: see `Ops.positions`.

    >>> rows = Joined(ids=np.array([7, 1, 8, 9, 9]), splits=np.array([0, 3, 5]))
    >>> positions_of(rows, 2).tolist()
    [2, 1, 3, 2, 3]
    """
    real = rows.ids != offset - 1
    counts = np.cumsum(real)
    before = (counts - real)[rows.splits[:-1]]  # real tokens of the rows before
    return ((counts - np.repeat(before, rows.lengths)) * real + (offset - 1)).astype(np.int32)


def pooling_weights(rows: Joined, pooling: str | None) -> Floats | None:
    """Return what each token counts in a pooling of SUMS [N]; None: 1."""
    pooled = rows.mask if rows.pooled is None else rows.pooled
    if pooling == "weightedmean":
        ramp = (rows.columns + 1).astype(np.float32)
        return ramp if pooled is None else ramp * pooled
    return None if pooled is None else pooled.astype(np.float32)


def divided(sums: Floats, rows: Joined, weights: Floats | None, *, root: bool) -> Floats:
    """Divide sums [B, D] by the sum of their weights, or by its square root."""
    totals = rows.lengths.astype(np.float32) if weights is None else np.add.reduceat(weights, rows.splits[:-1])
    totals = np.maximum(totals, np.float32(1e-9))[:, None]
    return sums / (np.sqrt(totals) if root else totals)
