"""Files and directories: written whole or not at all, known by their SHA-256, kept in wellread's cache."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, DataError

MANIFEST = "wellread.json"  # what wellread notes of a module, beside its files
CARD = "README.md"  # what a hub shows of a module: for people, who may edit it; nothing is loaded from it
CARD_MARK = "<!-- made by wellread, which replaces this card at the next push; take this line out to keep your own -->"


@contextmanager
def whole_directory(directory: Path, *, overwrite: bool | None = None) -> Iterator[Path]:
    """Give a directory beside `directory` to write in; it takes its name when all went well and vanishes when not.

    With `overwrite`, what stands there gives way at that moment and not before; see `refuse_others`, which goes first.
    None means that the caller offers no such thing.

    Raises: CheckpointError where `directory` exists and is not empty, or the disk refuses.
    """
    import shutil  # these two take as long to import as a small module to load
    import tempfile

    if not overwrite:
        refuse_existing(directory, advice=", or pass overwrite=True" if overwrite is False else "")
    partial = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        partial.chmod(0o755)
        yield partial
        if overwrite:
            _replace(directory, partial)
        else:
            partial.replace(directory)  # an empty directory of that name gives way
    except OSError as error:
        raise CheckpointError(
            f"{directory} was to be written; found that {error}; make room or choose another place"
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)  # not there any more where all went well


def _replace(directory: Path, partial: Path) -> None:
    """Give `partial` the name of `directory`; what has it is removed last, and has it again where that fails."""
    import shutil

    old = partial.with_name(f"{partial.name}.old")
    if directory.exists():
        directory.rename(old)
    try:
        partial.rename(directory)
    except OSError:
        if old.exists():
            old.rename(directory)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Make what the disk has to say a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"results were to be written to {place}; found that {error.strerror or error}; make room, or choose "
            "another place"
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file beside `path` to write in; it takes its name when it is on the disk, and vanishes when not.

    Raises: DataError where the disk refuses.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            with partial.open("w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            sync_directory(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync_tree(directory: Path) -> None:
    """Have what is in a directory on the disk."""
    for path in (directory, *directory.rglob("*")):
        if path.is_dir():
            sync_directory(path)
        else:
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on the disk, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_existing(directory: Path, *, advice: str = "") -> None:
    """Refuse to write where something stands; `advice` adds to what may be done. Raises: CheckpointError."""
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise CheckpointError(
            f"{directory} was to be written; found that it exists; remove it or choose another name{advice}"
        )


def refuse_others(directory: Path, ours: Collection[str]) -> None:
    """Refuse to overwrite what is no directory, or holds other files than `ours`: paths there, or folders with a slash.

    Raises: CheckpointError that names them.
    """
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise CheckpointError(
            f"{directory} was to be overwritten; found that it is no directory; remove it or choose another name"
        )
    files = (path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir())
    others = sorted(file for file in files if file not in ours and f"{file.split('/')[0]}/" not in ours)
    if others:
        raise CheckpointError(
            f"{directory} was to be overwritten; found {', '.join(others[:5])}"
            f"{f' and {len(others) - 5} more' if len(others) > 5 else ''}, which wellread did not write there; "
            "move what you want to keep, or choose another name"
        )


def own_card(directory: Path) -> str | None:
    """Return the model card of a directory that people wrote; None without one, or for one that wellread made.

    Raises: CheckpointError where it cannot be read.
    """
    path = directory / CARD
    try:
        text = path.read_text("utf-8", "replace") if os.path.lexists(path) else CARD_MARK
    except OSError as error:
        raise CheckpointError(f"{path} was to be kept; found that {error}; make it readable or move it") from error
    return None if CARD_MARK in text else text


def is_litter(name: str) -> bool:
    """Say whether a file or folder is what file managers and tools leave beside others': it is no part of a model.

    >>> is_litter("._vocab.txt"), is_litter("__MACOSX"), is_litter("vocab.txt")
    (True, True, False)
    """
    return name.startswith(".") or name == "__MACOSX"


def matching(directory: Path, *patterns: str) -> list[Path]:
    """Return the files of a directory that match one of several patterns, in order and without litter."""
    paths = {path for pattern in patterns for path in directory.glob(pattern)}
    return sorted(path for path in paths if not is_litter(path.name))


def public_name(handle: str | os.PathLike[str]) -> str:
    """Return a handle as it may be passed on: of a path its last part, for the rest speaks of this machine."""
    path = os.path.expanduser(handle)
    return Path(path).resolve().name if os.path.exists(path) else os.fspath(handle)


def cache_directory() -> Path:
    """Return where wellread keeps what it can make again: $WELLREAD_CACHE, or a place in $XDG_CACHE_HOME or ~/.cache.

    Raises: RuntimeError where none of them is known.
    """
    if named := os.environ.get("WELLREAD_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wellread"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    import hashlib  # loads OpenSSL; a start of the packaged module does without

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


HASHED_AT_EVERY_LOAD = 64_000_000  # bytes; a larger module is hashed where sizes or times are new


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A file as it was when it was hashed."""

    size: int  # bytes
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was found in a directory."""

    stamps: Mapping[str, Stamp]  # path in the directory -> what is there now
    faults: Mapping[str, str] = field(default_factory=dict)  # path in the directory -> what is wrong with it

    @property
    def large(self) -> bool:
        """Whether the files are too many bytes to be hashed at every load."""
        return sum(stamp.size for stamp in self.stamps.values()) > HASHED_AT_EVERY_LOAD


def compare(
    directory: Path,
    wanted: Mapping[str, str],
    *,
    known: Mapping[str, Stamp],
    full: bool = False,
    trusted: Collection[str] = (),
) -> Comparison:
    """Hold files against the SHA-256 that `wanted` gives for each path.

    Of a module over 64 MB, and of files that are `trusted`, those with the size and time of their `known` stamp are
    taken as unchanged; all others are hashed. `full` hashes all.
    """
    paths = {name: PurePosixPath(name) for name in wanted}
    # Paths that may lead out of the directory. Links are followed: the cache of the hub consists of them.
    faults = {
        name: "lies outside"
        for name, path in paths.items()
        if path.is_absolute() or ".." in path.parts or "\\" in name or path.as_posix() != name or name == "."
    }
    # os.path.isfile never raises, as Path.is_file does
    missing = (name for name in wanted if name not in faults and not os.path.isfile(directory / name))
    faults |= dict.fromkeys(missing, "is missing")
    there = [name for name in wanted if name not in faults]
    large = sum(os.path.getsize(directory / name) for name in there) > HASHED_AT_EVERY_LOAD
    stamps = {}
    for name in there:
        trust = not full and (large or name in trusted)
        try:
            stamps[name] = stamp(directory / name, known=known.get(name) if trust else None)
        except OSError as error:
            faults[name] = f"cannot be read ({error.strerror})"
    wrong = (name for name, current in stamps.items() if current.sha256 != wanted[name])
    return Comparison(stamps=stamps, faults=faults | dict.fromkeys(wrong, "has another SHA-256"))


def stamp(path: Path, *, known: Stamp | None = None) -> Stamp:
    """Return the stamp of a file: `known` where it has its size and time, else hashed. Raises: OSError."""
    status = path.stat()
    if known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return known
    return Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=sha256(path))


def stamps_of(directory: Path) -> dict[str, Stamp]:
    """Hash every file under a directory. Raises: OSError."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): stamp(path) for path in files}


def sha256s(stamps: Mapping[str, Stamp]) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {name: each.sha256 for name, each in stamps.items()}


# What reading a record of ours raises where it is damaged, or no cache is known.
UNREADABLE = (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError)


def save_json(path: Path, data: Any) -> bool:
    """Write JSON into wellread's cache, whole or not at all, and say whether that went well."""
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(data))
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        return False
    return True


def load_json(path: Path) -> Any:
    """Read JSON from wellread's cache; None where there is none, or what is there is damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def as_stamps(data: Any) -> dict[str, Stamp]:
    """Make stamps of what JSON keeps of them. Raises: ValueError, TypeError, AttributeError for anything else."""
    stamps = {name: Stamp(**values) for name, values in data.items()}
    for each in stamps.values():
        if (type(each.size), type(each.mtime_ns), type(each.sha256)) != (int, int, str):
            raise ValueError(f"{each} is no stamp")
    return stamps
