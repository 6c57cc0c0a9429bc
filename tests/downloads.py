"""What tests of downloads share: a file, and what must be true after it came or was refused."""

from __future__ import annotations

import base64
import hashlib
import random
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from fault_server import Files

from wellread.errors import DownloadError
from wellread.files import Stamp
from wellread.hub.download import download

CONTENT = random.Random(0).randbytes(3_000_007)  # some chunks, and a bit
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TOKEN = {"Authorization": "Bearer secret"}


def came(path: Path, url: str, **options: Any) -> None:
    """See that a file comes whole and leaves nothing beside it."""
    found = download(url, path, **options)
    assert found == Stamp(size=len(CONTENT), mtime_ns=path.stat().st_mtime_ns, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def refused(path: Path, url: str, found: str, advice: str, **options: Any) -> None:
    """See that an address is refused in these words, and that no file appears."""
    with pytest.raises(DownloadError) as error:
        download(url, path, **options)
    assert str(error.value) == f"{url} was to be fetched; found {found}; {advice}"
    assert not path.exists()


def base64_of(algorithm: str, content: bytes = CONTENT) -> str:
    """Return a checksum as headers hold it."""
    if algorithm == "crc32c":
        return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


def ranges(server: Files) -> list[str | None]:
    """Say which parts were asked for."""
    return [request.get("Range") for request in server.seen]
