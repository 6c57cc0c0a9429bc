"""`wellread.json`: what a module's other files do not say, and the SHA-256 of each of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wellread.config import HeadConfig, SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError
from wellread.hub.cache import cache_directory, sha256
from wellread.hub.checksums import MANIFEST, Stamp, compare
from wellread.hub.records import UNREADABLE, as_stamps, recall, remember
from wellread.weights.keys import read_json, write_json
from wellread.weights.records import record

NAME = MANIFEST
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What stands in `wellread.json`."""

    pooled_output: str  # a pooler of EncoderConfig
    sentence: SentenceConfig
    tokenizer: TokenizerConfig
    head: HeadConfig | None = None  # of a fine-tuned module; config.json cannot tell a pair, nor a similarity
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

    Files of a module over 64 MB that have the size and time of their last full check are taken as unchanged, unless
    `full`. Raises: CheckpointError that names every file that is unrecorded, missing or damaged.
    """
    unrecorded = [f"{name} is not recorded" for name in needed if name not in manifest.files]
    known = {} if full else _recorded(directory)
    found = compare(directory, manifest.files, known=known, full=full)
    _refuse(directory, unrecorded + [f"{name} {fault}" for name, fault in found.faults.items()])
    if found.large and found.stamps != known:
        _remember(directory, found.stamps)


def _refuse(directory: Path, faults: list[str]) -> None:
    if faults:
        raise CheckpointError(
            f"the files of {directory} must be as {NAME} records them; found that {'; '.join(faults)}; "
            "fetch or save the module again"
        )


def _record_path(directory: Path) -> Path:
    name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()
    return cache_directory() / "verified" / f"{name}.json"


def _recorded(directory: Path) -> dict[str, Stamp]:
    try:
        return as_stamps(recall(_record_path(directory)))
    except UNREADABLE:
        return {}  # never checked here, or the record is damaged: hash again


def _remember(directory: Path, stamps: Mapping[str, Stamp]) -> None:
    """Record a full check. A cache that cannot be written costs time at the next load, no more."""
    with suppress(RuntimeError):
        remember(_record_path(directory), {name: asdict(stamp) for name, stamp in stamps.items()})
