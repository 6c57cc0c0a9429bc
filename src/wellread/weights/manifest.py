"""`wellread.json`: what a module's other files do not say, and the SHA-256 of each of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from wellread.config import SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError
from wellread.hub.cache import cache_directory, sha256
from wellread.weights.keys import read_json, write_json
from wellread.weights.records import record

NAME = "wellread.json"
FORMAT = 1
HASHED_AT_EVERY_LOAD = 64_000_000  # bytes; a larger module is hashed when its sizes or times are new


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What stands in `wellread.json`."""

    pooled_output: str  # a pooler of EncoderConfig
    sentence: SentenceConfig
    tokenizer: TokenizerConfig
    provenance: Mapping[str, Any] = field(default_factory=dict)  # where the module comes from, free of form
    files: Mapping[str, str] = field(default_factory=dict)  # path in the directory -> SHA-256
    written_by: str = ""  # a note: the wellread that wrote it
    format: int = FORMAT


def read_manifest(directory: Path) -> Manifest:
    """Read `wellread.json`. Raises: CheckpointError, ConfigError; a later format says that it is later."""
    path = directory / NAME
    data = read_json(path)
    if data.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} must be of format {FORMAT}; found {data.get('format')!r}; a later wellread may have written it: "
            "upgrade with pip install -U wellread"
        )
    return record(Manifest, data, source=path)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Hash every file of `directory` and write `wellread.json` beside them."""
    files = {name: sha256(directory / name) for name in sorted(listed(directory))}
    write_json(directory / NAME, {**asdict(manifest), "files": files})


def listed(directory: Path) -> Iterable[str]:
    """Name every file under `directory` but the manifest and the model card, with forward slashes.

    The card is for people, who edit it where it is published; nothing is loaded from it.
    """
    unlisted = (directory / NAME, directory / "README.md")
    for path in directory.rglob("*"):
        if path.is_file() and path not in unlisted:
            yield path.relative_to(directory).as_posix()


def check_files(directory: Path, manifest: Manifest, *, full: bool = False, needed: Collection[str] = ()) -> None:
    """Compare every file with its recorded SHA-256; `needed` names files that the record must hold.

    A module over 64 MB whose files have the sizes and times of its last full check is taken as unchanged, unless
    `full`. Raises: CheckpointError that names every file that is unrecorded, missing or damaged.
    """
    faults = [f"{name} is not recorded" for name in needed if name not in manifest.files]
    faults += [f"{name} lies outside" for name in manifest.files if _outside(name)]
    faults += [
        f"{name} is missing"
        for name in manifest.files
        if not _outside(name) and not os.path.isfile(directory / name)  # never raises, as Path.is_file does
    ]
    _refuse(directory, faults)
    stats = {name: (directory / name).stat() for name in manifest.files}
    large = sum(stat.st_size for stat in stats.values()) > HASHED_AT_EVERY_LOAD
    stamps = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    fingerprint = {"files": dict(manifest.files), "stamps": stamps}
    if large and not full and _recorded(directory) == fingerprint:
        return
    digests = {name: sha256(directory / name) for name in manifest.files}
    _refuse(directory, [f"{name} has another SHA-256" for name in digests if digests[name] != manifest.files[name]])
    if large:
        _remember(directory, fingerprint)


def _outside(name: str) -> bool:
    """Say whether a path may lead out of its directory. Links are followed: the cache of the hub consists of them."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or path.as_posix() != name or name == "."


def _refuse(directory: Path, faults: list[str]) -> None:
    if faults:
        raise CheckpointError(
            f"the files of {directory} must be as {NAME} records them; found that {'; '.join(faults)}; "
            "fetch or save the module again"
        )


def _record_path(directory: Path) -> Path:
    name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()
    return cache_directory() / "verified" / f"{name}.json"


def _recorded(directory: Path) -> Any:
    try:
        return json.loads(_record_path(directory).read_bytes())
    except (OSError, ValueError, RuntimeError):
        return None  # never checked here, or the record is damaged: hash again


def _remember(directory: Path, fingerprint: Mapping[str, Any]) -> None:
    """Record a full check. A cache that cannot be written costs time at the next load, no more."""
    try:
        path = _record_path(directory)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(fingerprint))
        partial.replace(path)
    except (OSError, RuntimeError):
        return
