"""Vectors as they are searched: arrays, .npy files, Parquet files, and directories of Parquet shards.

Nothing is read whole: a .npy file is mapped into memory, Parquet is decoded a batch of rows at a time.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wellread.data.formats import ENDINGS, ending_of
from wellread.errors import DataError, InputError, nearest
from wellread.searching.forms import form_of
from wellread.searching.search import Block, Part, Rows, Vectors

PART = 16384  # rows
COLUMN = "embedding"


class VectorsFile(Vectors, Protocol):
    """Vectors with what else is known of their rows."""

    @property
    def fingerprint(self) -> str | None:
        """Of the module that made them, where it is known."""

    @property
    def columns(self) -> Sequence[str]:
        """The other columns of their rows."""

    def records(self, rows: Rows, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Return these columns of some rows."""


def open_vectors(source: Any, *, column: str = COLUMN, precision: str | None = None, scale: Any = None) -> VectorsFile:
    """Open vectors: an array [N, W], a .npy or .parquet file, or a directory of Parquet shards.

    float32 and float64 are taken as "float32", float16 as "float16", int8 as "int8" and uint8 as "binary", packed bits,
    unless `precision` or the file says otherwise: int8 is "binary" too, where sentence-transformers packed it. `scale`
    is what "int8" is multiplied by, a number or one for each dimension. `column` holds the vectors of Parquet: a list
    of fixed or equal lengths; a row without one is passed over.

    Raises: DataError for what is damaged, holds no vectors or contradicts itself; InputError for what is no array.

    >>> open_vectors(np.zeros((5, 3), np.float16)).form.precision
    'float16'
    """
    if isinstance(source, str | os.PathLike):
        path = Path(os.path.expanduser(source))
        if not path.exists():
            raise DataError(
                f"vectors were asked of {path}; there is no such file{_near(path)}; name a .parquet or .npy file, or a "
                "directory of shards, after the query"
            )
        if path.is_dir() or path.suffix.lower() == ".parquet":
            from wellread.searching.parquet_vectors import ParquetVectors

            return ParquetVectors(path, column=column, precision=precision, scale=scale)
        array, name = _mapped(path), str(source)
    else:
        array, name = _array(source), "the array"
    return ArrayVectors(array, name=name, precision=precision, scale=scale)


def check_fingerprint(vectors: VectorsFile | None, fingerprint: Callable[[], str]) -> None:
    """Refuse vectors that say that another module made them; it takes a while to make a module's fingerprint.

    Raises: InputError.
    """
    if vectors is None or vectors.fingerprint is None or vectors.fingerprint == (own := fingerprint()):
        return
    raise InputError(
        f"vectors of this module, whose fingerprint is {own}, were expected of {vectors.name}; found those of "
        f"{vectors.fingerprint}; load the module that made them, or pass check_fingerprint=False"
    )


class ArrayVectors:
    """The rows of an array [N, W], in memory or of a .npy file that is mapped into it.

    A row of a file that is NaN from end to end is without a vector: as such `wellread embed` leaves one that it could
    not encode.
    """

    fingerprint = None
    columns = ()

    def __init__(self, array: NDArray[Any], *, name: str, precision: str | None = None, scale: Any = None) -> None:
        """Take an array. Raises: DataError for another shape or type."""
        if array.ndim != 2 or 0 in array.shape:
            raise DataError(
                f"vectors were expected of {name}, an array of shape [rows, numbers]; found one of shape "
                f"{list(array.shape)}; embed some texts first"
            )
        self.name, self.rows, self._array = name, len(array), array
        self.form = form_of(name, array.dtype, array.shape[1], precision=precision, scale=scale)

    def parts(self) -> Sequence[Part]:
        return [partial(self._part, first) for first in range(0, self.rows, PART)]

    def _part(self, first: int) -> Iterator[Block]:
        stored = np.asarray(self._array[first : first + PART])
        last = first + len(stored)
        missing = _missing(self._array, stored)
        yield np.arange(first, last)[~missing], stored[~missing] if missing.any() else stored
        _let_go(self._array, first, last)

    def take(self, rows: Rows) -> NDArray[Any]:
        stored = np.asarray(self._array[rows])
        if (missing := _missing(self._array, stored)).any():
            raise DataError(
                f"the vectors of {len(rows)} rows were asked of {self.name}; found none in row {rows[missing][0]}; "
                "embed that row again"
            )
        return stored

    def records(self, rows: Rows, columns: Sequence[str]) -> list[dict[str, Any]]:
        return [{} for _ in rows]


def _array(given: Any) -> NDArray[Any]:
    """Take an array, a tensor on the CPU, or lists of numbers. Raises: InputError."""
    try:
        array = np.asarray(given)
        return array if hasattr(given, "dtype") else array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"vectors were expected, an array [N, E] or a file; {error}; pass what encode returns"
        ) from None


def _mapped(path: Path) -> NDArray[Any]:
    """Map a .npy file into memory. Raises: DataError for what is none."""
    if path.suffix.lower() != ".npy":
        advice = f"wellread embed {path} -o vectors.parquet" if ending_of(str(path)) in ENDINGS else "wellread embed"
        raise DataError(
            f"vectors were asked of {path}, in a .parquet or .npy file or a directory of shards; found a file of "
            f"another kind; make vectors of its texts first: {advice}"
        )
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"vectors were asked of {path}; it cannot be read: {error}; write the file again") from None


def _missing(array: NDArray[Any], stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which rows [n, W] of a mapped file have no vector."""
    if not isinstance(array, np.memmap) or stored.dtype.kind != "f":
        return np.zeros(len(stored), np.bool_)
    missing = np.isnan(stored[:, 0])
    missing[missing] = np.isnan(stored[missing]).all(1)
    return missing


def _let_go(array: NDArray[Any], first: int, last: int) -> None:
    """Give the pages of some rows of a mapped file back to the system, which keeps what it has room for.

    Without that all of the file counts as memory of this process. A page that is shared with other rows is read again.
    """
    pages = array.base
    if not isinstance(array, np.memmap) or not isinstance(pages, mmap.mmap) or not hasattr(pages, "madvise"):
        return
    bytes_a_row = array.strides[0]
    start = array.offset % mmap.ALLOCATIONGRANULARITY + first * bytes_a_row  # in the mapping
    start -= start % mmap.PAGESIZE
    if array.flags.c_contiguous:
        pages.madvise(mmap.MADV_DONTNEED, start, (last - first) * bytes_a_row)


def _near(path: Path) -> str:
    names = os.listdir(path.parent) if path.parent.is_dir() else []
    return nearest(path.name, [name for name in names if Path(name).suffix in (".npy", ".parquet")])
