"""Pulling and opening a module: our checked downloads against a plain download with hashing, from one server."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import died, environment
from benchmarks.hub_server import ARCHIVE
from benchmarks.machine import Machine, this_machine
from benchmarks.report import ratio, spread, table
from wellread.errors import InputError
from wellread.hub.resolve import DEFAULT
from wellread.progress import progress

PEERS = {"pull_file": "plain_file", "pull_archive": "plain_archive"}
WHAT = {
    "plain_file": ("Hugging Face id:", "download, then SHA-256"),
    "pull_file": ("Hugging Face id:", "wellread pull"),
    "plain_archive": ("archive:", "download, then SHA-256, then unpack"),
    "pull_archive": ("archive:", "wellread pull"),
}
MEASURED = ("huggingface-hub", "urllib3")
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRow:
    """One system at one kind of handle."""

    job: str  # of WHAT
    seconds: tuple[float, ...]  # of each round

    @property
    def median(self) -> float:
        """Seconds of a round: the median."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubResult:
    """The result of `run_hub`."""

    size: int  # bytes of the weights
    rounds: int
    machine: Machine
    rows: tuple[HubRow, ...]
    # Warm seconds of what was pulled: a resolve of "file" and "archive"; a "load" of the default beyond its weights.
    opening: Mapping[str, float]
    connections: int  # that all of these opened

    def ratio(self, row: HubRow) -> float:
        """Return how many times as fast as the plain download a row is."""
        (peer,) = (each for each in self.rows if each.job == PEERS.get(row.job, row.job))
        return peer.median / row.median

    def derived(self) -> list[dict[str, Any]]:
        """Return the median of each row, and its ratio."""
        return [{"median": row.median, "ratio": self.ratio(row)} for row in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        file, archive, load = (f"{1000 * self.opening[kind]:.1f} ms" for kind in ("file", "archive", "load"))
        title = (
            f"a module of {self.size / 1e6:,.0f} MB from a server on this machine, median of {self.rounds} rounds in "
            f"turn; once pulled, resolved in {file} (archive {archive}), the default loaded in {load} beyond reading "
            f"its weights, {self.connections} connections"
        )
        rows = [
            [" ".join(WHAT[row.job]), f"{row.median:.2f}", spread(row.seconds), ratio(self.ratio(row))]
            for row in self.rows
        ]
        return [title, table(["handle and work", "seconds", "spread", "x plain"], rows)]


def run_hub(*, size: int = 400 * MEGABYTE, rounds: int = 3, show_progress: bool | None = None) -> HubResult:
    """Pull a module of `size` bytes of noise from a server on this machine, each job in a fresh process, in turn.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a job that fails.
    """
    if size < 1 or rounds < 1:
        raise InputError(f"at least 1 byte and 1 round are measured; found {size} and {rounds}; correct them")
    show = sys.stderr.isatty() if show_progress is None else show_progress
    seconds: dict[str, list[float]] = {job: [] for job in WHAT}
    with (
        tempfile.TemporaryDirectory() as work,
        _serving(Path(work), size) as address,
        progress(rounds * len(WHAT), show=show, label="jobs") as advance,
    ):
        caches = Path(work) / "caches"
        jobs = list(WHAT)
        for number in range(rounds):
            first = number % len(jobs)  # another in each round: a disk still writes what the last one left
            for job in jobs[first:] + jobs[:first]:
                shutil.rmtree(caches, ignore_errors=True)
                seconds[job].append(_ask(job, address, caches)["seconds"])
                advance(1)
        shutil.rmtree(caches)
        for job in ("pull_file", "pull_archive"):
            _ask(job, address, caches)
        opened = _ask("open", address, caches)
    return HubResult(
        size=size,
        rounds=rounds,
        machine=this_machine(MEASURED),
        rows=tuple(HubRow(job=job, seconds=tuple(seconds[job])) for job in WHAT),
        opening={kind: opened[kind] for kind in ("file", "archive", "load")},
        connections=opened["connections"],
    )


@contextmanager
def _serving(work: Path, size: int) -> Iterator[str]:
    """Make the module and its archive, and serve both; give the address."""
    root, module = work / "root", work / "root" / "module"
    module.mkdir(parents=True)
    (module / "config.json").write_text("{}\n")
    (module / "vocab.txt").write_text("[PAD]\n")
    with (module / "model.safetensors").open("wb") as file:  # noise: nothing reads it as a model
        for start in range(0, size, MEGABYTE):
            file.write(os.urandom(min(MEGABYTE, size - start)))
    shutil.copytree(DEFAULT, root / "default", ignore=shutil.ignore_patterns("README.md"))
    with tarfile.open(root / ARCHIVE, "w") as archive:
        archive.add(module, "module")
    command = [sys.executable, "-m", "benchmarks.hub_server", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def _ask(job: str, address: str, caches: Path) -> Mapping[str, Any]:
    """Do a job in a process of its own, with caches below `caches`. Raises: BenchError."""
    changes = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(caches / "hf"),
        "WELLREAD_CACHE": str(caches / "wellread"),
        "TFHUB_CACHE_DIR": str(caches / "tfhub"),
        "NO_PROXY": "127.0.0.1",
    }
    inherited = {name: value for name, value in environment().items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    command = [sys.executable, "-m", "benchmarks.hub_worker", job, address, str(caches)]
    process = subprocess.run(command, env={**inherited, **changes}, capture_output=True, check=False)
    if process.returncode:
        raise died(job, "run", process.returncode, process.stderr)
    answer: Mapping[str, Any] = json.loads(process.stdout)
    return answer
