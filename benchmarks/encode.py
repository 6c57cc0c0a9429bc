"""The main measurement: texts to vectors, every system in its own process, round by round in turn."""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
CALLS = 21  # of one short text, in each round
HEADER = ["precision", "mean cosine", "min cosine", "one text", "first vector", "peak", "of the products", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one system."""

    precision: str  # what it says that it computes in
    load_seconds: float  # from the start of its process to its first vector
    rates: tuple[float, ...]  # texts a second, of each round
    latencies: tuple[float, ...]  # seconds of one short text, the median of each round
    peak_bytes: int  # the largest resident memory of its process
    cosine_mean: float | None  # with the float64 reference; None: it runs another module
    cosine_min: float | None
    products: tuple[float, ...] = ()  # what the native products alone reach a second, of each round; empty: not used
    operations: float = 0.0  # what the texts need of these, without padding

    @property
    def rate(self) -> float:
        """Texts a second: the median of the rounds."""
        return statistics.median(self.rates)

    @property
    def latency(self) -> float:
        """Seconds of one short text: the median of the rounds."""
        return statistics.median(self.latencies)

    def share(self, texts: int) -> float | None:
        """Return the share of the products' own peak that `texts` are encoded at, or None: the median of the rounds."""
        needed = self.operations / texts
        pairs = zip(self.rates, self.products, strict=False)
        return statistics.median(needed * rate / peak for rate, peak in pairs) if self.products else None


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

    def of(self, name: str) -> Measured | None:
        """Return what was measured of a system; None where it was not."""
        return next((row.measured for row in self.rows if row.system.name == name), None)

    def ratio(self, row: Row, baseline: str) -> float | None:
        """Return how many times as fast as `baseline` a row is; None where either was not measured."""
        other = self.of(baseline)
        return row.measured.rate / other.rate if row.measured and other else None

    def derived(self) -> list[dict[str, Any]]:
        """Return the rate of each row, its latency, its share of the products' peak, and its ratios."""
        return [
            {
                "rate": row.measured and row.measured.rate,
                "latency": row.measured and row.measured.latency,
                "share": row.measured and row.measured.share(self.texts),
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
            return [row.system.name, *[ABSENT] * (len(HEADER) + len(BASELINES) + 1), str(row.lacks)]
        return [
            row.system.name,
            f"{measured.rate:,.1f}",
            spread(measured.rates, 1),
            *(ratio(self.ratio(row, baseline)) for baseline in BASELINES),
            measured.precision,
            _cosine(measured.cosine_mean),
            _cosine(measured.cosine_min),
            f"{1000 * measured.latency:.2f} ms",
            f"{measured.load_seconds:.2f} s",
            mebibytes(measured.peak_bytes),
            ratio(measured.share(self.texts)),
            "" if row.system.comparable else "another module",
        ]


def _cosine(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.6f}"


def run_encode(
    model_dir: Path,
    texts: Sequence[str],
    *,
    systems: Sequence[str] = DEFAULT,
    rounds: int = 5,
    work: Path | None = None,
    show_progress: bool | None = None,
) -> EncodeResult:
    """Measure texts a second, the time of one, agreement, start and memory of `systems` on a module and the same texts.

    `model_dir` is a directory that sentence-transformers opens, as `Module.save` writes it. Every system lives in a
    process of its own and works while the others wait: first one round that does not count, then `rounds` rounds in
    turn. Who cannot run here is listed with the reason. What some prepare ahead of time, quantised and exported models,
    is kept in `work` for the next time, if that is given.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a system that fails.
    """
    chosen = look_up(systems)
    refuse(model_dir, chosen, texts=texts, rounds=rounds)
    rows = [Row(system=one, lacks=lacks(one.needs, bf16=one.needs_bf16, place=one.place)) for one in chosen]
    present = [row.system for row in rows if row.lacks is None]
    show = sys.stderr.isatty() if show_progress is None else show_progress
    with (
        _place(work, model_dir) as directory,
        progress((rounds + 3) * len(present) + 1, show=show, label="steps") as advance,
    ):
        measured = _measure(_Task(model_dir, directory, texts, rounds, advance), present)
    return EncodeResult(
        model=model_dir.name,
        texts=len(texts),
        rounds=rounds,
        machine=this_machine(),
        rows=tuple(Row(system=row.system, lacks=row.lacks, measured=measured.get(row.system.name)) for row in rows),
    )


@contextmanager
def _place(work: Path | None, model_dir: Path) -> Iterator[Path]:
    """Make a place for what is prepared: in `work`, where each module has its own, or one that goes again."""
    if work is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    files = sorted(path for path in model_dir.rglob("*") if path.is_file())
    states = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    directory = work / f"{model_dir.name}-{hashlib.sha256(repr(states).encode()).hexdigest()[:12]}"
    directory.mkdir(parents=True, exist_ok=True)
    yield directory


def refuse(model_dir: Path, systems: Sequence[System], *, texts: Sequence[str], rounds: int) -> None:
    """Refuse what nothing can be measured with. Raises: InputError."""
    opened = any(system.loader == "sentence-transformers" for system in systems)
    if opened and not (model_dir / "modules.json").is_file():
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
                encoded, latencies = worker.ask("encode"), worker.ask("latencies", calls=CALLS)
                one = statistics.median(latencies["seconds"])
                answers[name] = {**encoded, "one": one, "products": worker.ask("products")}
                task.advance(1)
            rounds.append(answers)
        for name, worker in workers.items():
            of_it = [answers[name] for answers in rounds[1:]]  # the first warms up
            products = [answer["products"] for answer in of_it if answer["products"]]
            cosine_mean, cosine_min = _agreement(worker, sample, reference)
            task.advance(1)
            results[name] = Measured(
                precision=loads[name]["precision"],
                load_seconds=loads[name]["seconds"],
                rates=tuple(len(task.texts) / answer["seconds"] for answer in of_it),
                latencies=tuple(answer["one"] for answer in of_it),
                peak_bytes=of_it[-1]["peak_bytes"],
                cosine_mean=cosine_mean,
                cosine_min=cosine_min,
                products=tuple(answer["rate"] for answer in products),
                operations=products[0]["operations"] if products else 0.0,
            )
    return results


def _agreement(worker: Worker, sample: Sequence[int], reference: Any) -> tuple[float, float] | tuple[None, None]:
    """Return mean and least cosine with the reference; None for a system whose vectors are another module's."""
    if not SYSTEMS[worker.name].comparable:
        return None, None
    return cosines(worker.ask("vectors", rows=sample)["vectors"], reference)


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
