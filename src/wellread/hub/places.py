"""Modules from TF Hub, Kaggle and archives: fetched into a place of their own, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wellread.errors import DownloadError
from wellread.hub.checksums import Stamp, stamps_of
from wellread.hub.impostors import refuse_impostors
from wellread.hub.kaggle import fetch_kaggle
from wellread.hub.request import Request
from wellread.hub.web_archives import Fetched, fetch_archive, fetch_tfhub


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A module that was fetched."""

    directory: Path
    files: Mapping[str, Stamp]
    archive: str | None  # SHA-256 of the archive that was unpacked


def fetch(request: Request, *, archive: str | None = None) -> Place:
    """Fetch a module anew and put it in the place of what stands there; `archive` is the SHA-256 that it must have.

    Raises: HandleError, DownloadError, CheckpointError.
    """
    place = _place(request)
    new = place.with_name(f"{place.name}.new")
    _clear(new, *place.parent.glob(f".{new.name}.*"))  # what a process that was killed left
    fetched = _fetched(request, new)
    refuse_impostors(fetched.directory)
    if archive is not None and fetched.archive != archive:
        _clear(new)
        raise DownloadError(
            f"{request.name} was to be fetched as it was pulled; found another archive at its address; run wellread "
            f"pull --force {request.name} to take that"
        )
    if not fetched.directory.is_relative_to(new):  # kagglehub has a cache of its own
        return Place(directory=fetched.directory, files=stamps_of(fetched.directory), archive=None)
    directory = place / fetched.directory.relative_to(new)
    _swap(new, place)
    return Place(directory=directory, files=stamps_of(directory), archive=fetched.archive)


def _place(request: Request) -> Path:
    name = hashlib.sha256(request.location.address.encode()).hexdigest()
    return Path(request.cache) / "modules" / name


def _fetched(request: Request, directory: Path) -> Fetched:
    location, show = request.location, request.show
    if location.kind == "tfhub":
        return fetch_tfhub(location.address, directory, alternatives=location.alternatives, show=show)
    if location.kind == "kaggle":
        return fetch_kaggle(location.address, directory, show=show)
    return fetch_archive(location.address, directory, show=show)


def _swap(new: Path, place: Path) -> None:
    """Move `new` to its place. A process that is killed meanwhile leaves no place, and the next pull fetches again."""
    old = place.with_name(f"{place.name}.old")
    _clear(old)
    if place.exists():
        place.rename(old)
    new.rename(place)
    _clear(old)


def _clear(*directories: Path) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
