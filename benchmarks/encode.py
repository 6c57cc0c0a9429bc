"""The main measurement: texts to vectors, every system in its own process, round by round in turn."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Worker, evenly
from benchmarks.machine import Machine, lacks, this_machine
from benchmarks.report import ABSENT, mebibytes, ratio, spread, table
from benchmarks.systems import BASELINES, DEFAULT, REFERENCE, SYSTEMS, System, look_up
from wellread.doctor.speed import cosines
from wellread.errors import InputError
from wellread.progress import progress

SAMPLE = 256  # texts whose vectors are compared with the reference
HEADER = ["precision", "mean cosine", "min cosine", "first vector", "peak", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one system."""

    precision: str  # what it says that it computes in
    load_seconds: float  # from the start of its process to its first vector
    rates: tuple[float, ...]  # texts a second, of each round
    peak_bytes: int  # the largest resident memory of its process
    cosine_mean: float  # with the float64 reference
    cosine_min: float

    @property
    def rate(self) -> float:
        """Texts a second: the median of the rounds."""
        return statistics.median(self.rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One system, measured or not."""

    system: System
    lacks: str | None = None  # why it was not measured
    measured: Measured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeResult:
    """The result of `run_encode`."""

    model: str  # the directory's name
    texts: int
    rounds: int
    machine: Machine
    rows: tuple[Row, ...]

    def ratio(self, row: Row, baseline: str) -> float | None:
        """Return how many times as fast as `baseline` a row is; None where either was not measured."""
        rates = [other.measured.rate for other in self.rows if other.measured and other.system.name == baseline]
        return row.measured.rate / rates[0] if row.measured and rates else None

    def derived(self) -> list[dict[str, Any]]:
        """Return the rate of each row, and its ratios."""
        return [
            {
                "rate": row.measured and row.measured.rate,
                "ratio_to": {baseline: self.ratio(row, baseline) for baseline in BASELINES},
            }
            for row in self.rows
        ]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        title = f"{self.model}: {self.texts:,} texts, median of {self.rounds} rounds in turn (lowest to highest)"
        header = ["system", "texts/s", "spread", *(f"x {baseline}" for baseline in BASELINES), *HEADER]
        return [title, table(header, [self._cells(row) for row in self.rows])]

    def _cells(self, row: Row) -> list[str]:
        measured = row.measured
        if measured is None:
            return [row.system.name, *[ABSENT] * 9, str(row.lacks)]
        return [
            row.system.name,
            f"{measured.rate:,.1f}",
            spread(measured.rates, 1),
            *(ratio(self.ratio(row, baseline)) for baseline in BASELINES),
            measured.precision,
            f"{measured.cosine_mean:.6f}",
            f"{measured.cosine_min:.6f}",
            f"{measured.load_seconds:.2f} s",
            mebibytes(measured.peak_bytes),
            "",
        ]


def run_encode(
    model_dir: Path,
    texts: Sequence[str],
    *,
    systems: Sequence[str] = DEFAULT,
    rounds: int = 5,
    show_progress: bool | None = None,
) -> EncodeResult:
    """Measure texts a second, agreement, loading time and memory of `systems` on one module and the same texts.

    `model_dir` is a directory that sentence-transformers opens, as `Module.save` writes it. Every system lives in a
    process of its own and works while the others wait: first one round that does not count, then `rounds` rounds in
    turn. Who cannot run here is listed with the reason.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a system that fails.
    """
    rows = [Row(system=one, lacks=lacks(one.needs, bf16=one.needs_bf16)) for one in look_up(systems)]
    refuse(model_dir, texts, rounds)
    present = [row.system for row in rows if row.lacks is None]
    show = sys.stderr.isatty() if show_progress is None else show_progress
    with (
        tempfile.TemporaryDirectory() as work,
        progress((rounds + 3) * len(present) + 1, show=show, label="steps") as advance,
    ):
        measured = _measure(_Task(model_dir, Path(work), texts, rounds, advance), present)
    return EncodeResult(
        model=model_dir.name,
        texts=len(texts),
        rounds=rounds,
        machine=this_machine(),
        rows=tuple(Row(system=row.system, lacks=row.lacks, measured=measured.get(row.system.name)) for row in rows),
    )


def refuse(model_dir: Path, texts: Sequence[str], rounds: int) -> None:
    """Refuse what nothing can be measured with. Raises: InputError."""
    if not (model_dir / "modules.json").is_file():
        raise InputError(
            f"peers were to open {model_dir}; found no modules.json there; "
            "save the module first: wellread.load(handle).save(directory)"
        )
    if not texts or rounds < 1:
        raise InputError(f"a measurement takes at least 1 text and 1 round; found {len(texts)} and {rounds}; give more")


@dataclass(frozen=True, slots=True)
class _Task:
    """The same work for everyone."""

    model_dir: Path
    work_dir: Path  # for what is prepared
    texts: Sequence[str]
    rounds: int
    advance: Callable[[int], None]  # the progress bar


def _measure(task: _Task, present: Sequence[System]) -> dict[str, Measured]:
    """Load everyone, one after the other; then go round; then compare."""
    sample = evenly(SAMPLE, len(task.texts))
    reference = _reference(task, sample)
    task.advance(1)
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        loads, rounds, results = {}, [], {}
        for system in present:
            worker = workers[system.name] = stack.enter_context(start(system, task.model_dir, task.work_dir))
            loads[system.name] = {**worker.ask("load"), "seconds": worker.age()}
            worker.ask("take", texts=list(task.texts))
            task.advance(1)
        for _ in range(task.rounds + 1):
            answers: dict[str, Mapping[str, Any]] = {}
            for name, worker in workers.items():
                answers[name] = worker.ask("encode")
                task.advance(1)
            rounds.append(answers)
        for name, worker in workers.items():
            cosine_mean, cosine_min = cosines(worker.ask("vectors", rows=sample)["vectors"], reference)
            task.advance(1)
            results[name] = Measured(
                precision=loads[name]["precision"],
                load_seconds=loads[name]["seconds"],
                rates=tuple(len(task.texts) / answers[name]["seconds"] for answers in rounds[1:]),  # the first warms up
                peak_bytes=rounds[-1][name]["peak_bytes"],
                cosine_mean=cosine_mean,
                cosine_min=cosine_min,
            )
    return results


def start(system: System, model_dir: Path, work_dir: Path) -> Worker:
    """Start a system's process, once a process that is not measured has made what it needs ahead of time."""
    with Worker(system, model_dir, work_dir) as worker:
        worker.ask("prepare")
    return Worker(system, model_dir, work_dir)


def _reference(task: _Task, sample: Sequence[int]) -> Any:
    """Return the float64 vectors [S, E] of the sample."""
    with Worker(SYSTEMS[REFERENCE], task.model_dir, task.work_dir) as worker:
        worker.ask("load")
        worker.ask("take", texts=[task.texts[i] for i in sample])
        worker.ask("encode")
        return np.array(worker.ask("vectors", rows=list(range(len(sample))))["vectors"])
