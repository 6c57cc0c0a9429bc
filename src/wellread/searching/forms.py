"""How the numbers of vectors are stored: in float32, float16, int8 with scales, or packed bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import DataError

FloatArray = NDArray[np.floating]

# What the metadata of a Parquet file's schema says of its vectors. The scale is JSON: a number, or one for each
# dimension; dimensions are the number of bits of "binary".
PRECISION_KEY, SCALE_KEY = "wellread.precision", "wellread.scale"
DIMENSIONS_KEY, FINGERPRINT_KEY = "wellread.dimensions", "wellread.fingerprint"
PRECISIONS = {"float32": "f", "float16": "e", "int8": "b", "binary": "Bb"}  # and the types of their numbers
LARGEST_HALF = np.float32(65536)  # what a float16 stays below, unless it is no number


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the numbers of vectors are stored."""

    precision: str  # one of PRECISIONS
    width: int  # W, numbers of a row as stored: 8 bits each of "binary"
    dimensions: int | None = None  # E of "binary", where it is known
    scale: NDArray[np.float32] | None = None  # of "int8": number = stored number x scale, [] or [W]; None: 1

    def fits(self, width: int) -> bool:
        """Say whether a query of so many numbers can be compared with such vectors."""
        if self.precision != "binary":
            return width == self.width
        return width == self.dimensions if self.dimensions is not None else -(-width // 8) == self.width


def form_of(
    name: str,
    dtype: np.dtype[Any],
    width: int,
    *,
    precision: str | None = None,
    scale: Any = None,
    dimensions: int | None = None,
) -> Form:
    """Return how numbers of a type are stored. Raises: DataError for types, precisions and scales that do not match.

    >>> form_of("the array", np.dtype(np.uint8), 48).precision
    'binary'
    """
    inferred = {"f": "float32", "d": "float32", "e": "float16", "b": "int8", "B": "binary"}.get(dtype.char)
    precision = precision or inferred
    if precision is None or (precision != inferred and dtype.char not in PRECISIONS.get(precision, "")):
        raise DataError(
            f"vectors of {precision or ', '.join(PRECISIONS)} were expected of {name}; found numbers of {dtype}; store "
            "them as one of float32, float16, int8 with a scale, or packed bits in uint8"
        )
    if scale is not None:
        scale = np.asarray(scale, np.float32)
        if (
            precision != "int8"
            or scale.shape not in ((), (1,), (width,))
            or not (np.isfinite(scale) & (scale > 0)).all()
        ):
            raise DataError(
                f"scale= must be a number above 0, or one for each of {width} numbers, of vectors in int8; found "
                f"{list(scale.shape)} scales of vectors in {precision} in {name}; correct it"
            )
    bits = 8 if precision == "binary" else 1
    if dimensions is not None and -(-dimensions // bits) != width:
        raise DataError(
            f"{width} numbers of {bits} dimensions were expected of {name}, whose vectors are {precision}; found "
            f"{dimensions} dimensions; write the file again"
        )
    return Form(precision=precision, width=width, dimensions=dimensions, scale=scale)


def floats_of(stored: NDArray[Any], form: Form) -> FloatArray:
    """Return stored vectors [n, W] of any form but binary in float32; float16 as `_from_half` does.

    >>> floats_of(np.array([[-2, 4]], np.int8), Form(precision="int8", width=2, scale=np.float32(0.5))).tolist()
    [[-1.0, 2.0]]
    """
    if form.precision == "float16" and stored.dtype == np.float16:
        return _from_half(np.ascontiguousarray(stored))
    floats: FloatArray = np.ascontiguousarray(stored, np.float32)
    if form.scale is not None:
        floats *= form.scale
    return floats


def _from_half(halves: NDArray[np.float16]) -> NDArray[np.float32]:
    """Convert as `astype` does, ten times as fast; what is no finite number becomes one of at least 65,536.

    The bits of a half, moved to where a float32 has them, are its number divided by 2^112. Source: F. Giesen,
    "Half to float done quick", 2012.
    """
    bits = np.left_shift(halves.view(np.int16), 13, dtype=np.int32)  # the sign is copied to all bits before it
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)
    floats = bits.view(np.float32)
    return np.multiply(floats, np.float32(2.0**112), out=floats)


def words_of(packed: NDArray[Any]) -> NDArray[np.uint64]:
    """Return packed bits [n, W], as uint8 or less 128 as int8, in words of 64 bits, zeros at the end.

    >>> words_of(np.array([[1], [255]], np.uint8)).tolist() == words_of(np.array([[-127], [127]], np.int8)).tolist()
    True
    """
    octets = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    octets[:, : packed.shape[1]] = packed
    if packed.dtype == np.int8:
        octets[:, : packed.shape[1]] ^= 128
    return octets.view(np.uint64)
