"""What is asked of the hub, and the record of each module that was pulled: one JSON file, in wellread's cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wellread.errors import HandleError, InputError
from wellread.files import MANIFEST, Stamp, cache_directory
from wellread.hub.handles import Location
from wellread.hub.http import is_offline

FORMAT = 1
UNREADABLE = (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a record is found by."""

    kind: str  # as in hub.handles
    address: str  # as in hub.handles
    revision: str | None  # as it was asked for
    cache: str  # the directory in which the module was to be kept

    @property
    def name(self) -> str:
        """The name of its record, and of its lock: the SHA-256 of all that."""
        text = json.dumps([self.kind, self.address, self.revision, self.cache])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A module that was pulled, or found in the hub's cache and taken from there."""

    key: Key
    handle: str  # as it was given
    directory: Path
    files: Mapping[str, Stamp]  # path in the directory -> what it was when it was checked
    commit: str | None = None  # of the Hugging Face hub
    archive: str | None = None  # SHA-256 of the archive that was unpacked
    time: str = ""  # when it was pulled, in UTC

    @property
    def native(self) -> bool:
        """Whether the module brings its own checksums, in `wellread.json`."""
        return MANIFEST in self.files


def find_record(key: Key) -> Record | None:
    """Return the record of a module whose directory is there; a damaged one, or of another format, counts as none."""
    record = _read(_path(key))
    return record if record is not None and record.key == key and record.directory.is_dir() else None


def write_record(record: Record) -> bool:
    """Write a record, whole or not at all, and say whether that went well."""
    data = {"format": FORMAT, **asdict(record), "directory": str(record.directory)}
    path = _path(record.key)
    return path is not None and remember(path, data)


def all_records() -> list[Record]:
    """Return the record of every module that is still there, by handle."""
    try:
        paths = sorted((cache_directory() / "pulled").glob("*.json"))
    except (OSError, RuntimeError):
        return []
    found = (_read(path) for path in paths)
    return sorted((one for one in found if one and one.directory.is_dir()), key=lambda one: (one.handle, one.key.name))


def remember(path: Path, data: Any) -> bool:
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


def recall(path: Path) -> Any:
    """Read JSON from wellread's cache; None where there is none, or what is there is damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def as_stamps(data: Any) -> dict[str, Stamp]:
    """Make stamps of what JSON keeps of them. Raises: ValueError, TypeError, AttributeError for anything else."""
    stamps = {name: Stamp(**values) for name, values in data.items()}
    for one in stamps.values():
        if (type(one.size), type(one.mtime_ns), type(one.sha256)) != (int, int, str):
            raise ValueError(f"{one} is no stamp")
    return stamps


def _path(key: Key) -> Path | None:
    try:
        return cache_directory() / "pulled" / f"{key.name}.json"
    except RuntimeError:  # nobody knows where a cache could be
        return None


def _read(path: Path | None) -> Record | None:
    try:
        data = dict(recall(path)) if path else {}
        if data.pop("format") != FORMAT:
            return None
        key, directory, files = Key(**data.pop("key")), Path(data.pop("directory")), as_stamps(data.pop("files"))
        return Record(key=key, directory=directory, files=files, **data)
    except UNREADABLE:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A module that is wanted."""

    location: Location
    revision: str | None = None  # branch, tag or commit, of Hugging Face ids alone
    token: str | None = None  # for Hugging Face alone; none: HF_TOKEN or the stored login
    cache: str  # the directory where the module is kept
    offline: bool = False
    force: bool = False  # whether to fetch what is there already
    show: bool | None = None  # whether to show progress; None: on a terminal

    @property
    def key(self) -> Key:
        """What the module's record is found by."""
        place = self.location
        return Key(kind=place.kind, address=place.address, revision=self.revision, cache=self.cache)

    @property
    def name(self) -> str:
        """The module's name in messages."""
        return self.location.handle


def request_for(
    location: Location,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Request:
    """Make a request of what users give, and of the environment.

    Raises: InputError for a revision of what has none; HandleError for two different ones.
    """
    handle = location.handle
    if revision is not None and location.kind != "huggingface":
        raise InputError(
            f"revision {revision!r} of {handle} was asked for; found that only Hugging Face ids have revisions; "
            "leave it out"
        )
    if revision is not None and location.revision not in (None, revision):
        raise HandleError(
            f"revision {revision!r} of {handle} was asked for; found that the handle names {location.revision!r}; "
            "leave one of them out"
        )
    own = hub_cache if location.kind == "huggingface" else module_cache
    return Request(
        location=location,
        revision=revision or location.revision,
        token=token,
        cache=own(cache_dir),
        offline=local_files_only or is_offline(),
    )


def hub_cache(cache_dir: str | os.PathLike[str] | None = None) -> str:
    """Return where huggingface_hub keeps snapshots, without importing it."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if cache_dir is None and not named:
        home = os.environ.get("HF_HOME") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"), "huggingface"
        )
        named = os.path.join(home, "hub")
    return _absolute(cache_dir if cache_dir is not None else named or "")


def module_cache(cache_dir: str | os.PathLike[str] | None = None) -> str:
    """Return where wellread keeps modules that come from elsewhere. Raises: HandleError where no place is known."""
    if cache_dir is not None:
        return _absolute(cache_dir)
    try:
        return _absolute(cache_directory())
    except RuntimeError as error:
        raise HandleError(
            f"wellread's cache was to be opened; found no place for it ({error}); set WELLREAD_CACHE"
        ) from error


def _absolute(path: str | os.PathLike[str]) -> str:
    return str(Path(os.path.expandvars(path)).expanduser().absolute())
