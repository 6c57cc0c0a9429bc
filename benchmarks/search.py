"""The nearest of many vectors, by comparing all: our search of files beside faiss and sentence-transformers."""

from __future__ import annotations

import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Worker
from benchmarks.machine import Machine, lacks, this_machine
from benchmarks.report import ABSENT, mebibytes, ratio, table
from benchmarks.search_worker import SYSTEMS, TOP_K, WIDTH, write_vectors
from wellread.errors import BenchError, InputError
from wellread.progress import progress

PEER = "faiss"
EXACT = ("wellread", "wellread-parquet", "faiss", "semantic-search")  # all in float32: they must agree
COUNTS = (1, 100)  # queries at once
MEASURED = ("faiss-cpu", "numpy", "pyarrow", "sentence-transformers", "torch")
PROGRAM = "benchmarks.search_worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRow:
    """One system."""

    system: str
    lacks: str | None = None  # why it was not measured
    one: tuple[float, ...] = ()  # seconds of one query, of each round
    many: tuple[float, ...] = ()  # of 100 queries
    kept: float | None = None  # share of the nearest in float32 that it finds
    peak_bytes: int = 0  # the largest resident memory of its process


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The result of `run_search`."""

    vectors: int
    rounds: int
    machine: Machine
    rows: tuple[SearchRow, ...]

    def ratio(self, row: SearchRow, what: str) -> float | None:
        """Return how many times as fast as faiss in float32 a row is at `one` query or at `many`."""
        (peer,) = (getattr(each, what) for each in self.rows if each.system == PEER)
        own = getattr(row, what)
        return statistics.median(peer) / statistics.median(own) if peer and own else None

    def derived(self) -> list[dict[str, Any]]:
        """Return the ratios of each row."""
        return [{f"ratio_{what}": self.ratio(row, what) for what in ("one", "many")} for row in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        title = (
            f"the {TOP_K} nearest of {self.vectors:,} vectors of {WIDTH} numbers, all compared: seconds of one query "
            f"and of {COUNTS[1]} at once, median of {self.rounds} rounds in turn; files were read before"
        )
        head = [
            "system",
            "one query",
            f"x {PEER}",
            f"{COUNTS[1]} queries",
            f"x {PEER}",
            "of the nearest",
            "peak memory",
        ]
        return [title, table([*head, "note"], [self._cells(row) for row in self.rows])]

    def _cells(self, row: SearchRow) -> list[str]:
        if row.lacks is not None:
            return [row.system, *[ABSENT] * 6, row.lacks]
        assert row.kept is not None
        one, many = (f"{statistics.median(seconds):.3f}" for seconds in (row.one, row.many))
        cells = [one, ratio(self.ratio(row, "one")), many, ratio(self.ratio(row, "many"))]
        return [row.system, *cells, f"{row.kept:.3f}", mebibytes(row.peak_bytes), SYSTEMS[row.system].description]


def run_search(*, vectors: int = 1_000_000, rounds: int = 5, show_progress: bool | None = None) -> SearchResult:
    """Search random vectors, each system in a process of its own, in turn, and compare what they find.

    First one round that does not count. A million vectors take 4.3 GB of temporary files, and 5 GB of memory.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a system that fails, or that in
        float32 finds other rows than ours.
    """
    if vectors < 100 or rounds < 1:
        raise InputError(f"at least 100 vectors and 1 round are measured; found {vectors} and {rounds}; give more")
    missing = {name: lacks(system.needs) for name, system in SYSTEMS.items()}
    present = [name for name in SYSTEMS if missing[name] is None]
    show = sys.stderr.isatty() if show_progress is None else show_progress
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {(name, count): [] for name in present for count in COUNTS}
    steps = len(present) * (rounds + 1)
    with (
        tempfile.TemporaryDirectory() as work,
        ExitStack() as stack,
        progress(steps, show=show, label="rounds") as advance,
    ):
        place = Path(work)
        write_vectors(place, vectors)
        workers = [stack.enter_context(Worker(SYSTEMS[name], place, place, program=PROGRAM)) for name in present]
        for _ in range(rounds + 1):
            for worker in workers:
                for count in COUNTS:
                    runs[worker.name, count].append(dict(worker.ask("run", count=count)))
                advance(1)
    nearest = runs["wellread", COUNTS[1]][0]["rows"]
    kept = {name: _kept(runs[name, COUNTS[1]][0]["rows"], nearest) for name in present}
    if wrong := [name for name in present if name in EXACT and kept[name] < 1]:
        raise BenchError(
            f"systems in float32 were to find the same rows; {wrong[0]} found {kept[wrong[0]]:.3f} of wellread's; "
            "report it"
        )

    def seconds(name: str, count: int) -> tuple[float, ...]:
        return tuple(each["seconds"] for each in runs.get((name, count), ())[1:])

    rows = tuple(
        SearchRow(
            system=name,
            lacks=missing[name],
            one=seconds(name, COUNTS[0]),
            many=seconds(name, COUNTS[1]),
            kept=kept.get(name),
            peak_bytes=runs[name, COUNTS[1]][-1]["peak_bytes"] if name in present else 0,
        )
        for name in SYSTEMS
    )
    return SearchResult(vectors=vectors, rounds=rounds, machine=this_machine(MEASURED), rows=rows)


def _kept(rows: list[list[int]], nearest: list[list[int]]) -> float:
    """Return the share of the nearest that were found."""
    return float(np.mean([len({*some} & {*best}) / len(best) for some, best in zip(rows, nearest, strict=True)]))
