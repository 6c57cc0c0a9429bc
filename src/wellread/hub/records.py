"""What is asked of the hub, and the record of each module that was fetched: one JSON file, in wellread's cache."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wellread.dataclass import dataclass
from wellread.errors import HandleError, InputError
from wellread.files import UNREADABLE, as_stamps, cache_directory, load_json, save_json
from wellread.hub.http_errors import is_offline
from wellread.hub.location import Fetched, Location

FORMAT = 1
KEYS = {"format", "key", "handle", "directory", "files", "commit", "archive", "time"}  # of a record


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A module that is wanted."""

    location: Location
    token: str | None = None  # for Hugging Face alone; none: HF_TOKEN or the stored login
    cache: str  # the directory where the module is kept
    offline: bool = False
    force: bool = False  # whether to fetch what is there already
    show: bool | None = None  # whether to show progress; None: on a terminal

    @property
    def key(self) -> dict[str, str | None]:
        """What the module's record is found by."""
        location = self.location
        names = {"kind": location.kind, "address": location.address, "revision": location.revision}
        return {**names, "cache": self.cache}

    @property
    def digest(self) -> str:
        """The name of the module's record, and of its lock: the SHA-256 of the key."""
        return hashlib.sha256(json.dumps(list(self.key.values())).encode()).hexdigest()

    @property
    def name(self) -> str:
        """The module's name in messages."""
        return self.location.handle


def find_record(request: Request) -> Fetched | None:
    """Return a module that was fetched before and is there; a damaged record, or of another format, counts as none."""
    data, fetched = _read(_path(request))
    if fetched is None or data["key"] != request.key or not fetched.directory.is_dir():
        return None
    return replace(fetched, location=request.location)


def write_record(request: Request, fetched: Fetched) -> bool:
    """Write a record, whole or not at all, and say whether that went well."""
    path = _path(request)
    data = {
        "format": FORMAT,
        "key": request.key,
        "handle": fetched.location.handle,
        "directory": str(fetched.directory),
        "files": {name: asdict(stamp) for name, stamp in fetched.files.items()},
        "commit": fetched.commit,
        "archive": fetched.archive,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return path is not None and save_json(path, data)


def all_records() -> list[Fetched]:
    """Return every module that was fetched and is still there, by handle."""
    try:
        paths = sorted((cache_directory() / "pulled").glob("*.json"))
    except (OSError, RuntimeError):
        return []
    every = (_read(path)[1] for path in paths)
    return sorted(
        (fetched for fetched in every if fetched and fetched.directory.is_dir()),
        key=lambda fetched: fetched.location.handle,
    )


def _path(request: Request) -> Path | None:
    try:
        return cache_directory() / "pulled" / f"{request.digest}.json"
    except RuntimeError:  # nobody knows where a cache could be
        return None


def _read(path: Path | None) -> tuple[dict[str, Any], Fetched | None]:
    try:
        data = dict(load_json(path)) if path else {}
        if data["format"] != FORMAT or set(data) != KEYS:
            return data, None
        names = {name: data["key"][name] for name in ("kind", "address", "revision")}
        fetched = Fetched(
            location=Location(handle=data["handle"], **names),
            directory=Path(data["directory"]),
            files=as_stamps(data["files"]),
            commit=data["commit"],
            archive=data["archive"],
        )
    except UNREADABLE:
        return {}, None
    return data, fetched


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
    cache_of = hub_cache if location.kind == "huggingface" else module_cache
    return Request(
        location=replace(location, revision=revision or location.revision),
        token=token,
        cache=cache_of(cache_dir),
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
