"""What a run over a corpus notes beside its shards: what decides their bytes, and which of them are whole.

`_manifest.json` is written before the first shard and after the last; `_shards.jsonl` gets a line for each shard when
that is on the disk. A shard without its line, or of another size, is made again, to the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from wellread.corpus.sources import Columns, Input
from wellread.dataclass import dataclass
from wellread.errors import ConfigError, DataError
from wellread.files import whole_file, writing
from wellread.schema import parse_object, record

MANIFEST, SHARDS = "_manifest.json", "_shards.jsonl"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What decides the bytes of the shards, and how the run ended."""

    format: int = FORMAT
    wellread: str = ""  # the version that began the run
    module: str = ""  # its handle
    fingerprint: str = ""  # of the module
    backend: str = ""
    precision: str = ""  # that it computes in
    dtype: str = "float32"  # that vectors are stored in
    dimensions: int = 0
    settings: Mapping[str, Any]  # of `encode`
    columns: Columns
    kind: str = ""  # of the files, where it was named: what their rows are
    data_format: str = ""  # of labelled data, where it was named
    shard_rows: int
    inputs: tuple[Input, ...] = ()
    canary: str = ""
    rows: int | None = None  # when all are there

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return self.rows is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A shard that is whole."""

    number: int
    rows: int
    bytes: int
    nulls: int = 0  # rows that could not be encoded
    truncated: int = 0  # rows that lost tokens


# What may differ between a run and its resumption: shards that are there stay as they are.
FREE = {"wellread", "rows", "module", "canary"}
ADVICE = {
    "inputs": "the files have changed since; begin anew in another folder, or pass overwrite=True",
    "format": "it is of another version of wellread; finish it with that version, or pass overwrite=True",
    "fingerprint": "load the module that the run began with, or pass overwrite=True",
    "backend": "pass backend= as it was, on the machine that it was",
}


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest, whole or not at all. Raises: DataError."""
    with whole_file(directory / MANIFEST) as file:
        file.write(json.dumps(asdict(manifest), indent=1, ensure_ascii=False).encode() + b"\n")


def read_manifest(directory: Path) -> Manifest | None:
    """Read the manifest of a run; None where there is none. Raises: DataError for one that is damaged."""
    path = directory / MANIFEST
    if not path.is_file():
        return None
    try:
        facts = parse_object(path.read_bytes())
        if facts.get("format") != FORMAT:
            raise DataError(
                f"a run's manifest of the format {FORMAT} was asked of {path}; found {facts.get('format')!r}; "
                f"{ADVICE['format']}"
            )
        return record(Manifest, facts, source=path)
    except (OSError, ValueError, ConfigError) as error:
        raise DataError(
            f"a run's manifest was asked of {path}; it cannot be read: {error}; begin anew in another folder"
        ) from error


def check_same_run(before: Manifest, now: Manifest, directory: Path) -> Manifest:
    """Return the manifest to go on with. Raises: DataError that names what decides bytes and is not as it was."""
    for field in fields(Manifest):
        was, wanted = getattr(before, field.name), getattr(now, field.name)
        if field.name not in FREE and was != wanted:
            advice = ADVICE.get(field.name, "ask for the same, or pass overwrite=True")
            raise DataError(
                f"the run in {directory} was to go on with {field.name} {_short(wanted)}; found that it began with "
                f"{_short(was)}; {advice}"
            )
    return before


def _short(value: object) -> str:
    text = json.dumps(asdict(value) if isinstance(value, Columns) else value, default=asdict, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}..."


def finished(manifest: Manifest, rows: int) -> Manifest:
    """Return the manifest of a run that has come to its end."""
    return replace(manifest, rows=rows)


def shard_path(directory: Path, number: int) -> Path:
    """Return where a shard lies.

    >>> shard_path(Path("vectors"), 12).name
    'part-000012.parquet'
    """
    return directory / f"part-{number:06}.parquet"


def whole_shards(directory: Path) -> dict[int, Shard]:
    """Return the shards that were noted and lie there in the size that was noted."""
    path, shards = directory / SHARDS, {}
    if not path.is_file():
        return {}
    for line in path.read_bytes().splitlines():
        try:
            shard = record(Shard, parse_object(line), source=path)
        except (ValueError, ConfigError):
            continue  # the last line of a run that was killed while it wrote it
        file = shard_path(directory, shard.number)
        if file.is_file() and file.stat().st_size == shard.bytes:
            shards[shard.number] = shard
        else:
            shards.pop(shard.number, None)
    return shards


def note_shard(directory: Path, shard: Shard) -> None:
    """Add a shard that is on the disk to those that are whole. Raises: DataError."""
    path = directory / SHARDS
    with writing(path), path.open("ab") as file:
        if file.tell() and not _ends_in_newline(path):
            file.write(b"\n")
        file.write(json.dumps(asdict(shard)).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
