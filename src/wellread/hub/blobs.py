"""The files of a snapshot in huggingface_hub's cache, and the checksums that the hub and its links give of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wellread.hub.checksums import Comparison, Stamp, stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What the hub says of a file."""

    size: int | None  # bytes
    digest: str | None  # SHA-256, or the id of a git blob


def compare_snapshot(
    directory: Path, promised: Mapping[str, Promised], *, known: Mapping[str, Stamp] | None = None
) -> Comparison:
    """Hold files against what the hub, or else the name that a link leads to, says of their content.

    Those whose stamp is `known` were hashed just now.
    """
    stamps, faults = {}, {}
    for name, each in promised.items():
        path = directory / name
        if not path.is_file():
            faults[name] = "nothing in its place"
            continue
        stamps[name] = stamp(path, known=(known or {}).get(name))
        digest = each.digest or _linked(path)
        found = blob_id(path) if digest and len(digest) == 40 else stamps[name].sha256
        if digest not in (None, found):
            faults[name] = f"checksum {found} where {digest} was promised"
    return Comparison(stamps=stamps, faults=faults)


def remove(path: Path) -> None:
    """Delete a file of the cache: the name that is used, and what it links to."""
    target = path.resolve()
    blob = path.parent / os.readlink(path) if path.is_symlink() else path
    for each in (target, blob, path):
        with suppress(FileNotFoundError):
            each.unlink()


def _linked(path: Path) -> str | None:
    """Return the checksum by which the cache names a file, where it is one: an ETag may be anything."""
    name = Path(os.readlink(path)).name if path.is_symlink() else ""
    return name if is_checksum(name) else None


def is_checksum(name: str) -> bool:
    """Say whether a name is the SHA-256 of a content, or its git id.

    >>> is_checksum("a" * 40), is_checksum("../a")
    (True, False)
    """
    return len(name) in (40, 64) and set(name) <= set("0123456789abcdef")


def blob_id(path: Path) -> str:
    """Return the id that git gives to a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
