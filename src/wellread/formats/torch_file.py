"""`pytorch_model.bin` read without torch and without pickle: the zip form of torch 1.6 and later, and the older one."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError
from wellread.formats.arrays import LAYOUTS, StoredTensor, check_magic, decode, num_bytes, read_words
from wellread.formats.torch_pickle import Storage, View, damaged, read_pickle

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


def stored_tensors(
    path: Path, value: Any, storages: Mapping[str, Storage], spans: Mapping[str, Span]
) -> dict[str, StoredTensor]:
    """Join the pickle's value and storages with where the bytes lie; `spans` maps each storage's key to its bytes.

    Raises:
        CheckpointError: there is something else than tensors, or storages and bytes do not fit each other.
    """
    views = _state_dict(path, value)
    _check_storages(path, storages, spans)
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
    if span.crc is not None and (crc := zlib.crc32(words.data)) != span.crc:
        raise damaged(path, f"bytes of {what} with the checksum {crc:08x} in place of {span.crc:08x}")


_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle
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
        if type(magic) is not int or magic != _LEGACY_MAGIC:
            raise CheckpointError(f"{path} was to be read as a torch checkpoint; found another pickle; convert it")
        if type(protocol) is not int or protocol != _PROTOCOL or type(system) is not dict:
            raise damaged(path, f"a preamble of another protocol than {_PROTOCOL}")
        # type_sizes is ignored: storages hold types of fixed width
        if system.get("little_endian") is not True:
            raise CheckpointError(
                f"{path} was to be read as a torch checkpoint; found big-endian numbers; "
                "load it with torch where it was made and save it as safetensors"
            )
        value, storages = read_pickle(file, source=str(path))
        spans = _spans(file, path, storages, keys=_value(file, path))
    return stored_tensors(path, value, storages, spans)


def _value(file: BinaryIO, path: Path) -> Any:
    return read_pickle(file, source=str(path))[0]


def _spans(file: BinaryIO, path: Path, storages: Mapping[str, Storage], *, keys: Any) -> dict[str, Span]:
    """Walk over the storages, which lie in the order of `keys` up to the end of the file."""
    size = path.stat().st_size
    if type(keys) is not list or not all(type(key) is str and key in storages for key in keys):
        raise damaged(path, "a list of storages that names others than the tensors do")
    spans: dict[str, Span] = {}
    end = file.tell()
    for key in keys:
        file.seek(end)
        storage = storages[key]
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


_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"
_LOCAL_HEADER = 30  # bytes before a member's name
_ENCRYPTED = 1  # a flag
# Members that change no tensor, and are left unread: the container's version and layout, and the archive's name.
_IGNORED = {"version", ".format_version", ".storage_alignment", ".data/serialization_id"}
_BROKEN = (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError)  # what zipfile raises on bad bytes


def read_torch(path: Path) -> dict[str, StoredTensor]:
    """Open a torch file, of either form; each tensor is read from the disk when asked for.

    Nothing in the file is executed or imported. In the zip form the bytes of a tensor are held against their checksum
    (CRC-32) when they are first read; the older form has none, and a flipped bit in a tensor is not seen.

    Raises:
        CheckpointError: the file is missing, damaged, hostile, of another format, or holds something else than tensors.

    >>> read_torch(Path("no/pytorch_model.bin"))
    Traceback (most recent call last):
    wellread.errors.CheckpointError: no/pytorch_model.bin was to be read as a torch checkpoint; found no such file \
(No such file or directory); check the path
    """
    check_magic(
        path, expected="a torch checkpoint", matches=lambda magic: magic.startswith((_ZIP_MAGIC, _PICKLE_MAGIC))
    )
    with path.open("rb") as file:
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            return read_legacy(path)
    members = _torch_members(path, _members(path))
    if "byteorder" in members and (order := read_span(path, members["byteorder"])) != b"little":
        raise CheckpointError(
            f"{path} was to be read as a torch checkpoint; found the byte order {order[:16]!r}; "
            "load it with torch where it was made and save it as safetensors"
        )
    value, storages = read_pickle(io.BytesIO(read_span(path, members["data.pkl"])), source=str(path))
    spans = {name.removeprefix("data/"): span for name, span in members.items() if name.startswith("data/")}
    return stored_tensors(path, value, storages, spans)


def _torch_members(path: Path, members: dict[str, Span]) -> dict[str, Span]:
    """Take the common directory off the names; refuse an archive that holds more than a checkpoint."""
    roots = [name.removesuffix("data.pkl") for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointError(
            f"{path} was to be read as a torch checkpoint; found a zip archive with {len(roots)} data.pkl "
            "in place of 1; unpack it, or convert it"
        )
    inner = {name.removeprefix(roots[0]): span for name, span in members.items()}
    read = {"data.pkl", "byteorder"}
    strangers = [name for name in inner if name not in _IGNORED | read and not name.startswith("data/")]
    if strangers:
        raise CheckpointError(
            f"{path} was to be read as a torch checkpoint; found the members {', '.join(map(repr, strangers))} "
            "(a TorchScript archive, which holds a program, has such); save the state dict of the model alone"
        )
    return inner


def _members(path: Path) -> dict[str, Span]:
    """Find where every member's bytes lie; refuse what torch does not write."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos, end = archive.infolist(), archive.start_dir
    except _BROKEN as error:
        raise damaged(path, f"a zip archive that cannot be opened ({error})") from None
    with path.open("rb") as file:
        members = {info.orig_filename: _span(path, file, info, end=end) for info in infos}
    # packed, doubled or overlapping ones; `end` is where the archive's directory stands
    names = [info.orig_filename for info in infos]
    faults = [f"{name!r} {times} times" for name, times in Counter(names).items() if times > 1]
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
            faults.append(f"{info.orig_filename!r} compressed or encrypted")
        if info.compress_size != info.file_size:
            faults.append(f"{info.orig_filename!r} of two sizes, {info.compress_size} and {info.file_size}")
    ordered = sorted(infos, key=lambda info: info.header_offset)
    starts = [*(info.header_offset for info in ordered[1:]), end]
    for info, following in zip(ordered, starts, strict=False):
        span = members[info.orig_filename]
        if span.start + span.size > following:
            faults.append(f"{info.orig_filename!r} reaching into what follows it")
    if faults:
        raise damaged(path, f"members that torch does not write: {', '.join(faults)}")
    return members


def _span(path: Path, file: BinaryIO, info: zipfile.ZipInfo, *, end: int) -> Span:
    """Read the header of a member, which says where its bytes begin; `end` is where the archive's directory stands."""
    name = info.orig_filename.encode("utf-8")
    file.seek(min(max(info.header_offset, 0), end))  # zipfile lets offsets pass that no file has
    header = file.read(_LOCAL_HEADER)
    if not header.startswith(_ZIP_MAGIC) or len(header) < _LOCAL_HEADER or file.read(len(name)) != name:
        raise damaged(path, f"{info.orig_filename!r} not where the archive's directory puts it")
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return Span(start=info.header_offset + _LOCAL_HEADER + lengths, size=info.file_size, crc=info.CRC)
