"""What `hub` measures, each job in a process of its own; arguments: the job, the address, the directory."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.hub_server import ARCHIVE, DEFAULT, REPOSITORY

CHUNK = 1 << 20
OPENINGS = 21


def plain(address: str, path: Path) -> None:
    """Download a file to disk, then hash it: the least that a checked download takes, one after the other."""
    with urlopen(address) as answer, path.open("wb") as file:
        while data := answer.read(CHUNK):
            file.write(data)
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def plain_file(address: str, directory: Path) -> None:
    """Download and hash the weights."""
    plain(f"{address}/{REPOSITORY}/resolve/main/model.safetensors", directory / "model.safetensors")


def plain_archive(address: str, directory: Path) -> None:
    """Download and hash the archive, and unpack it."""
    plain(f"{address}/{ARCHIVE}", directory / ARCHIVE)
    with tarfile.open(directory / ARCHIVE) as archive:
        archive.extractall(directory / "module", filter="data")


def pull_file(address: str, directory: Path) -> None:
    """Pull the Hugging Face id."""
    import wellread

    assert wellread.pull(REPOSITORY, show=False).fetched


def pull_archive(address: str, directory: Path) -> None:
    """Pull the archive."""
    import wellread

    assert wellread.pull(f"{address}/{ARCHIVE}", show=False).fetched


JOBS: dict[str, Callable[[str, Path], None]] = {
    "plain_file": plain_file,
    "plain_archive": plain_archive,
    "pull_file": pull_file,
    "pull_archive": pull_archive,
}


def opening(address: str) -> dict[str, Any]:
    """Resolve what was pulled, and load the default that was, again and again; count the connections that are tried."""
    import wellread
    from wellread.files import sha256
    from wellread.hub.resolve import resolve

    wellread.pull(DEFAULT, show=False)
    weights = resolve(DEFAULT).directory / "model.safetensors"
    tried: list[object] = []
    sys.addaudithook(lambda event, of: tried.append(of) if event in ("socket.connect", "socket.getaddrinfo") else None)
    seconds = {
        "file": _median_seconds(lambda: resolve(REPOSITORY)),
        "archive": _median_seconds(lambda: resolve(f"{address}/{ARCHIVE}")),
        "load": _median_seconds(lambda: wellread.load(DEFAULT)) - _median_seconds(lambda: sha256(weights)),
    }
    return {**seconds, "connections": len(tried)}


def _median_seconds(work: Callable[[], object]) -> float:
    """Return the seconds of some work, warm: the median."""
    seconds = []
    for _ in range(OPENINGS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def main() -> None:
    """Do one job and print what it took, as JSON; imports are done before the clock starts."""
    job, address, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    if job == "open":
        print(json.dumps(opening(address)))
        return
    if job.startswith("pull"):
        import huggingface_hub

        import wellread
        from wellread.hub import download, sources

        _ = wellread.pull, huggingface_hub.snapshot_download, download, sources
    os.sync()  # what others wrote before is not our time
    started = time.perf_counter()
    JOBS[job](address, directory)
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
