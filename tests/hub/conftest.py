"""What tests of fetching share: a server that fails where it is told to, and a place for a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_server import Files, faulty

from wellread.hub import download


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait between no tries, and know no proxies or certificates but the test's."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    with faulty() as files:
        yield files


@pytest.fixture
def server(files: Files, impatient: None) -> Files:
    """A server that holds nothing yet."""
    files.clear()
    return files


@pytest.fixture
def path(tmp_path: Path, impatient: None) -> Path:
    """A file that is not there, in a directory that is not there."""
    return tmp_path / "new" / "a.bin"
