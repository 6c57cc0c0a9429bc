"""The index of a TensorFlow tensor bundle: the shards there are, and the type, shape and place of every tensor.

The messages are defined in tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

from pathlib import Path

from wellread.errors import CheckpointError
from wellread.weights.bundle_entry import CHECKSUM, STRING, Entry
from wellread.weights.dtypes import num_bytes
from wellread.weights.protobuf import Message, parse
from wellread.weights.table_file import read_table

# TensorFlow's numbers of types, and ours; tensorflow/core/framework/types.proto
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: STRING,
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
_NOT_READ = {8: "complex64", 11: "qint8", 12: "quint8", 13: "qint32", 15: "qint16", 16: "quint16", 18: "complex128"}
_NOT_READ |= {20: "resource", 21: "variant", 24: "float8_e5m2", 25: "float8_e4m3fn"}
_SHARDS, _ENDIANNESS, _VERSION = 1, 2, 3  # fields of the header
_MIN_CONSUMER, _BAD_CONSUMERS = 2, 3  # of its version; 1, the writer's own, says nothing about the reader
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CRC, _SLICES = 1, 2, 3, 4, 5, 6, 7  # of an entry
_DIM, _UNKNOWN_RANK = 2, 3  # of its shape
_LENGTH, _DIM_NAME = 1, 2  # of a dimension; its name, if any, changes nothing
_READER = 1  # the version of the format that this file reads
_MAX_SHARDS = 1000
_MAX_DIMENSIONS = 64  # what NumPy can hold
_MAX_NAMED = 20  # faults in one message


def read_index(prefix: Path) -> dict[Path, list[Entry]]:
    """Read `PREFIX.index`: every shard, with the entries that lie in it. Of the shards nothing is read.

    Raises:
        CheckpointError: the index is missing, damaged or hostile, or lists what wellread does not read.
    """
    path = prefix.with_name(f"{prefix.name}.index")
    table = read_table(path)
    if b"" not in table:
        raise _refused(path, ["no header"])
    try:
        count = _count_shards(table.pop(b""))
    except ValueError as error:
        raise _refused(path, [f"{error} in the header"]) from None
    paths = [prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{count:05d}") for i in range(count)]
    shards: dict[Path, list[Entry]] = {path: [] for path in paths}
    faults = []
    for key, raw in table.items():
        try:
            entry = _entry(key, raw, paths)
        except ValueError as error:
            faults.append(f"{key.decode('utf-8', 'backslashreplace')!r} with {error}")
        else:
            shards[entry.path].append(entry)
    if faults:
        raise _refused(path, faults)
    return shards


def _count_shards(raw: bytes) -> int:
    header = parse(raw, known={_SHARDS, _ENDIANNESS, _VERSION})
    version = parse(header.content(_VERSION), known={1, _MIN_CONSUMER, _BAD_CONSUMERS})
    if version.number(_MIN_CONSUMER) > _READER or _BAD_CONSUMERS in version.values:
        raise ValueError(f"a format for readers of version {version.number(_MIN_CONSUMER)} (wellread reads {_READER})")
    if header.number(_ENDIANNESS):
        raise ValueError("big-endian numbers, which are not read,")
    if not 0 < (count := header.number(_SHARDS)) <= _MAX_SHARDS:
        raise ValueError(f"{count} shards (1 to {_MAX_SHARDS} are read)")
    return count


def _entry(key: bytes, raw: bytes, shards: list[Path]) -> Entry:
    entry = parse(raw, known={_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CRC, _SLICES})
    if _SLICES in entry.values or key.startswith(b"\0"):  # the whole variable, or one of its parts
        raise ValueError("a variable in parts, which are not joined")
    if (number := entry.number(_DTYPE)) not in _DTYPES:
        raise ValueError(f"the type {number} ({_NOT_READ.get(number, 'unknown')}), which is not read")
    if not 0 <= (shard := entry.number(_SHARD)) < len(shards):
        raise ValueError(f"the shard {shard} of {len(shards)}")
    dtype, shape, size = _DTYPES[number], _shape(entry), entry.number(_SIZE)
    _check_size(dtype, shape, size)
    return Entry(
        key=key.decode("utf-8"),
        dtype=dtype,
        shape=shape,
        path=shards[shard],
        offset=entry.number(_OFFSET),
        size=size,
        crc=entry.number(_CRC),
    )


def _shape(entry: Message) -> tuple[int, ...]:
    shape = parse(entry.content(_SHAPE), known={_DIM, _UNKNOWN_RANK})
    dims = shape.contents(_DIM)
    if shape.number(_UNKNOWN_RANK) or len(dims) > _MAX_DIMENSIONS:
        raise ValueError(f"a shape of {len(dims)} dimensions (at most {_MAX_DIMENSIONS} are read), or of no known rank")
    return tuple(parse(dim, known={_LENGTH, _DIM_NAME}).number(_LENGTH) for dim in dims)


def _check_size(dtype: str, shape: tuple[int, ...], size: int) -> None:
    if dtype == STRING:  # every string takes a byte at least, for its length
        needed = num_bytes(shape, "uint8")
        fits = needed is not None and needed + CHECKSUM <= size
    else:
        fits = num_bytes(shape, dtype) == size
    if not fits:
        raise ValueError(f"the shape {list(shape)} and the type {dtype} in {size} bytes")


def _refused(path: Path, faults: list[str]) -> CheckpointError:
    named = ", ".join(faults[:_MAX_NAMED])
    more = f" and {len(faults) - _MAX_NAMED} more" if len(faults) > _MAX_NAMED else ""
    return CheckpointError(
        f"{path} was to be read as a TensorFlow checkpoint's index; found {named}{more}; "
        "fetch the file again, or save whole variables of plain numbers with TensorFlow"
    )
