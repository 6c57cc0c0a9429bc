"""The sorted table of keys and values, in LevelDB's format, that the `.index` file of a TensorFlow checkpoint is.

https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from wellread.errors import CheckpointError
from wellread.formats.arrays import check_magic
from wellread.formats.protobuf import read_varint

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_HANDLES = 40  # bytes of the footer before the magic number: where two blocks lie, then zeros
_TRAILER = 5  # bytes after a block: how it is compressed, and its checksum
_PLAIN, _SNAPPY = 0, 1
# A model of twelve layers with its optimizer takes 20 kB and 600 keys.
_MAX_FILE = 8_000_000  # bytes
_MAX_ENTRIES = 100_000
_MAX_KEY = 1024  # bytes: a key may repeat its predecessor at no cost in the file

_Span = tuple[int, int]  # where the content of a block begins and ends in the file


def read_table(path: Path) -> dict[bytes, bytes]:
    """Read a whole table, in the order of its keys.

    Every byte of the file is accounted for: the blocks lie end to end and each is held against its CRC-32C.

    Raises:
        CheckpointError: the file is missing, damaged, hostile, compressed, or of another format.
    """
    check_magic(path, expected="a TensorFlow checkpoint's index", matches=lambda magic: magic.startswith(b"\0"))
    try:
        if (size := path.stat().st_size) > _MAX_FILE:
            raise ValueError(f"{size} bytes (at most {_MAX_FILE} are read)")
        return _table(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(
            f"{path} was to be read as a TensorFlow checkpoint's index; found {error}; "
            "fetch the file again, or save it again with TensorFlow"
        ) from None


def mask_crc(crc: int) -> int:
    """Return a CRC-32C as the format stores it, so that a checksum over checksums stays a good one.

    >>> hex(mask_crc(0))
    '0xa282ead8'
    """
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table(raw: bytes) -> dict[bytes, bytes]:
    footer = len(raw) - _HANDLES - len(_MAGIC)
    if footer < 0 or not raw.endswith(_MAGIC):
        raise ValueError(f"{len(raw)} bytes that do not end as a table does, so it was cut or is something else")
    metadata, position = _span(raw, footer)
    index, position = _span(raw, position)
    if any(raw[position : footer + _HANDLES]):
        raise ValueError("bytes other than zeros in the padding at its end")
    table: dict[bytes, bytes] = {}
    end = _read_blocks(raw, index, table)
    for span in (metadata, index):  # nothing else stands between the last block and the footer
        end = _follow(span, end)
    if end != footer:
        raise ValueError(f"{footer - end} bytes between its blocks and its end")
    if any(_entries(_block(raw, metadata))):
        raise ValueError("metadata, which TensorFlow does not write")
    return table


def _read_blocks(raw: bytes, index: _Span, table: dict[bytes, bytes]) -> int:
    """Fill `table` from the blocks that the index block lists; return where they end."""
    end, last = 0, b""
    for bound, handle in _entries(_block(raw, index)):
        span, length = _span(handle, 0)
        if length != len(handle):
            raise ValueError(f"{len(handle) - length} bytes after the place of a block")
        end = _follow(span, end)
        before = len(table)
        for key, value in _entries(_block(raw, span)):
            if table and key <= last:
                raise ValueError(f"the key {key!r} after {last!r}, where keys must rise")
            table[key], last = value, key
            if len(table) > _MAX_ENTRIES:
                raise ValueError(f"more than {_MAX_ENTRIES} keys")
        if len(table) == before or bound < last:  # a search by these bounds would miss a key
            raise ValueError(f"a block of {len(table) - before} keys, the last {last!r}, below the bound {bound!r}")
        last = bound
    return end


def _span(raw: bytes, start: int) -> tuple[_Span, int]:
    """Read the place of a block; return it and where its description ends."""
    offset, start = read_varint(raw, start)
    size, start = read_varint(raw, start)
    return (offset, offset + size), start


def _follow(span: _Span, end: int) -> int:
    """Check that a block begins where the one before it ends; return where the one after it begins."""
    begin, stop = span
    if begin != end:
        raise ValueError(f"a block at byte {begin} where the one before it ends at {end}")
    return stop + _TRAILER


def _block(raw: bytes, span: _Span) -> bytes:
    """Return the content of a block, whose checksum must be right."""
    start, end = span
    trailer = raw[end : end + _TRAILER]
    if len(trailer) != _TRAILER:
        raise ValueError(f"a block that ends at byte {end} in a file of {len(raw)}")
    stored = int.from_bytes(trailer[1:], "little")
    if (crc := mask_crc(google_crc32c.value(raw[start : end + 1]))) != stored:
        raise ValueError(f"a block at byte {start} with the checksum {crc:08x} in place of {stored:08x}")
    if trailer[0] != _PLAIN:
        name = "snappy" if trailer[0] == _SNAPPY else str(trailer[0])
        raise ValueError(f"a block at byte {start} of the compression {name}, which is not read")
    return raw[start:end]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block; each key is written as what it adds to the beginning of the last."""
    # The restarts, places from which keys can be searched, are left unread: all are read in turn.
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise ValueError(f"a block of {len(block)} bytes with {restarts} restarts")
    key, position = b"", 0
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        length, position = read_varint(block, position)
        if shared > len(key) or unshared + length > end - position:
            raise ValueError(f"a key of {shared} + {unshared} bytes and a value of {length} where they do not fit")
        if shared + unshared > _MAX_KEY:
            raise ValueError(f"a key of {shared + unshared} bytes (at most {_MAX_KEY} are read)")
        key = key[:shared] + block[position : position + unshared]
        position += unshared + length
        yield key, block[position - length : position]
