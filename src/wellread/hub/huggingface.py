"""A Hugging Face id to a snapshot in huggingface_hub's cache, each file held against the hub's checksum of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any

from wellread.errors import DownloadError
from wellread.files import Stamp
from wellread.hub.blobs import Promised, compare_snapshot, remove, said_plainly
from wellread.hub.integrity import refuse_impostors
from wellread.hub.records import Request

# The files that a module is made of; other frameworks' weights, and anything executable, stay where they are.
PATTERNS = ("*.json", "*.txt", "*.model", "*.spiece", "*.safetensors", "*_Dense/pytorch_model.bin")
# Fetched where there are no safetensors, and none of the kind before: many repositories hold several.
OLDER_PATTERNS = (
    ("pytorch_model*.bin",),
    ("saved_model.pb", "variables/variables.*", "assets/*"),
    ("*.ckpt.index", "*.ckpt.data-*"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A module in huggingface_hub's cache."""

    directory: Path
    commit: str
    files: Mapping[str, Stamp]
    fetched: Collection[str] = field(default=())  # the files that were not there before


def selected(names: Iterable[str]) -> list[str]:
    """Return which files of a repository make up the module.

    >>> selected(["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"])
    ['config.json', 'model.safetensors']
    """
    every = sorted(names)
    found = _matching(every, PATTERNS)
    if not any("/" not in name for name in _matching(found, ("*.safetensors",))):
        found += next((older for older in (_matching(every, patterns) for patterns in OLDER_PATTERNS) if older), [])
    return found


def _matching(names: Iterable[str], patterns: Collection[str]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def fetch(request: Request, *, commit: str | None = None) -> Snapshot:
    """Fetch what is not there of the newest commit of a revision, or of `commit`, and check every file.

    A file with another checksum than the hub's is fetched again once.

    Raises: HandleError for what the hub does not know; DownloadError for what cannot be had whole, CheckpointError for
        what is no model file.
    """
    from wellread.hub.large_files import fetch_large  # opens a socket when it is imported, through urllib3

    revision = commit or request.revision
    commit, promised = _listing(request, revision)
    there = {name for name in promised if _cached(request, commit, name)}
    known = fetch_large(request, commit, promised)
    if request.force and (small := [name for name in promised if name not in known]):
        _snapshot(request, revision=revision, allow_patterns=list(map(escape, small)), force_download=True)
    directory = _download(request, promised, revision=revision, commit=commit)
    found = compare_snapshot(directory, promised, known=known)
    stamps = found.stamps
    if found.faults:
        _drop(directory, found.faults)
        warnings.warn(f"{_damage(request.name, found.faults)}; fetching again", UserWarning, stacklevel=2)
        _download(request, promised, revision=revision, commit=commit)
        again = compare_snapshot(directory, {name: promised[name] for name in found.faults})
        _refuse_again(request, directory, again.faults)
        stamps = {**stamps, **again.stamps}
    refuse_impostors(directory)
    fetched = [name for name in promised if request.force or name in found.faults or name not in there]
    return Snapshot(directory=directory, commit=commit, files=stamps, fetched=fetched)


def find(request: Request) -> Snapshot:
    """Take a snapshot as it lies in the cache, without the network, each file checked where its link names a checksum.

    Raises: DownloadError where there is none, or a file is damaged.
    """
    directory = _snapshot(request, revision=request.revision, local_files_only=True, allow_patterns=list(PATTERNS))
    files = taken(request.name, directory, selected(present(directory)))
    return Snapshot(directory=directory, commit=directory.name, files=files)


def taken(name: str, directory: Path, files: Iterable[str]) -> dict[str, Stamp]:
    """Hash files of a snapshot that another program fetched, each checked where its link names a checksum.

    Raises: DownloadError where one is damaged; `name` names the module.
    """
    found = compare_snapshot(directory, {file: Promised(size=None, digest=None) for file in files})
    if found.faults:
        raise DownloadError(f"{_damage(name, found.faults)}; run wellread pull {name} while online")
    return dict(found.stamps)


def present(directory: Path) -> list[str]:
    """Name the files of a snapshot that lies in the cache, by their paths in it."""
    return [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]


def _listing(request: Request, revision: str | None) -> tuple[str, dict[str, Promised]]:
    """Ask the hub for a commit and for what it says of the module's files."""
    import huggingface_hub

    with said_plainly(request):
        api = huggingface_hub.HfApi(token=request.token)
        info = api.model_info(request.location.address, revision=revision, files_metadata=True)
        files = {each.rfilename: each for each in info.siblings or ()}
        if any(each.blob_id is None for each in files.values()):  # a mirror that keeps the details for its tree
            tree = api.list_repo_tree(request.location.address, recursive=True, revision=info.sha)
            files = {each.path: each for each in tree if hasattr(each, "blob_id")}
    return info.sha, {name: _promised(files[name]) for name in selected(files)}


def _promised(file: Any) -> Promised:
    if file.lfs is not None:
        return Promised(size=file.lfs.size, digest=file.lfs.sha256)
    return Promised(size=file.size, digest=file.blob_id)


def _cached(request: Request, commit: str, name: str) -> bool:
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(
        request.location.address, name, cache_dir=request.cache, revision=commit
    )
    return isinstance(found, str)


def _download(request: Request, promised: Mapping[str, Promised], *, revision: str | None, commit: str) -> Path:
    needed = sum(each.size or 0 for each in promised.values())
    patterns = [escape(name) for name in promised]
    directory = _snapshot(request, revision=revision, allow_patterns=patterns, needed=needed)
    if directory.name != commit:  # huggingface_hub falls back on what it has
        raise DownloadError(
            f"commit {commit} of {request.name} was to be fetched; found {directory.name}: the hub moved on or went "
            "out of reach meanwhile; try again"
        )
    return directory


def _snapshot(request: Request, *, needed: int = 0, **options: Any) -> Path:
    """Have huggingface_hub make a snapshot whole, and return where it lies."""
    import huggingface_hub

    with said_plainly(request, needed=needed):
        return Path(
            huggingface_hub.snapshot_download(
                request.location.address,
                token=request.token,
                cache_dir=request.cache,
                tqdm_class=_bar(request.show),
                **options,
            )
        )


def _bar(show: bool | None) -> Any:
    """Return a class of progress bars for huggingface_hub, whose own are shown without a terminal too."""
    from huggingface_hub.utils import tqdm

    shown = sys.stderr.isatty() if show is None else show

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": not shown})

    return Bar


def _drop(directory: Path, damaged: Iterable[str]) -> None:
    for name in damaged:
        remove(directory / name)


def _refuse_again(request: Request, directory: Path, damaged: Mapping[str, str]) -> None:
    """Refuse files that came damaged twice, and delete them."""
    if not damaged:
        return
    try:
        refuse_impostors(directory)  # which knows a web page when it sees one
    finally:
        _drop(directory, damaged)
    raise DownloadError(f"{_damage(request.name, damaged)}, and so once more; try again later")


def _damage(name: str, damaged: Mapping[str, str]) -> str:
    words = "; ".join(f"{file}: {fault}" for file, fault in damaged.items())
    return f"the files of {name} must be what the hub says; found {words}"
