"""What is asked of the hub: a location, and how its files may be had."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from wellread.errors import HandleError, InputError
from wellread.hub.cache import cache_directory
from wellread.hub.handles import Location
from wellread.hub.offline import is_offline
from wellread.hub.records import Key


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
