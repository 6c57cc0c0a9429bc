"""The form of torch files from before torch 1.6: five pickles in a row, then the storages as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from wellread.errors import CheckpointError
from wellread.weights.dtypes import LAYOUTS
from wellread.weights.stored import StoredTensor
from wellread.weights.torch_pickle import Pickled, damaged, read_pickle
from wellread.weights.torch_tensors import Span, stored_tensors

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle
_PROTOCOL = 1001  # the second
_COUNT_BYTES = 8  # each storage begins with how many numbers it holds, int64


def read_legacy(path: Path) -> dict[str, StoredTensor]:
    """Open an older torch file; each tensor is read from the disk when asked for.

    The form has no checksum: a flipped bit in the bytes of a tensor is not seen.

    Raises:
        CheckpointError: the file is damaged, or holds something else than tensors.
    """
    with path.open("rb") as file:
        magic, protocol, system = (_value(file, path) for _ in range(3))
        _check_preamble(path, magic, protocol, system)
        pickled = read_pickle(file, source=str(path))
        spans = _spans(file, path, pickled, keys=_value(file, path))
    return stored_tensors(path, pickled, spans)


def _value(file: BinaryIO, path: Path) -> Any:
    return read_pickle(file, source=str(path)).value


def _check_preamble(path: Path, magic: Any, protocol: Any, system: Any) -> None:
    if type(magic) is not int or magic != _MAGIC:
        raise CheckpointError(f"{path} was to be read as a torch checkpoint; found another pickle; convert it")
    if type(protocol) is not int or protocol != _PROTOCOL or type(system) is not dict:
        raise damaged(path, f"a preamble of another protocol than {_PROTOCOL}")
    # type_sizes is ignored: storages hold types of fixed width
    if system.get("little_endian") is not True:
        raise CheckpointError(
            f"{path} was to be read as a torch checkpoint; found big-endian numbers; "
            "load it with torch where it was made and save it as safetensors"
        )


def _spans(file: BinaryIO, path: Path, pickled: Pickled, *, keys: Any) -> dict[str, Span]:
    """Walk over the storages, which lie in the order of `keys` up to the end of the file."""
    size = path.stat().st_size
    if type(keys) is not list or not all(type(key) is str and key in pickled.storages for key in keys):
        raise damaged(path, "a list of storages that names others than the tensors do")
    spans: dict[str, Span] = {}
    end = file.tell()
    for key in keys:
        file.seek(end)
        storage = pickled.storages[key]
        count = int.from_bytes(file.read(_COUNT_BYTES), "little", signed=True)
        if count != storage.length or key in spans:
            raise damaged(path, f"storage {key!r} twice or with {count} numbers in place of {storage.length}")
        spans[key] = Span(start=end + _COUNT_BYTES, size=count * LAYOUTS[storage.dtype].itemsize, crc=None)
        end = spans[key].start + spans[key].size
        if end > size:
            raise damaged(path, f"{size} bytes where storage {key!r} ends at {end}")
    if end != size:
        raise damaged(path, f"{size} bytes where the last storage ends at {end}")
    return spans
