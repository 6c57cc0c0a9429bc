"""Tensors that lie in a file: their number types, and the first bytes by which a weights file is known."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError
from wellread.formats.int8 import Int8Matrix

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """One tensor of a checkpoint file.

    `read()` returns a C-contiguous array of `shape`; every floating type (float16, bfloat16, float32, float64) comes as
    float32, and so does an int8 matrix with scales; other integers and booleans as they are stored.
    """

    shape: tuple[int, ...]
    dtype: str  # as the file names it: "float32", "bfloat16", "int64" ...
    read: Callable[[], Array]
    view: Callable[[], Array] | None = None  # see `as_stored`; None: of a tensor that does not lie in a file as it is
    int8: Callable[[], Int8Matrix] | None = None  # reads the integers and scales of a matrix that has them

    def as_stored(self) -> Array:
        """Return the numbers in the type that they are stored in, not to be written to; bfloat16 as its bits, uint16.

        Large tensors of a safetensors file are a view of it: see `map_words`. Where there is none, as `read`.
        """
        return self.read() if self.view is None else self.view()

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in a file, its scales included."""
        numbers = math.prod(self.shape) * LAYOUTS[self.dtype].itemsize
        return numbers if self.int8 is None else numbers + 4 * self.shape[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the numbers themselves, which a process elsewhere can read; halves stay halves, int8 stays int8."""
        if self.int8 is not None:
            matrix = self.int8()
            return _unpickled_int8, (matrix.values, matrix.scales, matrix.input_scales)
        array = self.read()
        if self.dtype == "float16":
            array = array.astype(np.float16)
        elif self.dtype == "bfloat16":
            array = (np.ascontiguousarray(array, np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
        return _unpickled, (self.shape, self.dtype, array)


def _unpickled(shape: tuple[int, ...], dtype: str, array: Array) -> StoredTensor:
    """Take a pickled tensor back."""
    numbers = decode(array, dtype, what="a pickled tensor") if dtype in ("float16", "bfloat16") else array
    return StoredTensor(shape=shape, dtype=dtype, read=lambda: numbers)


def int8_tensor(matrix: Int8Matrix) -> StoredTensor:
    """Present an int8 matrix in memory as a tensor of a checkpoint."""
    return StoredTensor(shape=matrix.values.shape, dtype="int8", read=matrix.product, int8=lambda: matrix)


def _unpickled_int8(values: Any, scales: Any, input_scales: Any) -> StoredTensor:
    """Take a pickled int8 matrix back."""
    return int8_tensor(Int8Matrix(values=values, scales=scales, input_scales=input_scales))


def bfloat16_to_float32(words: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Widen bfloat16 bit patterns, kept as uint16, to float32 (the upper half of its bits).

    >>> bfloat16_to_float32(np.array([0x3F80, 0xC000], np.uint16)).tolist()
    [1.0, -2.0]
    """
    return (words.astype(np.uint32) << np.uint32(16)).view(np.float32)


# wellread's name of a type, and its words in the file (little-endian, as both safetensors and torch write them)
LAYOUTS: dict[str, np.dtype[np.generic]] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),  # NumPy has no bfloat16: its bits
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint64": np.dtype("<u8"),
    "uint32": np.dtype("<u4"),
    "uint16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("u1"),  # a byte above 1 would be no valid NumPy bool
}
_MAX_BYTES = 2**63 - 1  # what NumPy can address
_MAX_DIMENSIONS = 64  # what NumPy can hold


def read_words(path: Path, dtype: str, count: int, *, offset: int) -> Array:
    """Read `count` numbers that begin at byte `offset` of a file, as they lie there.

    Raises:
        CheckpointError: the file ends before them.
    """
    words = np.fromfile(path, LAYOUTS[dtype], count=count, offset=offset)
    if len(words) != count:
        raise _cut(path, count * LAYOUTS[dtype].itemsize, offset, words.nbytes)
    return words


_MAPPED = 1 << 16  # bytes of the smallest tensor that is mapped: a map takes whole pages


def map_words(path: Path, dtype: str, count: int, *, offset: int) -> Array:
    """Do as `read_words`, without reading: the array is a view of the file, its pages read when they are used.

    Small tensors are read, and so is one whose numbers do not lie at multiples of their size. A file under a view may
    be removed or replaced, as `save`, pip and the hubs' caches do; to cut it in place ends the process that uses it.

    Raises:
        CheckpointError: the file ends before them.
    """
    layout = LAYOUTS[dtype]
    size, start = count * layout.itemsize, offset - offset % mmap.ALLOCATIONGRANULARITY
    # only where a file under a view can be replaced
    if size < _MAPPED or offset % layout.itemsize or os.name != "posix":
        words = read_words(path, dtype, count, offset=offset)
        words.flags.writeable = False
        return words
    with path.open("rb") as file:
        there = max(0, os.fstat(file.fileno()).st_size - offset)
        if there < size:
            raise _cut(path, size, offset, there)
        pages = mmap.mmap(file.fileno(), offset - start + size, access=mmap.ACCESS_READ, offset=start)
    return np.frombuffer(pages, layout, count, offset - start)


def _cut(path: Path, needed: int, offset: int, found: int) -> CheckpointError:
    return CheckpointError(
        f"{path} was to hold {needed} bytes from byte {offset}; found {found}, "
        "so it was cut after it was opened; fetch the file again"
    )


def decode(words: Array, dtype: str, *, what: str) -> Array:
    """Turn words of the layout of `dtype`, of any shape and strides, into the C-contiguous array that `read()` returns.

    Raises:
        CheckpointError: a float64 lies outside the range of float32; `what` names the tensor.

    >>> decode(np.array([[0x3F80], [0xC000]], np.uint16), "bfloat16", what="a table").tolist()
    [[1.0], [-2.0]]
    """
    if dtype == "bfloat16":
        return np.asarray(bfloat16_to_float32(np.array(words, np.uint16, order="C")))
    if not dtype.startswith("float"):
        target = np.dtype(bool) if dtype == "bool" else words.dtype.newbyteorder("=")
        return np.asarray(words, target, order="C")
    try:
        # a signalling NaN stays a NaN; a number too small for float32 becomes 0 as in every framework
        with np.errstate(over="raise", under="ignore", invalid="ignore"):
            return np.asarray(words, np.float32, order="C")
    except FloatingPointError:
        raise CheckpointError(
            f"{what} was to be read as float32; found a float64 beyond {np.finfo(np.float32).max:.3g}; scale or mend it"
        ) from None


def num_bytes(shape: Sequence[int], dtype: str) -> int | None:
    """Return how many bytes a tensor of `shape` takes in a file, or None where NumPy could not hold such a shape.

    >>> num_bytes((3, 7), "bfloat16"), num_bytes((), "int64"), num_bytes((0, 2**62, 2), "int64")
    (42, 8, None)
    """
    itemsize = LAYOUTS[dtype].itemsize
    addressed = math.prod(max(length, 1) for length in shape) * itemsize
    if len(shape) > _MAX_DIMENSIONS or min(shape, default=0) < 0 or addressed > _MAX_BYTES:
        return None
    return math.prod(shape) * itemsize


_MAGIC_LENGTH = 64  # bytes: enough for every prefix below

_FETCH = "fetch the file again"
_CONVERT = "give it the name of its own format, or convert it"
# prefix, what it is, what to do
_MAGICS = (
    (b"version https://git-lfs", "a git-lfs pointer", "run `git lfs pull`, or download the file itself"),
    (b"<!doctype", "a web page", "check the address and the access rights, then fetch the file again"),
    (b"<html", "a web page", "check the address and the access rights, then fetch the file again"),
    (b"<?xml", "an XML page", "check the address and the access rights, then fetch the file again"),
    (b"pk\x03\x04", "a zip archive", _CONVERT),
    (b"\x80", "a pickle, perhaps an older torch file", _CONVERT),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"\x89hdf\r\n", "an HDF5 file", _CONVERT),
    (b"{", "a JSON file", "name the weights file itself"),
)


def check_magic(path: Path, *, expected: str, matches: Callable[[bytes], bool]) -> None:
    """Refuse a file whose first 64 bytes do not satisfy `matches`; the error names its format beside `expected`.

    Raises:
        CheckpointError: the file is missing, unreadable, empty or of another kind.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(_MAGIC_LENGTH)
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(
            f"{path} was to be read as {expected}; found no such file ({why}); check the path"
        ) from None
    if not matches(magic):
        what, advice = _identify(magic)
        raise CheckpointError(f"{path} was to be read as {expected}; found {what} ({size} bytes); {advice}")


def looks_like_safetensors(magic: bytes) -> bool:
    """Say whether `magic` may begin a safetensors file: eight bytes of header length, then a JSON object.

    >>> looks_like_safetensors(b"\\x02" + bytes(7) + b"{}")
    True
    """
    return magic[8:9] == b"{"


def _identify(magic: bytes) -> tuple[str, str]:
    """Name the format of a file by its first bytes, and say what to do with it."""
    if not magic:
        return "an empty file", _FETCH
    plain = magic.lstrip(b" \t\r\n").lower()
    for prefix, what, advice in _MAGICS:
        if plain.startswith(prefix):
            return what, advice
    if looks_like_safetensors(magic):
        return "a safetensors file", _CONVERT
    return f"bytes of no known format, beginning {magic[:8].hex(' ')}", _FETCH
