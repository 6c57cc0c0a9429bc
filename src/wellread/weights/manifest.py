"""`wellread.json`: what a module's other files do not say, and the SHA-256 of each of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wellread.config import DenseConfig, SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError, ConfigError
from wellread.weights.keys import KeyTable, account_for, read_json, write_json

NAME = "wellread.json"
FORMAT = 1
HASHED_AT_EVERY_LOAD = 64_000_000  # bytes; a larger module is hashed when its sizes or times are new
KEYS = KeyTable(
    used={key: key for key in ("format", "pooled_output", "sentence", "tokenizer", "provenance", "files")},
    required=("format", "pooled_output", "sentence", "tokenizer", "files"),
    ignored={"written_by": "a note"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What stands in `wellread.json`."""

    pooled_output: str  # a pooler of EncoderConfig
    sentence: SentenceConfig
    tokenizer: TokenizerConfig
    provenance: Mapping[str, Any] = field(default_factory=dict)  # where the module comes from, free of form
    files: Mapping[str, str] = field(default_factory=dict)  # path in the directory -> SHA-256


def read_manifest(directory: Path) -> Manifest:
    """Read `wellread.json`. Raises: CheckpointError, ConfigError; a later format says that it is later."""
    path = directory / NAME
    data = read_json(path)
    if data.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} must be of format {FORMAT}; found {data.get('format')!r}; a later wellread may have written it: "
            "upgrade with pip install -U wellread"
        )
    used = account_for(data, KEYS, source=path).used
    try:
        sentence = dict(used["sentence"])
        sentence["dense"] = tuple(DenseConfig(**dense) for dense in sentence.get("dense", ()))
        return Manifest(
            pooled_output=used["pooled_output"],
            sentence=SentenceConfig(**sentence),
            tokenizer=TokenizerConfig(**used["tokenizer"]),
            provenance=used.get("provenance", {}),
            files=dict(used["files"]),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"{path} must describe a module; found that {error}; fetch or save the module again") from None


def write_manifest(directory: Path, manifest: Manifest, *, version: str) -> None:
    """Hash every file of `directory` and write `wellread.json` beside them."""
    files = {name: sha256(directory / name) for name in sorted(listed(directory))}
    data = {"format": FORMAT, "written_by": f"wellread {version}", **asdict(manifest), "files": files}
    write_json(directory / NAME, data)


def listed(directory: Path) -> Iterable[str]:
    """Name every file under `directory` but the manifest itself, with forward slashes."""
    for path in directory.rglob("*"):
        if path.is_file() and path != directory / NAME:
            yield path.relative_to(directory).as_posix()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_files(directory: Path, manifest: Manifest, *, full: bool = False) -> None:
    """Compare every file with its recorded SHA-256.

    A module over 64 MB whose files have the sizes and times of its last full check is taken as unchanged, unless
    `full`. Raises: CheckpointError that names every file that is missing or damaged.
    """
    paths = {name: directory / name for name in manifest.files}
    outside = [name for name, path in paths.items() if directory.resolve() not in path.resolve().parents]
    missing = [name for name, path in paths.items() if name not in outside and not path.is_file()]
    if outside or missing:
        found = [f"{name} lies outside" for name in outside] + [f"{name} is missing" for name in missing]
        raise _damaged(directory, found)
    stamps = {name: [path.stat().st_size, path.stat().st_mtime_ns] for name, path in paths.items()}
    large = sum(size for size, _ in stamps.values()) > HASHED_AT_EVERY_LOAD
    record = _record_path(directory)
    fingerprint = {"files": dict(manifest.files), "stamps": stamps}
    if large and not full and _recorded(record) == fingerprint:
        return
    damaged = [f"{name} has another SHA-256" for name, path in paths.items() if sha256(path) != manifest.files[name]]
    if damaged:
        raise _damaged(directory, damaged)
    if large:
        _remember(record, fingerprint)


def _damaged(directory: Path, found: list[str]) -> CheckpointError:
    return CheckpointError(
        f"the files of {directory} must be as {NAME} records them; found that {'; '.join(found)}; "
        "fetch or save the module again"
    )


def cache_directory() -> Path:
    """Return where wellread keeps what it can make again: $WELLREAD_CACHE, or wellread under $XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("WELLREAD_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else base / "wellread"


def _record_path(directory: Path) -> Path:
    name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()
    return cache_directory() / "verified" / f"{name}.json"


def _recorded(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None  # never checked here, or the record is damaged: hash again


def _remember(path: Path, fingerprint: Mapping[str, Any]) -> None:
    """Record a full check. A cache that cannot be written costs time at the next load, no more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(fingerprint))
        partial.replace(path)
    except OSError:
        return
