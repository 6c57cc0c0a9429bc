"""Numbers of a Parquet column whose pages hold them as they are: neither packed nor encoded, and none of them null.

Vectors are stored in just this way, and to decode lists of numbers takes pyarrow ten times as long as to read these.
Source: README.md and parquet.thrift of apache/parquet-format, and Thrift's compact protocol.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass

# fields of PageHeader, and of its DataPageHeader
PAGE_TYPE, COMPRESSED_SIZE, DATA_PAGE_HEADER = 1, 3, 5
NUM_VALUES, ENCODING, DEFINITION_LEVELS, REPETITION_LEVELS = 1, 2, 3, 4
DATA_PAGE, PLAIN, RLE = 0, 0, 3
DEEPEST = 8  # structs in structs
STORED: dict[str, np.dtype[Any]] = {
    "FLOAT": np.dtype("<f4"),
    "FIXED_LEN_BYTE_ARRAY": np.dtype("<f2"),
    "INT32": np.dtype("<i4"),
}
AT_ONCE = 8  # pages, of a megabyte each as a rule, that are read at once

Page = tuple[int, int]  # where its numbers begin in the file, and how many there are


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainColumn:
    """A column of lists of numbers in some row groups, that can be read without decoding."""

    path: Path
    stored: np.dtype[Any]  # of the numbers
    width: int  # numbers of a list
    pages: tuple[Page, ...]

    def read(self) -> Iterator[NDArray[Any]]:
        """Yield the lists [n, width], some pages at a time: pages need not end where lists do. Raises: OSError."""
        rest = np.zeros(0, self.stored)
        with self.path.open("rb") as file:
            for first in range(0, len(self.pages), AT_ONCE):
                some = [rest]
                for place, count in self.pages[first : first + AT_ONCE]:
                    file.seek(place)
                    some.append(np.fromfile(file, self.stored, count))
                numbers = np.concatenate(some)
                lists = len(numbers) // self.width
                yield numbers[: lists * self.width].reshape(lists, self.width)
                rest = numbers[lists * self.width :]


def plain_column(path: Path, metadata: Any, groups: Sequence[int], column: str, width: int) -> PlainColumn | None:
    """Find a column of lists of `width` numbers in row groups of a file; None where its pages are not plain.

    `metadata` is pyarrow's. Raises: ValueError for what is no page; OSError.
    """
    paths = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    indices = [index for index, path in enumerate(paths) if path.startswith(f"{column}.")]
    if len(indices) != 1:  # another column may be called so, with a dot
        return None
    (index,) = indices
    schema = metadata.schema.column(index)
    if schema.physical_type not in STORED:
        return None
    stored, pages = STORED[schema.physical_type], []
    levels = (schema.max_repetition_level > 0) + (schema.max_definition_level > 0)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for group in groups:
            chunk, values = metadata.row_group(group).column(index), metadata.row_group(group).num_rows * width
            if chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page or chunk.num_values != values:
                return None
            end = min(chunk.data_page_offset + chunk.total_compressed_size, len(data))
            found = _plain_pages(data, chunk.data_page_offset, end, stored.itemsize, levels)
            if found is None or sum(count for _, count in found) != values:
                return None
            pages += found
    return PlainColumn(path=path, stored=stored, width=width, pages=tuple(pages))


def _plain_pages(data: mmap.mmap, at: int, end: int, item_bytes: int, levels: int) -> list[Page] | None:
    """Return the pages from one place to another; `levels` says how many kinds of levels stand before the numbers."""
    pages = []
    while at < end:
        header, at = _struct(data, at, end)
        page = header.get(DATA_PAGE_HEADER)
        if not isinstance(page, dict) or header.get(PAGE_TYPE) != DATA_PAGE or page.get(ENCODING) != PLAIN:
            return None
        if page.get(DEFINITION_LEVELS) != RLE or page.get(REPETITION_LEVELS) != RLE:
            return None
        count, size = page.get(NUM_VALUES), header.get(COMPRESSED_SIZE)
        if not isinstance(count, int) or not isinstance(size, int) or not 0 <= size <= end - at:
            raise ValueError("a page ends beyond its column")
        following = at + size
        for _ in range(levels):
            at += 4 + int.from_bytes(data[at : at + 4], "little")
        if following - at != count * item_bytes:  # a null has no number
            return None
        pages.append((at, count))
        at = following
    return pages


def _struct(data: mmap.mmap, at: int, end: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Read a struct of Thrift's compact protocol: numbers and structs by their ids; what else it holds is skipped."""
    fields: dict[int, Any] = {}
    number = 0
    while True:
        kind, at = _byte(data, at, end)
        if kind == 0:
            return fields, at
        if kind >> 4:
            number += kind >> 4
        else:
            number, at = _whole(data, at, end)
        kind &= 15
        if kind in (1, 2):  # true and false
            continue
        if kind in (4, 5, 6):
            fields[number], at = _whole(data, at, end)
        elif kind == 8:
            length, at = _varint(data, at, end)
            at += length
        elif kind == 12 and depth < DEEPEST:
            fields[number], at = _struct(data, at, end, depth + 1)
        else:
            raise ValueError(f"a page's header has a field of type {kind}")


def _byte(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    if at >= end:
        raise ValueError("a page's header ends beyond its column")
    return data[at], at + 1


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, at = _byte(data, at, end)
        value |= (byte & 127) << shift
        if byte < 128:
            break
    return value, at


def _whole(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """Read a number in zigzag."""
    value, at = _varint(data, at, end)
    return (value >> 1) ^ -(value & 1), at
