"""ONNX files: the constants that a graph holds, and its metadata, read as data with no library; no graph is run.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError
from wellread.formats.arrays import LAYOUTS, StoredTensor, decode, num_bytes, read_words
from wellread.formats.protobuf import fields, parse

Array = NDArray[np.generic]

# numbers of fields: of a model, of its graph, of a tensor, of an entry of two strings
_GRAPH, _METADATA = 7, 14
_INITIALIZER = 5
_DIMS, _TYPE, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
_KEY, _VALUE = 1, 2
_NUMBERS_ELSEWHERE = {4, 5, 7, 10, 11}  # fields for numbers one by one; ours lie in raw_data, or in a file beside
_DIGITS = 19  # of a number of 64 bits
_DTYPES = {1: "float32", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}  # DataType of a tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnnxFile:
    """What of a model is read."""

    tensors: Mapping[str, StoredTensor]  # the initialisers of the graph, by name
    metadata: Mapping[str, str] = field(default_factory=dict)  # metadata_props


def read_onnx(path: Path) -> OnnxFile:
    """Read the initialisers and the metadata of an ONNX file.

    Numbers that lie outside are read from the file beside it that it names, when they are asked for.

    Raises:
        CheckpointError: the file is missing or damaged, or holds numbers in a form that wellread does not read.
    """
    try:
        model = memoryview(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} was to be read as an ONNX file; found that {error}; check the path") from error
    tensors: dict[str, StoredTensor] = {}
    metadata: dict[str, str] = {}
    try:
        for number, value in fields(model):
            if number == _METADATA:
                metadata |= [_entry(_bytes(value))]
            elif number == _GRAPH:
                tensors |= dict(_initialisers(path, _view(value)))
    except ValueError as error:
        raise CheckpointError(
            f"{path} was to be read as an ONNX file; found {error}; export the module again"
        ) from None
    if not tensors:
        raise CheckpointError(
            f"{path} was to be read as an ONNX file; found no constants in it; export the module again"
        )
    return OnnxFile(tensors=tensors, metadata=metadata)


def _initialisers(path: Path, graph: memoryview) -> Iterator[tuple[str, StoredTensor]]:
    for number, value in fields(graph):
        if number == _INITIALIZER:
            yield _tensor(path, _view(value))


def _tensor(path: Path, message: memoryview) -> tuple[str, StoredTensor]:
    """Read one TensorProto. Raises: ValueError."""
    dims: list[int] = []
    facts: dict[int, int | memoryview] = {}
    external: dict[str, str] = {}
    for number, value in fields(message):
        if number == _DIMS:
            dims.append(_number(value))
        elif number == _EXTERNAL:
            external |= [_entry(_bytes(value))]
        else:
            facts[number] = value
    name = _bytes(facts.get(_NAME, memoryview(b""))).decode("utf-8")
    dtype = _DTYPES.get(_number(facts.get(_TYPE, 0)))
    if dtype is None or facts.keys() & _NUMBERS_ELSEWHERE:
        raise ValueError(f"the constant {name!r} of a type or in a form that wellread does not write")
    shape = tuple(dims)
    size = num_bytes(shape, dtype)
    if size is None:
        raise ValueError(f"the constant {name!r} of the shape {dims}, which is none")
    if facts.get(_LOCATION, 0):
        return name, _outside(path, name, external, shape, dtype)
    raw = _bytes(facts.get(_RAW, memoryview(b"")))
    if len(raw) != size:
        raise ValueError(f"the constant {name!r} of shape {list(shape)} and type {dtype} in {len(raw)} bytes")
    words = np.frombuffer(raw, LAYOUTS[dtype]).reshape(shape)
    return name, StoredTensor(
        shape=shape, dtype=dtype, read=lambda: decode(words.copy(), dtype, what=name), view=lambda: words
    )


def _outside(path: Path, name: str, external: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> StoredTensor:
    """Present numbers that lie in a file beside the model. Raises: ValueError."""
    location, size = external.get("location", ""), num_bytes(shape, dtype)
    offset, length = external.get("offset", "0"), external.get("length", str(size))
    if location in ("", ".", "..") or "/" in location or "\\" in location or not (path.parent / location).is_file():
        raise ValueError(f"the constant {name!r} in {location!r}, which is no file beside it")
    if not (offset.isascii() and offset.isdigit() and len(offset) < _DIGITS) or length != str(size):
        raise ValueError(f"the constant {name!r} of {size} bytes at {offset!r}, {length!r} bytes long")

    def read() -> Array:
        words = read_words(path.parent / location, dtype, math.prod(shape), offset=int(offset))
        return decode(words.reshape(shape), dtype, what=f"{name!r} of {path}")

    return StoredTensor(shape=shape, dtype=dtype, read=read)


def _entry(message: bytes) -> tuple[str, str]:
    entry = parse(message, known={_KEY, _VALUE})
    return entry.text(_KEY), entry.text(_VALUE)


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes where a number stands")
    return value - 2**64 if value >> 63 else value


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where bytes stand")
    return value


def _bytes(value: int | memoryview) -> bytes:
    return bytes(_view(value))
