"""TensorFlow's tensor bundle, which TF1 checkpoints and SavedModels keep their variables in, read without TensorFlow.

The messages are defined in tensorflow/core/protobuf/tensor_bundle.proto.

It is an `.index`, and the bytes of all tensors in shards: `.data-00000-of-00001`. The format is described in
tensorflow/core/util/tensor_bundle/tensor_bundle.h.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain, pairwise
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, nearest
from wellread.formats.arrays import StoredTensor, check_magic, decode, num_bytes, read_words
from wellread.formats.leveldb_table import mask_crc, read_table
from wellread.formats.protobuf import parse, read_varint

Array = NDArray[np.generic]

STRING = "string"  # the dtype of a tensor of strings
CHECKSUM = 4  # bytes between the lengths of strings and what they hold
_MAX_STRINGS = 4_000_000  # bytes of one entry: the object graph of a large model takes less than one million


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tensor of numbers or of strings, by the place of its bytes. Every reading is held against the CRC-32C."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    path: Path  # of the shard
    offset: int
    size: int  # bytes
    crc: int  # masked

    def read(self) -> Array:
        """Read a tensor of numbers as `StoredTensor.read` has it. Raises: CheckpointError: its bytes are damaged."""
        words = read_words(self.path, self.dtype, math.prod(self.shape), offset=self.offset)
        self._check(google_crc32c.value(words.view(np.uint8)))
        return decode(words.reshape(self.shape), self.dtype, what=f"{self.key!r} of {self.path}")

    def read_strings(self) -> list[bytes]:
        """Read a tensor of strings, in C order. Raises: CheckpointError: its bytes are damaged, or more than 4 MB.

        There lie the lengths as varints, a checksum of the lengths, then the strings end to end.
        """
        if self.size > _MAX_STRINGS:
            raise self._damaged(f"{self.size} bytes of text (at most {_MAX_STRINGS} are read)")
        raw = read_words(self.path, "uint8", self.size, offset=self.offset).tobytes()
        try:
            lengths, start = [], 0
            for _ in range(math.prod(self.shape)):
                length, start = read_varint(raw, start)
                lengths.append(length)
        except ValueError as error:
            raise self._damaged(str(error)) from None
        content = start + CHECKSUM
        if content + sum(lengths) != self.size:
            raise self._damaged(f"strings of {content + sum(lengths)} bytes in the place of {self.size}")
        # both checksums are over the lengths as words of 32 bits, whatever bytes they take in the file
        crc = google_crc32c.value(np.array(lengths, "<u4").tobytes())
        self._check(google_crc32c.extend(crc, raw[start:]))
        if mask_crc(crc) != (stored := int.from_bytes(raw[start:content], "little")):
            raise self._damaged(f"lengths with the checksum {mask_crc(crc):08x} in place of {stored:08x}")
        ends = np.cumsum([content, *lengths]).tolist()
        return [raw[begin:end] for begin, end in pairwise(ends)]

    def _check(self, crc: int) -> None:
        if mask_crc(crc) != self.crc:
            raise self._damaged(f"bytes with the checksum {mask_crc(crc):08x} in place of {self.crc:08x}")

    def _damaged(self, found: str) -> CheckpointError:
        return CheckpointError(f"{self.key!r} was to be read from {self.path}; found {found}; fetch the file again")


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
        header = parse(table.pop(b""), known={_SHARDS, _ENDIANNESS, _VERSION})
        version = parse(header.content(_VERSION), known={1, _MIN_CONSUMER, _BAD_CONSUMERS})
        if (least := version.number(_MIN_CONSUMER)) > _READER or _BAD_CONSUMERS in version.values:
            raise ValueError(f"a format for readers of version {least} (wellread reads {_READER})")
        if header.number(_ENDIANNESS):
            raise ValueError("big-endian numbers, which are not read,")
        if not 0 < (count := header.number(_SHARDS)) <= _MAX_SHARDS:
            raise ValueError(f"{count} shards (1 to {_MAX_SHARDS} are read)")
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


def _entry(key: bytes, raw: bytes, shards: list[Path]) -> Entry:
    entry = parse(raw, known={_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CRC, _SLICES})
    if _SLICES in entry.values or key.startswith(b"\0"):  # the whole variable, or one of its parts
        raise ValueError("a variable in parts, which are not joined")
    if (number := entry.number(_DTYPE)) not in _DTYPES:
        raise ValueError(f"the type {number} ({_NOT_READ.get(number, 'unknown')}), which is not read")
    if not 0 <= (shard := entry.number(_SHARD)) < len(shards):
        raise ValueError(f"the shard {shard} of {len(shards)}")
    shape_message = parse(entry.content(_SHAPE), known={_DIM, _UNKNOWN_RANK})
    dims = shape_message.contents(_DIM)
    if shape_message.number(_UNKNOWN_RANK) or len(dims) > _MAX_DIMENSIONS:
        raise ValueError(f"a shape of {len(dims)} dimensions (at most {_MAX_DIMENSIONS} are read), or of no known rank")
    shape = tuple(parse(dim, known={_LENGTH, _DIM_NAME}).number(_LENGTH) for dim in dims)
    dtype, size = _DTYPES[number], entry.number(_SIZE)
    if dtype == STRING:  # every string takes a byte at least, for its length
        needed = num_bytes(shape, "uint8")
        fits = needed is not None and needed + CHECKSUM <= size
    else:
        fits = num_bytes(shape, dtype) == size
    if not fits:
        raise ValueError(f"the shape {list(shape)} and the type {dtype} in {size} bytes")
    return Entry(
        key=key.decode("utf-8"),
        dtype=dtype,
        shape=shape,
        path=shards[shard],
        offset=entry.number(_OFFSET),
        size=size,
        crc=entry.number(_CRC),
    )


def _refused(path: Path, faults: list[str]) -> CheckpointError:
    named = ", ".join(faults[:_MAX_NAMED])
    more = f" and {len(faults) - _MAX_NAMED} more" if len(faults) > _MAX_NAMED else ""
    return CheckpointError(
        f"{path} was to be read as a TensorFlow checkpoint's index; found {named}{more}; "
        "fetch the file again, or save whole variables of plain numbers with TensorFlow"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a bundle holds, by key."""

    prefix: Path
    tensors: Mapping[str, StoredTensor]  # `read()` holds the bytes against their checksum, every time
    strings: Mapping[str, Entry]  # tensors of strings, for `read_strings()`

    def string(self, key: str) -> bytes:
        """Read a scalar string. Raises: CheckpointError: there is none under `key`, or it is damaged."""
        entry = self.strings.get(key)
        if entry is None or entry.shape != ():
            what = f"strings of shape {list(entry.shape)}" if entry else f"none{nearest(key, self.strings)}"
            raise CheckpointError(
                f"{self.prefix} was to hold the single string {key!r}; found {what}; check the kind of the checkpoint"
            )
        return entry.read_strings()[0]


def read_bundle(prefix: Path) -> Bundle:
    """Open a bundle; each tensor is read from the disk when asked for.

    `prefix` is the path of the index without its `.index`: `variables/variables`, or `bert_model.ckpt`. Every byte of
    every shard must belong to exactly one tensor.

    Raises:
        CheckpointError: the index or a shard is missing or damaged, or holds what wellread does not read.

    >>> read_bundle(Path("no/bert_model.ckpt"))
    Traceback (most recent call last):
    wellread.errors.CheckpointError: no/bert_model.ckpt.index was to be read as a TensorFlow checkpoint's index; found \
no such file (No such file or directory); check the path
    """
    shards = read_index(prefix)
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise CheckpointError(
            f"{prefix} was to be read as a TensorFlow checkpoint of {len(shards)} shards; found no "
            f"{', '.join(missing)}; fetch the missing files into the same directory"
        )
    for shard, entries in shards.items():
        _check_cover(shard, entries)
    entries = list(chain.from_iterable(shards.values()))
    numbers = [entry for entry in entries if entry.dtype != STRING]
    return Bundle(
        prefix=prefix,
        tensors={entry.key: StoredTensor(shape=entry.shape, dtype=entry.dtype, read=entry.read) for entry in numbers},
        strings={entry.key: entry for entry in entries if entry.dtype == STRING},
    )


def _check_cover(shard: Path, entries: list[Entry]) -> None:
    """Check that the tensors lie end to end in the shard, from its first byte to its last."""
    end = 0
    for entry in sorted(entries, key=lambda entry: (entry.offset, entry.size)):
        if entry.offset != end:
            raise _damaged(shard, f"{entry.key!r} at byte {entry.offset} where the tensor before it ends at byte {end}")
        end += entry.size
    if (size := shard.stat().st_size) != end:
        # a pointer or a web page is text, which the numbers of a model never are
        check_magic(
            shard,
            expected="the tensors of a TensorFlow checkpoint",
            matches=lambda magic: b"\0" in magic or not magic.isascii(),
        )
        raise _damaged(shard, f"{size} bytes where the index says {end}")


def _damaged(shard: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"{shard} was to be read as the tensors of a TensorFlow checkpoint; found {found}; fetch index and shards again"
    )
