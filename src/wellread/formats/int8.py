"""A matrix of 8-bit integers and the scales that make floats of it.

Products of int8 matrices, here and in the kernel: an input x [in] is multiplied by the input scales, becomes unsigned
8-bit numbers with a scale and a zero point of its own, and meets the integers in exact arithmetic.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import WeightsError

LARGEST = 127  # of an integer's size
# Of the sizes of neighbours 2i and 2i + 1 of a row together: AVX2 adds the products of two with unsigned 8-bit inputs
# in 16 bits, and 255 * 128 is the most that these hold.
LARGEST_PAIR = 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Int8Matrix:
    """The weights of a linear map, or a table: float = values * scales of the rows * input scales of the columns."""

    values: NDArray[np.int8]  # [rows, columns]
    scales: NDArray[np.float32]  # [rows]
    input_scales: NDArray[np.float32] | None = None  # [columns], what inputs are multiplied by first; None: 1

    def product(self) -> NDArray[np.float32]:
        """Return the floats [rows, columns] that the integers stand for."""
        floats = self.values * self.scales[:, None]
        return floats if self.input_scales is None else floats * self.input_scales

    def take(self, rows: NDArray[np.integer]) -> Int8Matrix:
        """Return the matrix of some of the rows."""
        return replace(self, values=self.values[rows], scales=self.scales[rows])

    def check(self, name: str, *, multiplied: bool) -> None:
        """Refuse scales that scale nothing and, in a matrix that inputs are `multiplied` by, neighbours too large.

        Raises: WeightsError that calls the matrix `name`.
        """
        for what, scales in (("row", self.scales), ("input", self.input_scales)):
            if scales is not None and not (np.isfinite(scales) & (scales > 0)).all():
                wrong = scales[~(np.isfinite(scales) & (scales > 0))]
                raise WeightsError(
                    f"the {what} scales of the int8 matrix {name} must be finite and above 0; found {len(wrong)} of "
                    f"{len(scales)} that are not, the first {wrong[0]}; quantise the module again"
                )
        pairs = largest_pair(self.values) if multiplied else 0
        if pairs > LARGEST_PAIR:
            raise WeightsError(
                f"neighbours 2i and 2i + 1 in a row of the int8 matrix {name} may come to {LARGEST_PAIR} together, "
                f"which every CPU can multiply exactly; found {pairs}; quantise the module again"
            )


def largest_pair(values: NDArray[np.int8]) -> int:
    """Return the largest sum of the sizes of neighbours 2i and 2i + 1 in any row; the last of an odd row is alone.

    >>> largest_pair(np.array([[1, -2, 100], [64, 64, -3]], np.int8))
    128
    """
    sizes = np.abs(values.astype(np.int16))
    even, odd = sizes[:, 0::2], sizes[:, 1::2]
    pairs = even[:, : odd.shape[1]] + odd
    return int(max(pairs.max(initial=0), even.max(initial=0)))
