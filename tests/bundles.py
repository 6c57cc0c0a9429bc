"""TensorFlow tensor bundles written by hand, byte by byte, so that any part of one can be made wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import google_crc32c

from wellread.formats.leveldb_table import mask_crc

MAGIC = bytes.fromhex("57fb808b247547db")


def varint(value: int) -> bytes:
    value %= 2**64  # negative numbers as protobuf has them
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    """One field of a message; a number as a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def checksum(content: bytes) -> bytes:
    return mask_crc(google_crc32c.value(content)).to_bytes(4, "little")


def header(*, shards: int = 1, endianness: int = 0, version: bytes = field(1, 1)) -> bytes:
    return field(1, shards) + field(2, endianness) + field(3, version)


def entry(
    content: bytes,
    *,
    dtype: int = 1,
    shape: Sequence[int] = (),
    shard: int = 0,
    offset: int = 0,
    size: int | None = None,
    extra: bytes = b"",
) -> bytes:
    dims = b"".join(field(2, field(1, length)) for length in shape)
    place = field(3, shard) + field(4, offset) + field(5, len(content) if size is None else size)
    return field(1, dtype) + field(2, dims) + place + varint(6 << 3 | 5) + checksum(content) + extra


def row(key: bytes, value: bytes, *, shared: int = 0) -> bytes:
    """One entry of a block; `key` is what it adds to the first `shared` bytes of the last."""
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def block(rows: bytes, *, restarts: int = 1, stated: int | None = None, compression: int = 0) -> bytes:
    """Frame the rows of a block; `stated` is a wrong number of restarts."""
    count = restarts if stated is None else stated
    content = rows + bytes(4 * restarts) + count.to_bytes(4, "little") + bytes([compression])
    return content + checksum(content)


def handle(offset: int, framed: bytes) -> bytes:
    return varint(offset) + varint(len(framed) - 5)


def table(
    *blocks: bytes,
    metadata: bytes = b"",
    bounds: Sequence[bytes] = (),
    padding: bytes = b"\0",
    gap: bytes = b"",
    surplus: bytes = b"",
) -> bytes:
    """Join framed blocks of data to a table; a bound of the index is high, unless it is given.

    `gap` stands before every block, and `surplus` after every place of one.
    """
    bounds = bounds or [b"\xff" * (i + 1) for i in range(len(blocks))]
    raw, rows = b"", b""
    for bound, framed in zip(bounds, blocks, strict=True):
        raw += gap
        rows += row(bound, handle(len(raw), framed) + surplus)
        raw += framed
    meta, index = block(metadata), block(rows)
    places = handle(len(raw), meta) + handle(len(raw + meta), index)
    return raw + meta + index + places.ljust(40, padding) + MAGIC


def write_bundle(prefix: Path, entries: Mapping[str, bytes], *shards: bytes, head: bytes | None = None) -> Path:
    """Write an index over `entries`, and the shards; return the prefix."""
    rows = row(b"", head if head is not None else header(shards=len(shards)))
    rows += b"".join(row(key.encode(), entries[key]) for key in sorted(entries))
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(block(rows)))
    for i, shard in enumerate(shards):
        prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{len(shards):05d}").write_bytes(shard)
    return prefix
