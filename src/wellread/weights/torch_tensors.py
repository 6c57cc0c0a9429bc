"""The tensors of a torch file: views, as its pickle describes them, of the runs of bytes that its container holds."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellread.errors import CheckpointError
from wellread.weights.dtypes import LAYOUTS, decode, num_bytes, read_words
from wellread.weights.stored import StoredTensor
from wellread.weights.torch_globals import Storage, View
from wellread.weights.torch_pickle import Pickled, damaged

Array = NDArray[np.generic]

# All tensors read once may take this many times the file. Two names for one tensor are common, a dozen are seen.
_MAX_SHARING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a run of bytes lies in the file."""

    start: int
    size: int
    crc: int | None  # CRC-32 of the bytes, where the container keeps one


def read_span(path: Path, span: Span) -> bytes:
    """Read a run of bytes and hold it against its checksum.

    Raises:
        CheckpointError: the file is shorter than it was, or the checksum differs.
    """
    raw = read_words(path, "uint8", span.size, offset=span.start)
    _check(path, raw, span, what="the pickle")
    return raw.tobytes()


def stored_tensors(path: Path, pickled: Pickled, spans: Mapping[str, Span]) -> dict[str, StoredTensor]:
    """Join what the pickle says with where the bytes lie; `spans` maps the key of each storage to its bytes.

    Raises:
        CheckpointError: there is something else than tensors, or storages and bytes do not fit each other.
    """
    views = _state_dict(path, pickled.value)
    _check_storages(path, pickled.storages, spans)
    extents = {name: _extent(path, name, view) for name, view in views.items()}
    total = sum(extents[name] * LAYOUTS[view.storage.dtype].itemsize for name, view in views.items())
    size = path.stat().st_size
    if total > _MAX_SHARING * size:
        raise damaged(path, f"tensors of {total} bytes in a file of {size} (at most {_MAX_SHARING} times as many)")
    sound: set[str] = set()
    located = [
        _Located(path=path, name=name, view=view, extent=extents[name], span=spans[view.storage.key], sound=sound)
        for name, view in views.items()
    ]
    return {
        tensor.name: StoredTensor(shape=tensor.view.shape, dtype=tensor.view.storage.dtype, read=tensor.read)
        for tensor in located
    }


def _state_dict(path: Path, value: object) -> dict[str, View]:
    """Return the tensors by name; `{"state_dict": {...}}` counts as its one entry, any other nesting is refused."""
    if type(value) is dict and value.keys() == {"state_dict"}:
        value = value["state_dict"]
    if type(value) is not dict:
        raise _foreign(path, f"a {type(value).__name__}")
    if any(type(entry) is dict for entry in value.values()):
        raise _foreign(path, f"the entries {', '.join(map(repr, value))}, of which some hold more entries")
    strangers = [f"{name!r} ({type(entry).__name__})" for name, entry in value.items() if type(entry) is not View]
    if strangers:
        raise _foreign(path, f"entries that are no tensors: {', '.join(strangers)}")
    if unnamed := [repr(name) for name in value if type(name) is not str]:
        raise _foreign(path, f"tensors whose names are no text: {', '.join(unnamed)}")
    return value


def _foreign(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"{path} was to be read as tensors by name; found {found}; save the state dict of the model alone"
    )


def _check_storages(path: Path, storages: Mapping[str, Storage], spans: Mapping[str, Span]) -> None:
    faults = [f"no bytes for storage {key!r}" for key in storages.keys() - spans.keys()]
    faults += [f"bytes of storage {key!r}, which no tensor uses" for key in spans.keys() - storages.keys()]
    for key in storages.keys() & spans.keys():
        needed = num_bytes((storages[key].length,), storages[key].dtype)
        if needed != spans[key].size:
            faults.append(
                f"{spans[key].size} bytes for storage {key!r} of {storages[key].length} {storages[key].dtype}"
            )
    if faults:
        raise damaged(path, "; ".join(sorted(faults)))


def _extent(path: Path, name: str, view: View) -> int:
    """Return how many numbers of its storage the view reaches over, from its first to its last."""
    storage = view.storage
    if num_bytes(view.shape, storage.dtype) is None:
        raise damaged(path, f"{name!r} of {len(view.shape)} dimensions or a size that no memory has")
    if 0 in view.shape:
        return 0
    extent = 1 + sum((length - 1) * stride for length, stride in zip(view.shape, view.strides, strict=True))
    if view.offset + extent > storage.length:
        raise damaged(path, f"{name!r} reaching to number {view.offset + extent} of a storage of {storage.length}")
    if (numbers := math.prod(view.shape)) > extent:
        raise CheckpointError(
            f"{path} was to be read as tensors by name; found {name!r}, {numbers} numbers that repeat {extent} of its "
            "storage; call contiguous() on it before saving"
        )
    return extent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Located:
    """A view and the bytes of its storage."""

    path: Path
    name: str
    view: View
    extent: int  # numbers from the first to the last that the view reaches, all included
    span: Span
    sound: set[str]  # keys of storages whose checksum was found right; all tensors of a file share it

    def read(self) -> Array:
        """Read the tensor: C-contiguous, of the type that `decode` gives."""
        view, layout = self.view, self.layout
        # a length of 1 may have any stride, even one past what NumPy can hold
        pairs = zip(view.shape, view.strides, strict=True)
        strides = [0 if length == 1 else stride * layout.itemsize for length, stride in pairs]
        words = (
            np.ndarray(view.shape, layout, self._words(), 0, strides) if self.extent else np.empty(view.shape, layout)
        )
        return decode(words, view.storage.dtype, what=f"{self.name!r} of {self.path}")

    @property
    def layout(self) -> np.dtype[np.generic]:
        return LAYOUTS[self.view.storage.dtype]

    def _words(self) -> Array:
        """Read the numbers that the view reaches over; the first time, read the whole storage and check it."""
        first, storage = self.view.offset, self.view.storage
        if self.span.crc is None or storage.key in self.sound:
            offset = self.span.start + first * self.layout.itemsize
            return read_words(self.path, storage.dtype, self.extent, offset=offset)
        words = read_words(self.path, storage.dtype, storage.length, offset=self.span.start)
        _check(self.path, words, self.span, what=repr(self.name))
        self.sound.add(storage.key)
        return words[first : first + self.extent]


def _check(path: Path, words: Array, span: Span, *, what: str) -> None:
    if span.crc is not None and (found := zlib.crc32(words.data)) != span.crc:
        raise damaged(path, f"bytes of {what} with the checksum {found:08x} in place of {span.crc:08x}")
