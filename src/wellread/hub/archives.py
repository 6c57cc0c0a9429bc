"""Archives to directories: .tar, .tar.gz and .zip, unpacked member by member, within bounds, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from wellread.errors import CheckpointError
from wellread.hub.atomic import whole_directory
from wellread.hub.cache import cache_directory, sha256
from wellread.hub.members import CHUNK, UNREADABLE, Budget, FaultError, Member, members_of

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
MAX_MEMBERS = 10_000
MAX_NAME = 255  # characters of a member's path
HOSTILE = "get the model from another source"
DAMAGED = "fetch it again"


def unpack_once(archive: Path) -> Path:
    """Unpack an archive into wellread's cache, unless it lies there, and return the directory of its files.

    The place in the cache is named by the archive's SHA-256. Raises: CheckpointError as `unpack`.
    """
    with _readable(archive):
        place = cache_directory() / "unpacked" / sha256(archive)
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
    inside = list(directory.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else directory


def _write(directory: Path, members: Iterator[Member]) -> None:
    """Write members as they come; none may take the place of another."""
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for number, member in enumerate(members, start=1):
        if number > MAX_MEMBERS:
            raise FaultError(f"over {MAX_MEMBERS} members, more than wellread unpacks")
        path = _inside(member)
        is_file = member.kind == "file"
        if path in files or (is_file and path in folders) or not files.isdisjoint(path.parents):
            raise FaultError(f"{member.name!r} in the place of another member")
        (files if is_file else folders).add(path)
        folders.update(path.parents)
        _write_member(directory / path, member)
    if not files:
        raise FaultError("no files in it")


def _inside(member: Member) -> PurePosixPath:
    """Return the path of a file or folder in the directory that it goes to."""
    name = member.name
    if len(name) > MAX_NAME:
        raise FaultError(f"a name of {len(name)} characters, over {MAX_NAME}")
    if member.kind not in ("file", "directory"):
        raise FaultError(f"that {name!r} is {member.kind}")
    path = PurePosixPath(name)
    leads_out = path.is_absolute() or PureWindowsPath(name).anchor or ".." in path.parts or "\\" in name
    is_nothing = not name or (member.kind == "file" and (name.endswith("/") or not path.parts))
    if leads_out or is_nothing or not name.isprintable():
        raise FaultError(f"the name {name!r}, which leads out of the directory or can be no file's")
    return path


def _write_member(path: Path, member: Member) -> None:
    if member.content is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as target:
        while chunk := member.content.read(CHUNK):
            target.write(chunk)
