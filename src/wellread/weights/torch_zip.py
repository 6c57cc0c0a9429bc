"""`pytorch_model.bin` read without torch and without pickle: the zip form of torch 1.6 and later, and the older one."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from wellread.errors import CheckpointError
from wellread.weights.heads import check_head
from wellread.weights.stored import StoredTensor
from wellread.weights.torch_legacy import read_legacy
from wellread.weights.torch_pickle import damaged, read_pickle
from wellread.weights.torch_tensors import Span, read_span, stored_tensors

_ZIP_HEAD = b"PK\x03\x04"
_PICKLE_HEAD = b"\x80"
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
    check_head(path, wanted="a torch checkpoint", ours=lambda head: head.startswith((_ZIP_HEAD, _PICKLE_HEAD)))
    with path.open("rb") as file:
        zipped = file.read(len(_ZIP_HEAD)) == _ZIP_HEAD
    return _read_zip(path) if zipped else read_legacy(path)


def _read_zip(path: Path) -> dict[str, StoredTensor]:
    members = _torch_members(path, _members(path))
    if "byteorder" in members and (order := read_span(path, members["byteorder"])) != b"little":
        raise CheckpointError(
            f"{path} was to be read as a torch checkpoint; found the byte order {order[:16]!r}; "
            "load it with torch where it was made and save it as safetensors"
        )
    pickled = read_pickle(io.BytesIO(read_span(path, members["data.pkl"])), source=str(path))
    spans = {name.removeprefix("data/"): span for name, span in members.items() if name.startswith("data/")}
    return stored_tensors(path, pickled, spans)


def _torch_members(path: Path, members: dict[str, Span]) -> dict[str, Span]:
    """Take the common directory off the names; refuse an archive that holds more than a checkpoint."""
    roots = [name.removesuffix("data.pkl") for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointError(
            f"{path} was to be read as a torch checkpoint; found a zip archive with {len(roots)} data.pkl "
            "in place of 1; unpack it, or convert it"
        )
    inner = {name.removeprefix(roots[0]): span for name, span in members.items()}
    known = _IGNORED | {"data.pkl", "byteorder"}
    strangers = [name for name in inner if name not in known and not name.startswith("data/")]
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
    if faults := _faults(infos, members, end):
        raise damaged(path, f"members that torch does not write: {', '.join(faults)}")
    return members


def _faults(infos: list[zipfile.ZipInfo], members: dict[str, Span], end: int) -> list[str]:
    """List the members that are packed, doubled or overlap; `end` is where the archive's directory stands."""
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
    return faults


def _span(path: Path, file: BinaryIO, info: zipfile.ZipInfo, *, end: int) -> Span:
    """Read the header of a member, which says where its bytes begin; `end` is where the archive's directory stands."""
    name = info.orig_filename.encode("utf-8")
    file.seek(min(max(info.header_offset, 0), end))  # zipfile lets offsets pass that no file has
    header = file.read(_LOCAL_HEADER)
    if not header.startswith(_ZIP_HEAD) or len(header) < _LOCAL_HEADER or file.read(len(name)) != name:
        raise damaged(path, f"{info.orig_filename!r} not where the archive's directory puts it")
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return Span(start=info.header_offset + _LOCAL_HEADER + lengths, size=info.file_size, crc=info.CRC)
