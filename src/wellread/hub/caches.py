"""The caches that modules lie in: where, how large, and what is wrong with them. Nothing is changed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wellread.errors import HandleError
from wellread.files import cache_directory
from wellread.hub import tfhub_cache
from wellread.hub.problem import Problem
from wellread.hub.records import as_stamps, recall

# Names that files and directories have while they are written: downloads, records, what is moved into place at the end.
UNFINISHED_FILES = re.compile(r".*\.(incomplete|part|part\.json)|[0-9a-f]{64}\.\d+")
UNFINISHED_DIRECTORIES = re.compile(r"\..+\.[a-z0-9_]{8}|[0-9a-f]{40}\.[0-9a-f]{32}\.tmp")
RUNNING = 3600  # seconds; what was written since may still be at work
SHOWN = 3
LOW = 1_000_000_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """A directory of modules, and what lies in it."""

    name: str  # whose it is
    path: Path
    files: int
    size: int  # bytes
    writable: bool
    free: int  # bytes, on its disk
    unfinished: tuple[Path, ...] = ()  # left by downloads that broke off
    dead: tuple[Path, ...] = ()  # links to files that are gone


def places() -> dict[str, Path]:
    """Name the caches of wellread and of those that it works with; one that is nowhere on this machine is left out."""
    from huggingface_hub import constants

    ways: dict[str, Callable[[], Path]] = {
        "wellread": cache_directory,
        "huggingface_hub": lambda: Path(constants.HF_HUB_CACHE),
        "TF Hub": tfhub_cache.cache_dir,
        "kagglehub": lambda: Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub"),
    }
    found = {}
    for name, way in ways.items():
        with suppress(HandleError, RuntimeError):  # an address; no home: `problems` tells of both
            found[name] = way()
    return found


def look(name: str, path: Path, *, apart: Collection[Path] = ()) -> Cache:
    """Count what lies in a cache, but for the directories `apart`; links are counted as links."""
    size, files = 0, 0
    unfinished: list[Path] = []
    dead = []
    for entry, about in _walk(path, apart):
        if _is_unfinished(entry, about) and not any(parent in unfinished for parent in entry.parents):
            unfinished.append(entry)
        if stat.S_ISLNK(about.st_mode) and not os.path.exists(entry):
            dead.append(entry)
        if not stat.S_ISDIR(about.st_mode):
            size, files = size + about.st_size, files + 1
    there = _existing(path)
    return Cache(
        name=name,
        path=path,
        files=files,
        size=size,
        writable=there.is_dir() and os.access(there, os.W_OK | os.X_OK),
        free=shutil.disk_usage(there).free,
        unfinished=tuple(unfinished),
        dead=tuple(dead),
    )


def _walk(path: Path, apart: Collection[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything under a directory, each directory before what is in it; what goes meanwhile is passed over."""
    for where, directories, names in os.walk(path):
        directories[:] = [name for name in directories if Path(where, name) not in apart]
        for name in (*directories, *names):
            with suppress(FileNotFoundError):
                yield Path(where, name), os.lstat(os.path.join(where, name))


def _is_unfinished(entry: Path, about: os.stat_result) -> bool:
    """Say whether something was left by a download, by its name and age; links are made when all is there."""
    names = UNFINISHED_DIRECTORIES if stat.S_ISDIR(about.st_mode) else UNFINISHED_FILES
    old = time.time() - about.st_mtime > RUNNING
    return old and not stat.S_ISLNK(about.st_mode) and names.fullmatch(entry.name) is not None


def _existing(path: Path) -> Path:
    return next(each for each in (path.absolute(), *path.absolute().parents) if os.path.exists(each))


def problems(caches: Sequence[Cache]) -> Iterator[Problem]:
    """Tell what is wrong with caches, with what wellread has recorded of them, and with TF Hub's."""
    for cache in caches:
        yield from _of(cache)
    try:
        yield from _of_records(cache_directory() / "pulled")
        yield from _of_tfhub()
    except RuntimeError as error:
        yield Problem(found=f"wellread has no place for a cache: {error}", advice="set WELLREAD_CACHE to a directory")


def _of(cache: Cache) -> Iterator[Problem]:
    whose = f"the cache of {cache.name} in {cache.path}"
    if not cache.writable:
        yield Problem(
            found=f"{whose} cannot be written", advice="make it a directory that you may write, or name another"
        )
    if cache.free < LOW:
        found = f"{whose} is on a disk with {cache.free / 1e6:,.0f} MB left"
        yield Problem(found=found, advice="make room, or name another", broken=False)
    if cache.unfinished:
        yield Problem(
            found=f"{whose} holds what downloads left that broke off: {_some(cache.unfinished)}",
            advice="run them again to go on, or remove these",
            broken=False,
        )
    if cache.dead:
        modules = sorted({_repository(path) for path in cache.dead})
        yield Problem(
            found=f"{whose} holds links to files that are gone: {_some(cache.dead)}",
            advice=f"run wellread pull {' and wellread pull '.join(modules[:SHOWN])}, or remove them",
        )


def _of_records(directory: Path) -> Iterator[Problem]:
    for path in sorted(directory.glob("*.json")):
        try:
            data = recall(path)
            handle, place, files = str(data["handle"]), Path(data["directory"]), as_stamps(data["files"])
        except (TypeError, ValueError, KeyError, AttributeError):
            yield Problem(found=f"the record {path} cannot be read", advice="remove it", broken=False)
            continue
        gone = sorted(name for name, one in files.items() if not _is_there(place / name, one.size))
        if gone:
            yield Problem(
                found=f"{handle} was pulled to {place}; {len(gone)} of its {len(files)} files are gone, or of another "
                f"size: {_some(gone)}",
                advice=f"run wellread pull {handle}, or remove {path}",
                broken=place.is_dir(),  # a module that is gone as a whole is fetched again when it is asked for
            )


def _is_there(path: Path, size: int) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == size


def _of_tfhub() -> Iterator[Problem]:
    try:
        modules = tfhub_cache.installed()
    except HandleError as error:
        yield Problem(found=str(error), advice=f"set {tfhub_cache.VARIABLE} to a directory")
        return
    for module in modules:
        if not (module.directory / "saved_model.pb").is_file():
            remove = f"run wellread revive --remove {module.handle}" if module.handle else "remove it"
            found = f"the TF Hub module {module.handle or ''} in {module.directory} has no saved_model.pb"
            yield Problem(found=found.replace("  ", " "), advice=f"{remove}, and install it again")
    if modules and not os.environ.get(tfhub_cache.VARIABLE):
        yield Problem(
            found=f"{len(modules)} modules are installed for tensorflow-hub, and {tfhub_cache.VARIABLE} is not set, "
            "so it does not find them",
            advice=tfhub_cache.setting(),
            broken=False,
        )


def _repository(path: Path) -> str:
    """Return the id of the Hugging Face repository that a file in its cache is of; else the file's name.

    >>> _repository(Path("hub/models--owner--name/snapshots/c/config.json"))
    'owner/name'
    """
    kept = [part for part in path.parts if part.startswith("models--")]
    return kept[0].removeprefix("models--").replace("--", "/") if kept else path.name


def _some(paths: Sequence[Path | str]) -> str:
    """List the first few, and count the others."""
    shown = ", ".join(map(str, paths[:SHOWN]))
    return shown if len(paths) <= SHOWN else f"{shown} and {len(paths) - SHOWN} more"
