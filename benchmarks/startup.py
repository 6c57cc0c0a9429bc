"""From the start of a process to its first vector: what a command, a test or a serverless function waits for."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import died, environment, readable_by_peers
from benchmarks.machine import Machine, lacks, this_machine
from benchmarks.report import ABSENT, ratio, spread, table
from wellread.errors import InputError
from wellread.progress import progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that prints one vector; its arguments are the handle and the directory that it stands for."""

    name: str
    code: str
    needs: tuple[str, ...] = ()  # modules that must be there to import


_TEXT = "A man is playing a guitar."
PROGRAMS = (
    Program(name="python", code="print(0, flush=True)"),
    Program(name="python and numpy", code="import numpy; print(0, flush=True)"),
    Program(
        name="wellread",
        code=f"import sys, wellread; print(wellread.load(sys.argv[1]).encode({_TEXT!r}).tolist(), flush=True)",
    ),
    Program(
        name="wellread embed",
        code=f"import sys; sys.argv[0:] = ['wellread', 'embed', {_TEXT!r}, '--model', sys.argv[1]]\n"
        "from wellread.cli.main import main; main()",
    ),
    Program(
        name="sentence-transformers",
        code="import sys; from sentence_transformers import SentenceTransformer; "
        f"print(SentenceTransformer(sys.argv[2], device='cpu').encode({_TEXT!r}).tolist(), flush=True)",
        needs=("sentence_transformers", "torch"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupRow:
    """One program, measured or not."""

    name: str
    lacks: str | None = None  # why it was not measured
    seconds: tuple[float, ...] = ()  # of each round

    @property
    def median(self) -> float | None:
        """Seconds: the median of the rounds; None where there are none."""
        return statistics.median(self.seconds) if self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupResult:
    """The result of `run_startup`."""

    model: str  # the handle
    rounds: int
    machine: Machine
    rows: tuple[StartupRow, ...]

    def derived(self) -> list[dict[str, Any]]:
        """Return the median of each row."""
        return [{"median": row.median} for row in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        title = f"{self.model}: from the start of a process to its first vector, median of {self.rounds} rounds in turn"
        (ours,) = (row.median for row in self.rows if row.name == "wellread")
        rows = [
            [row.name, *[ABSENT] * 3, str(row.lacks)]
            if row.median is None
            else [row.name, f"{row.median:.3f}", spread(row.seconds, 3), ratio(ours and row.median / ours), ""]
            for row in self.rows
        ]
        return [title, table(["program", "seconds", "spread", "x wellread", "note"], rows)]


def run_startup(
    handle: str | os.PathLike[str] = "default",
    *,
    peer: str | os.PathLike[str] | None = None,
    rounds: int = 7,
    show_progress: bool | None = None,
) -> StartupResult:
    """Measure the seconds from the start of a process to its first printed vector, for us and for our peers.

    We load `handle`; sentence-transformers loads `peer`, or the same module if it is not given. Programs run in turn; a
    first round, which fills the file cache and keeps compiled modules, does not count. Python with NumPy is the floor.

    Raises: InputError for less than 1 round; HandleError; BenchError for a program that fails.
    """
    if rounds < 1:
        raise InputError(f"a measurement takes at least 1 round; found {rounds}; give more")
    missing = {program.name: lacks(program.needs) for program in PROGRAMS}
    present = [program for program in PROGRAMS if missing[program.name] is None]
    seconds: Mapping[str, list[float]] = {program.name: [] for program in PROGRAMS}
    show = sys.stderr.isatty() if show_progress is None else show_progress
    with (
        readable_by_peers(peer or handle) as directory,
        progress((rounds + 1) * len(present), show=show, label="starts") as advance,
    ):
        arguments = [str(handle), str(directory)]
        for _ in range(rounds + 1):
            for program in present:
                seconds[program.name].append(_first_line(program, arguments))
                advance(1)
    rows = (StartupRow(name=name, lacks=missing[name], seconds=tuple(values[1:])) for name, values in seconds.items())
    model = " and ".join(Path(name).name for name in (handle, *((peer,) if peer else ())))
    return StartupResult(model=model, rounds=rounds, machine=this_machine(), rows=tuple(rows))


def _first_line(program: Program, arguments: list[str]) -> float:
    """Run a program; return the seconds until its first line."""
    with tempfile.TemporaryFile() as stderr:
        started = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", program.code, *arguments], stdout=subprocess.PIPE, stderr=stderr, env=environment()
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            elapsed = time.perf_counter() - started
        if process.returncode or not line:
            stderr.seek(0)
            raise died(program.name, "print a vector", process.returncode, stderr.read())
    return elapsed
