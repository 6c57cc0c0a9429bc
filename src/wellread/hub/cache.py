"""Where wellread keeps what it can make again, and the checksum by which it knows a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def cache_directory() -> Path:
    """Return where wellread keeps what it can make again: $WELLREAD_CACHE, or a place in $XDG_CACHE_HOME or ~/.cache.

    Raises: RuntimeError where none of them is known.
    """
    if named := os.environ.get("WELLREAD_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wellread"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
