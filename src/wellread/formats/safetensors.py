"""safetensors files: a length, a JSON header, then the bytes of the tensors. Read here, written by their own library.

https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.errors import CheckpointError, WeightsError, nearest
from wellread.formats.arrays import (
    StoredTensor,
    check_magic,
    decode,
    looks_like_safetensors,
    map_words,
    num_bytes,
    read_words,
)
from wellread.schema import parse_object

Array = NDArray[np.generic]

# the format's names of types, and ours
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_ENTRY = {"dtype", "shape", "data_offsets"}
_METADATA = "__metadata__"  # free text for people: nothing in it changes a tensor, so it is checked and left
_FOR_TORCH = {"format": "pt"}  # transformers 4 opens no file without it
_OURS = {"format": "wellread"}
_MAX_HEADER = 100_000_000  # bytes, the format's own limit


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Open a safetensors file; each tensor is read from the disk when asked for.

    Every byte must belong to exactly one tensor. The format has no checksum: a flipped bit in the bytes of a tensor is
    not seen here.

    Raises:
        CheckpointError: the file is missing, damaged, of another format, or holds a type that wellread does not read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "model.safetensors")
    >>> write_safetensors(path, {"pooler.dense.bias": np.zeros(12, np.float32)})
    >>> read_safetensors(path)["pooler.dense.bias"].shape
    (12,)
    """
    check_magic(path, expected="a safetensors file", matches=looks_like_safetensors)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(_MAX_HEADER, size - 8):
            raise _damaged(path, f"a header of {length} bytes in a file of {size} (at most {_MAX_HEADER} are allowed)")
        raw = file.read(length)
    try:
        header = parse_object(raw)
    except ValueError as error:
        raise _damaged(path, f"a header that is no safetensors header: {error}") from None
    metadata = header.pop(_METADATA, None)
    if metadata is not None and not (
        isinstance(metadata, dict) and all(type(text) is str for text in metadata.values())
    ):
        raise _damaged(path, f"a {_METADATA} that does not map text to text")
    start, end = 8 + length, 0
    for (begin, stop), name in sorted((_span(path, name, entry), name) for name, entry in header.items()):
        if begin != end:
            raise _damaged(path, f"{name!r} at byte {begin} of the data where the tensor before it ends at {end}")
        end = stop
    if end != size - start:
        raise _damaged(path, f"tensors of {end} bytes in all and {size - start} bytes of data")
    return {name: _stored(path, name, header[name], start) for name in header}


def write_safetensors(path: Path, tensors: Mapping[str, Array], *, for_torch: bool = True) -> None:
    """Write arrays in the order of the library; the same arrays give the same bytes, always.

    `for_torch=False` marks a file as ours, and transformers up to 4 does not open it.

    Raises:
        WeightsError: an array is of a type that wellread does not read back, or is named `__metadata__`.
        OSError: the disk refuses.
    """
    refused = [f"{name} ({array.dtype})" for name, array in tensors.items() if array.dtype.name not in _DTYPES.values()]
    if refused or _METADATA in tensors:
        faults = ", ".join(refused) or f"a tensor named {_METADATA}"
        raise WeightsError(
            f"{path} was to be written; found {faults}; the types are {', '.join(_DTYPES.values())}: convert or rename"
        )
    from safetensors import SafetensorError  # not needed for reading
    from safetensors.numpy import save_file

    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    try:
        save_file(
            contiguous, path, metadata=_FOR_TORCH if for_torch else _OURS
        )  # one entry: the library writes several in no fixed order
    except SafetensorError as error:  # as on a full disk
        raise OSError(str(error)) from error
    path.chmod(0o644)  # it writes files that their owner alone can read


def _span(path: Path, name: str, entry: Any) -> tuple[int, int]:
    """Check one entry of the header; return where its bytes begin and end, counted from the end of the header."""
    if not isinstance(entry, dict) or entry.keys() != _ENTRY:
        keys = ", ".join(sorted(entry)) if isinstance(entry, dict) else type(entry).__name__
        raise _damaged(path, f"an entry {name!r} of {keys} where it takes {', '.join(sorted(_ENTRY))}")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise CheckpointError(
            f"{path} was to be read as a safetensors file; found {name!r} of type {code!r}; "
            f"wellread reads {', '.join(_DTYPES)}: convert the file{nearest(str(code), _DTYPES)}"
        )
    if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
        raise _damaged(path, f"an entry {name!r} whose shape or offsets are no lists of whole numbers")
    begin, end = offsets
    if num_bytes(shape, _DTYPES[code]) != end - begin:
        raise _damaged(path, f"{name!r} of shape {shape} and type {code} in {end - begin} bytes")
    return begin, end


def _stored(path: Path, name: str, entry: Mapping[str, Any], start: int) -> StoredTensor:
    shape, dtype, offset = tuple(entry["shape"]), _DTYPES[entry["dtype"]], start + entry["data_offsets"][0]

    def read() -> Array:
        words = read_words(path, dtype, math.prod(shape), offset=offset)
        return decode(words.reshape(shape), dtype, what=f"{name!r} of {path}")

    def view() -> Array:
        return map_words(path, dtype, math.prod(shape), offset=offset).reshape(shape)

    return StoredTensor(shape=shape, dtype=dtype, read=read, view=view)


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _damaged(path: Path, found: str) -> CheckpointError:
    return CheckpointError(f"{path} was to be read as a safetensors file; found {found}; fetch the file again")
