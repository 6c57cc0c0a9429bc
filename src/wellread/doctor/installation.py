"""What is installed and what lies in the caches, held against what should be there; nothing is imported or changed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from wellread.errors import HandleError
from wellread.files import as_stamps, cache_directory, load_json

# A package may be installed under one of these names instead.
INSTEAD = {
    "tensorflow-cpu": ("tensorflow", "tensorflow-intel", "tensorflow-macos"),
    "tensorflow": ("tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-openvino"),
}
HIDDEN = "dev"  # the extra of those who work on wellread
EVERYWHERE = ("setuptools",)  # that these are installed says nothing about an extra
# Names that files and directories have while they are written: downloads, records, what is moved into place at the end.
UNFINISHED_FILES = re.compile(r".*\.(incomplete|part|part\.json)|[0-9a-f]{64}\.\d+")
UNFINISHED_DIRECTORIES = re.compile(r"\..+\.[a-z0-9_]{8}|[0-9a-f]{40}\.[0-9a-f]{32}\.tmp")
RUNNING = 3600  # seconds; what was written since may still be at work
LISTED = 3  # names in a message
LOW = 1_000_000_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong on this machine, and what to do about it."""

    found: str
    advice: str
    broken: bool = True  # something does not work; False: it works, and could be better


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that wellread needs, always or for an extra."""

    name: str
    needed: str  # the versions that fit, as pip writes them
    extra: str | None  # None: always
    version: str | None  # None: not installed

    @property
    def fits(self) -> bool:
        """Whether it is installed in a version that fits."""
        if self.version is None:
            return False
        return Requirement(f"a{self.needed}").specifier.contains(self.version, prereleases=True)


def packages(distribution: str = "wellread") -> list[Package]:
    """List what a distribution needs: always first, then extra by extra; empty where it is not installed itself.

    >>> [package.extra for package in packages() if package.name == "numpy"]
    [None]
    """
    try:
        needs = [Requirement(line) for line in metadata.requires(distribution) or ()]
        extras = metadata.metadata(distribution).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    rows: list[tuple[Requirement, str | None]] = [(need, None) for need in needs if _applies(need, "")]
    for extra in sorted(extras):
        if extra != HIDDEN:
            rows += [(need, extra) for need in needs if _applies(need, extra) and not _applies(need, "")]
    return [
        Package(name=need.name, needed=str(need.specifier), extra=extra, version=_version(need.name))
        for need, extra in rows
    ]


def _applies(need: Requirement, extra: str) -> bool:
    return need.marker is None or need.marker.evaluate({"extra": extra})


def _installed_as(name: str) -> str | None:
    """Return the name under which a package is installed; None where it is not."""
    for candidate in (name, *INSTEAD.get(name, ())):
        with suppress(metadata.PackageNotFoundError):
            metadata.version(candidate)
            return candidate
    return None


def _version(name: str) -> str | None:
    installed = _installed_as(name)
    return installed and metadata.version(installed)


def package_problems(rows: Sequence[Package]) -> Iterator[Problem]:
    """Tell what is missing or does not fit: of what wellread needs, and of what these packages need of others.

    An extra counts where one of its packages is installed.
    """
    if not rows:
        yield Problem(found="wellread is not installed, only there", advice="run pip install wellread")
    in_use = {package.extra for package in rows if package.version and package.name not in EVERYWHERE} | {None}
    for package in rows:
        if not package.fits and package.extra in in_use:
            yield Problem(
                found=f"wellread needs {package.name}{package.needed}; found {package.version or 'none'}",
                advice=f"run {pip_install(package.extra)}",
                broken=package.extra is None or package.version is not None,
            )
    for name in sorted({package.name for package in rows if package.version and package.extra in in_use}):
        yield from _conflicts(name)


def _conflicts(name: str) -> Iterator[Problem]:
    """Tell which of a package's own needs the installed versions do not meet."""
    installed = _installed_as(name) or name
    for need in map(Requirement, metadata.requires(installed) or ()):
        if _applies(need, "") and not ((version := _version(need.name)) and need.specifier.contains(version, True)):
            yield Problem(
                found=f"{installed} {_version(name)} needs {need.name}{need.specifier}; found {version or 'none'}",
                advice=f"run pip install '{need.name}{need.specifier}'",
                broken=False,  # its authors' bound, which may be too narrow
            )


def pip_install(extra: str | None) -> str:
    """Return the command that installs wellread with an extra.

    >>> pip_install("tf")
    'pip install "wellread[tf]"'
    """
    return f'pip install "wellread[{extra}]"' if extra else "pip install --upgrade wellread"


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


def cache_directories() -> dict[str, Path]:
    """Name the caches of wellread and of those that it works with; one that is nowhere on this machine is left out."""
    from huggingface_hub import constants

    from wellread.hub import tfhub_cache

    locate: dict[str, Callable[[], Path]] = {
        "wellread": cache_directory,
        "huggingface_hub": lambda: Path(constants.HF_HUB_CACHE),
        "TF Hub": tfhub_cache.cache_dir,
        "kagglehub": lambda: Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub"),
    }
    directories = {}
    for name, directory in locate.items():
        with suppress(HandleError, RuntimeError):  # an address; no home: `cache_problems` tells of both
            directories[name] = directory()
    return directories


def inspect_cache(name: str, path: Path, *, exclude: Collection[Path] = ()) -> Cache:
    """Count what lies in a cache, but for the directories `exclude`; links are counted as links."""
    size, files = 0, 0
    unfinished: list[Path] = []
    dead: list[Path] = []
    for entry, status in _walk(path, exclude):
        if stat.S_ISLNK(status.st_mode):  # links are made when all is there
            dead += [] if os.path.exists(entry) else [entry]
        elif time.time() - status.st_mtime > RUNNING:
            names = UNFINISHED_DIRECTORIES if stat.S_ISDIR(status.st_mode) else UNFINISHED_FILES
            if names.fullmatch(entry.name) and not any(parent in unfinished for parent in entry.parents):
                unfinished.append(entry)
        if not stat.S_ISDIR(status.st_mode):
            size, files = size + status.st_size, files + 1
    existing = next(each for each in (path.absolute(), *path.absolute().parents) if os.path.exists(each))
    return Cache(
        name=name,
        path=path,
        files=files,
        size=size,
        writable=existing.is_dir() and os.access(existing, os.W_OK | os.X_OK),
        free=shutil.disk_usage(existing).free,
        unfinished=tuple(unfinished),
        dead=tuple(dead),
    )


def _walk(path: Path, exclude: Collection[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything under a directory, each directory before what is in it; what goes meanwhile is passed over."""
    for parent, directories, names in os.walk(path):
        directories[:] = [name for name in directories if Path(parent, name) not in exclude]
        for name in (*directories, *names):
            with suppress(FileNotFoundError):
                yield Path(parent, name), os.lstat(os.path.join(parent, name))


def cache_problems(caches: Sequence[Cache]) -> Iterator[Problem]:
    """Tell what is wrong with caches, with what wellread has recorded of them, and with TF Hub's."""
    for cache in caches:
        label = f"the cache of {cache.name} in {cache.path}"
        if not cache.writable:
            advice = "make it a directory that you may write, or name another"
            yield Problem(found=f"{label} cannot be written", advice=advice)
        if cache.free < LOW:
            yield Problem(
                found=f"{label} is on a disk with {cache.free / 1e6:,.0f} MB left",
                advice="make room, or name another",
                broken=False,
            )
        if cache.unfinished:
            yield Problem(
                found=f"{label} holds what downloads left that broke off: {_list(cache.unfinished)}",
                advice="run them again to go on, or remove these",
                broken=False,
            )
        if cache.dead:
            modules = sorted({_repository(path) for path in cache.dead})
            yield Problem(
                found=f"{label} holds links to files that are gone: {_list(cache.dead)}",
                advice=f"run wellread pull {' and wellread pull '.join(modules[:LISTED])}, or remove them",
            )
    try:
        yield from _record_problems(cache_directory() / "pulled")
        yield from _tfhub_problems()
    except RuntimeError as error:
        yield Problem(found=f"wellread has no place for a cache: {error}", advice="set WELLREAD_CACHE to a directory")


def _record_problems(directory: Path) -> Iterator[Problem]:
    for path in sorted(directory.glob("*.json")):
        try:
            data = load_json(path)
            handle, module, files = str(data["handle"]), Path(data["directory"]), as_stamps(data["files"])
        except (TypeError, ValueError, KeyError, AttributeError):
            yield Problem(found=f"the record {path} cannot be read", advice="remove it", broken=False)
            continue
        sizes = {name: os.path.getsize(module / name) for name in files if os.path.isfile(module / name)}
        missing = sorted(name for name, stamp in files.items() if sizes.get(name) != stamp.size)
        if missing:
            yield Problem(
                found=f"{handle} was pulled to {module}; {len(missing)} of its {len(files)} files are gone, or of "
                f"another size: {_list(missing)}",
                advice=f"run wellread pull {handle}, or remove {path}",
                broken=module.is_dir(),  # a module that is gone as a whole is fetched again when it is asked for
            )


def _tfhub_problems() -> Iterator[Problem]:
    from wellread.hub import tfhub_cache

    try:
        modules = tfhub_cache.installed()
    except HandleError as error:
        yield Problem(found=str(error), advice=f"set {tfhub_cache.VARIABLE} to a directory")
        return
    for module in modules:
        if not (module.directory / "saved_model.pb").is_file():
            remove = f"run wellread revive --remove {module.handle}" if module.handle else "remove it"
            label = f"the TF Hub module {module.handle or ''} in {module.directory}".replace("  ", " ")
            yield Problem(found=f"{label} has no saved_model.pb", advice=f"{remove}, and install it again")
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
    folders = [part for part in path.parts if part.startswith("models--")]
    return folders[0].removeprefix("models--").replace("--", "/") if folders else path.name


def _list(paths: Sequence[Path | str]) -> str:
    """List the first few, and count the others."""
    first = ", ".join(map(str, paths[:LISTED]))
    return first if len(paths) <= LISTED else f"{first} and {len(paths) - LISTED} more"
