"""The arithmetic of int8 products, exactly, on NumPy: what the native kernel is tested against.

An input row becomes unsigned 8-bit numbers u with a scale s and a zero point z of its own: x = s * (u - z). Its product
with a row of integers w is s * scale * (sum of u * w - z * sum of w), summed exactly. The inner layer, whose values are
many and uneven, is cut into chunks with a scale and a zero point each.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.formats.int8 import Int8Matrix

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

CHUNK = 512  # columns of the inner layer that share a scale, at most
CHUNK_STEP = 32  # what their number is rounded up to
STEPS = 255  # of an unsigned 8-bit number
FLAT = 1e-30  # a row that spans no more is all zeros


def chunk_width(columns: int) -> int:
    """Return how wide the chunks of an inner layer are: the fewest equal ones of at most 512, rounded up to 32.

    >>> [chunk_width(columns) for columns in (37, 512, 640, 1536, 3072)]
    [64, 512, 320, 512, 512]
    """
    width = ceil(columns / ceil(columns / CHUNK))
    return ceil(width / CHUNK_STEP) * CHUNK_STEP


def is_down(name: str) -> bool:
    """Say whether a linear map is the one that takes the inner layer back to the hidden width."""
    return name.endswith(".output.dense") and not name.endswith(".attention.output.dense")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantised:
    """Rows [..., in] as unsigned 8-bit numbers, with a scale and a zero point [..., 1] each; all are float32."""

    numbers: Floats  # whole, 0 to 255
    scale: Floats
    zero: Floats  # whole, 0 to 255

    def floats(self) -> Floats:
        """Return the floats that the numbers stand for."""
        return (self.numbers - self.zero) * self.scale


def quantise_rows(x: NDArray[np.floating]) -> Quantised:
    """Quantise rows in float32, as the kernel does; 0 is always met exactly."""
    rows = x.astype(np.float32, copy=False)
    low = np.minimum(rows.min(-1, keepdims=True), np.float32(0))
    span = np.maximum(rows.max(-1, keepdims=True), np.float32(0)) - low
    scale = np.where(span > np.float32(FLAT), span / np.float32(STEPS), np.float32(1))
    inverse = np.float32(1) / scale
    zero = np.rint(-low * inverse)
    numbers = np.clip(np.rint(rows * inverse) + zero, np.float32(0), np.float32(STEPS))
    return Quantised(numbers=numbers, scale=scale, zero=zero)


def int8_product(x: NDArray[np.floating], matrix: Int8Matrix, *, width: int | None = None) -> Array:
    """Multiply x [..., in] with an int8 matrix [out, in]: float64 [..., out]; chunks of `width` columns, or one."""
    scaled = x.astype(np.float32) if matrix.input_scales is None else x.astype(np.float32) * matrix.input_scales
    columns = scaled.shape[-1]
    total = np.zeros((*scaled.shape[:-1], len(matrix.values)))
    for begin in range(0, columns, width or columns):
        chunk = slice(begin, begin + (width or columns))
        rows, values = quantise_rows(scaled[..., chunk]), matrix.values[:, chunk].astype(np.float64)
        # whole numbers below 2**53: float64 loses nothing, and BLAS multiplies it
        sums = rows.numbers.astype(np.float64) @ values.T - rows.zero.astype(np.float64) * values.sum(1)
        total += rows.scale.astype(np.float64) * matrix.scales * sums
    return total
