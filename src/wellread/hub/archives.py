"""Archives to directories: .tar, .tar.gz and .zip, unpacked member by member, within bounds, whole or not at all."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from wellread.errors import CheckpointError
from wellread.files import cache_directory, is_litter, sha256, whole_directory

# The largest BERTs hold 1.3 GB of weights, with an optimizer's slots 4 GB, in about ten files. Trained weights hardly
# shrink, texts and graphs about tenfold; what is small may shrink as it likes.
MAX_BYTES = 8_000_000_000
MAX_RATIO = 100  # bytes unpacked for one byte of the archive
FREE_BYTES = 64_000_000  # bytes unpacked, whatever the ratio
CHUNK = 1 << 16  # bytes read at once; no header of a tar needs more
END_OF_ZIP = 22  # bytes of the record that counts a zip's members, before a comment
MAX_CONTENTS = 1 << 22  # bytes of a zip's table of contents, which Python reads at once
# What tarfile, zipfile and their decompressors raise on arbitrary bytes.
UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error, EOFError),
    *(ValueError, OverflowError, RecursionError, NotImplementedError),
)


class FaultError(Exception):
    """What the archive of a model does not have."""


class Readable(Protocol):
    """What a member's bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


# An entry of an archive: its name, and the bytes of a file; a folder has none.
Member = tuple[str, Readable | None]


class Budget:
    """Counts the bytes that come out of an archive of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.limit = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * size))
        self.spent = 0

    def spend(self, count: int) -> None:
        self.spent += count
        if self.spent > self.limit:
            raise FaultError(f"over {self.limit} bytes inside {self.size}, more than wellread unpacks")


def members_of(archive: Path, budget: Budget) -> Generator[Member]:
    """Open an archive, of a kind that its content decides, and give its members one after the other."""
    with archive.open("rb") as file:
        magic = file.read(2)
    return _zip_members(archive, budget) if magic == b"PK" else _tar_members(archive, budget, magic == b"\x1f\x8b")


class _Stream:
    """Bytes that are read once, forwards, and against a budget; for tarfile, a file."""

    def __init__(self, file: Readable, budget: Budget) -> None:
        self.file = file
        self.budget = budget
        self.position = 0
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK:  # tarfile reads a header as long as the archive says
            raise FaultError(f"a header of {size} bytes, over {CHUNK}")
        self.last = self.file.read(size)
        self.position += len(self.last)
        self.budget.spend(len(self.last))
        return self.last

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> None:
        if position < self.position:
            raise tarfile.ReadError("it leads backwards")
        while self.position < position and self.read(min(CHUNK, position - self.position)):
            pass


def _tar_members(archive: Path, budget: Budget, zipped: bool) -> Generator[Member]:
    """Give the members of a tar, and see that it ends where a tar ends: tarfile takes a damaged header for the end."""
    with gzip.open(archive) if zipped else archive.open("rb") as file:
        stream = _Stream(file, budget)
        with tarfile.open(fileobj=stream, mode="r:") as tar:  # type: ignore[call-overload]
            for info in tar:
                kind = _tar_kind(info)
                _refuse_special(info.name, kind)
                yield info.name, tar.extractfile(info) if kind == "file" else None
        if stream.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it breaks off")
        while rest := stream.read(CHUNK):  # the checksum of a .gz is at its very end
            if rest.strip(b"\0"):
                raise tarfile.ReadError("something follows its end")


def _tar_kind(info: tarfile.TarInfo) -> str:
    kinds = {
        tarfile.SYMTYPE: "a symbolic link",
        tarfile.LNKTYPE: "a hard link",
        tarfile.CHRTYPE: "a device",
        tarfile.BLKTYPE: "a device",
        tarfile.FIFOTYPE: "a pipe",
        tarfile.DIRTYPE: "directory",
        tarfile.REGTYPE: "file",
        tarfile.AREGTYPE: "file",
    }
    return "a sparse file" if info.issparse() else kinds.get(info.type, f"of the unknown type {info.type!r}")


def _refuse_special(name: str, kind: str) -> None:
    """Refuse what is neither a file nor a folder."""
    if kind not in ("file", "directory"):
        raise FaultError(f"that {name!r} is {kind}")


class _ZipFile(io.FileIO):
    """A file that gives no more at once than the contents of a zip need."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = MAX_CONTENTS + 1 if size is None or size < 0 else size
        data = super().read(min(wanted, MAX_CONTENTS + 1)) or b""
        if len(data) > MAX_CONTENTS:
            raise FaultError(f"a table of contents of over {MAX_CONTENTS} bytes")
        return data

    def seek(self, position: int, whence: int = 0, /) -> int:
        if whence == 0 and position < 0:
            raise zipfile.BadZipFile("it leads before its beginning")
        return super().seek(position, whence)


def _zip_members(archive: Path, budget: Budget) -> Generator[Member]:
    with _ZipFile(archive) as file, zipfile.ZipFile(file) as contents:
        _check_end(file, contents)
        for info in contents.infolist():
            kind = _zip_kind(info)
            _refuse_special(info.orig_filename, kind)
            yield info.orig_filename, _Stream(contents.open(info), budget) if kind == "file" else None


def _check_end(file: _ZipFile, contents: zipfile.ZipFile) -> None:
    """See that the end of a zip counts the members that zipfile found: one damaged entry can hide the next."""
    file.seek(-END_OF_ZIP - len(contents.comment), io.SEEK_END)
    end = file.read(END_OF_ZIP)
    found, said = len(contents.infolist()), int.from_bytes(end[10:12], "little")
    if not end.startswith(b"PK\5\6") or said != min(found, 0xFFFF):
        raise zipfile.BadZipFile(f"its end does not count the {found} members that were found")


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
        return f"compressed in the way {info.compress_type}, neither stored nor deflated"
    kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "a symbolic link"}
    kind = kinds.get(stat.S_IFMT(info.external_attr >> 16), "no regular file")  # the file's mode in Unix
    if kind == "directory" or (kind == "file" and info.is_dir()):
        return "a folder with content" if info.file_size else "directory"
    return kind


MAX_MEMBERS = 10_000
MAX_NAME = 255  # characters of a member's path
HOSTILE = "get the model from another source"
DAMAGED = "fetch it again"
NO_CACHE = "name a directory that can be written in WELLREAD_CACHE, or unpack it yourself"


def unpack_once(archive: Path) -> Path:
    """Unpack an archive into wellread's cache, unless it lies there, and return the directory of its files.

    The place in the cache is named by the archive's SHA-256. Raises: CheckpointError as `unpack`.
    """
    with _readable(archive):
        digest = sha256(archive)
    try:
        place = cache_directory() / "unpacked" / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        writable = place.is_dir() or os.access(place.parent, os.W_OK)
    except (OSError, RuntimeError) as error:
        raise _error(archive, f"no place for it ({error})", NO_CACHE) from error
    if not writable:
        raise _error(archive, f"that {place.parent} cannot be written", NO_CACHE)
    if not place.is_dir():
        try:
            unpack(archive, place)
        except CheckpointError:
            if not place.is_dir():  # else another process was sooner
                raise
    return step_in(place)


def unpack(archive: Path, directory: Path) -> Path:
    """Unpack an archive into a new `directory`; return it, or the one folder that is all it holds.

    Its content decides what the archive is, not its name. Only regular files and folders are unpacked, whose names
    stay inside: at most 10,000 of them, 8 GB, and 100 times the archive's size, counted as they are read.

    Raises: CheckpointError where the archive is none, is damaged or holds anything else, or `directory` exists.
    """
    with _readable(archive):
        budget = Budget(archive.stat().st_size)
        members = members_of(archive, budget)
    with whole_directory(directory) as partial, closing(members):
        try:
            _write(partial, members)
        except FaultError as fault:
            raise _error(archive, str(fault), HOSTILE) from None
        except UNREADABLE as error:
            raise _error(archive, f"that it is damaged or no archive ({error})", DAMAGED) from error
    return step_in(directory)


def _error(archive: Path, found: str, advice: str) -> CheckpointError:
    return CheckpointError(f"{archive} was to be unpacked; found {found}; {advice}")


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _error(archive, f"that {error}", "check the path") from error


def step_in(directory: Path) -> Path:
    inside = [path for path in directory.iterdir() if not is_litter(path.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else directory


def _write(directory: Path, members: Iterator[Member]) -> None:
    """Write members as they come; none may take the place of another."""
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for number, (name, content) in enumerate(members, start=1):
        if number > MAX_MEMBERS:
            raise FaultError(f"over {MAX_MEMBERS} members, more than wellread unpacks")
        is_file = content is not None
        path = _inside(name, is_file=is_file)
        if path in files or (is_file and path in folders) or not files.isdisjoint(path.parents):
            raise FaultError(f"{name!r} in the place of another member")
        (files if is_file else folders).add(path)
        folders.update(path.parents)
        target = directory / path
        if content is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while chunk := content.read(CHUNK):
                file.write(chunk)
    if not files:
        raise FaultError("no files in it")


def _inside(name: str, *, is_file: bool) -> PurePosixPath:
    """Return the path of a file or folder in the directory that it goes to."""
    if len(name) > MAX_NAME:
        raise FaultError(f"a name of {len(name)} characters, over {MAX_NAME}")
    path = PurePosixPath(name)
    leads_out = path.is_absolute() or PureWindowsPath(name).anchor or ".." in path.parts or "\\" in name
    is_nothing = not name or (is_file and (name.endswith("/") or not path.parts))
    if leads_out or is_nothing or not name.isprintable():
        raise FaultError(f"the name {name!r}, which leads out of the directory or can be no file's")
    return path
