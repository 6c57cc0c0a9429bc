"""The main measurement: texts to vectors, every contender in its own process, round by round in turn."""

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
from numpy.typing import NDArray

from wellread.bench.contenders import CONTENDERS, DEFAULT, REFERENCE, Contender, look_up
from wellread.bench.machine import Machine, lacks, this_machine
from wellread.bench.process import Worker
from wellread.bench.texts import evenly
from wellread.errors import InputError
from wellread.progress import progress

SAMPLE = 256  # texts whose vectors are compared with the reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was found of one contender."""

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
    """One contender, measured or not."""

    contender: Contender
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
        found = [other.measured for other in self.rows if other.contender.name == baseline]
        if row.measured is None or not found or found[0] is None:
            return None
        return row.measured.rate / found[0].rate


def run_encode(
    model_dir: Path,
    texts: Sequence[str],
    *,
    contenders: Sequence[str] = DEFAULT,
    rounds: int = 5,
    show_progress: bool | None = None,
) -> EncodeResult:
    """Measure texts a second, agreement, loading time and memory of `contenders` on one module and the same texts.

    `model_dir` is a directory that sentence-transformers opens, as `Module.save` writes it. Every contender lives in a
    process of its own and works while the others wait: first one round that does not count, then `rounds` rounds in
    turn. Who cannot run here is listed with the reason.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a contender that fails.
    """
    chosen = look_up(contenders)
    refuse(model_dir, texts, rounds)
    missing = {contender.name: lacks(contender.needs, bf16=contender.needs_bf16) for contender in chosen}
    present = [contender for contender in chosen if missing[contender.name] is None]
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
        rows=tuple(Row(contender=c, lacks=missing[c.name], measured=measured.get(c.name)) for c in chosen),
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

    @property
    def sample(self) -> list[int]:
        """The texts whose vectors are compared."""
        return evenly(SAMPLE, len(self.texts))


def _measure(task: _Task, present: Sequence[Contender]) -> dict[str, Measured]:
    """Load everyone, one after the other; then go round; then compare."""
    reference = _reference(task)
    task.advance(1)
    with ExitStack() as stack:
        workers, loads = {}, {}
        for contender in present:
            worker = workers[contender.name] = stack.enter_context(start(contender, task.model_dir, task.work_dir))
            loads[contender.name] = {**worker.ask("load"), "seconds": worker.age()}
            worker.ask("take", texts=list(task.texts))
            task.advance(1)
        laps = [_round(workers, task.advance) for _ in range(task.rounds + 1)][1:]  # the first warms up
        return {
            name: Measured(
                precision=loads[name]["precision"],
                load_seconds=loads[name]["seconds"],
                rates=tuple(len(task.texts) / lap[name]["seconds"] for lap in laps),
                peak_bytes=laps[-1][name]["peak_bytes"],
                **_agreement(_vectors(worker, task), reference),
            )
            for name, worker in workers.items()
        }


def start(contender: Contender, model_dir: Path, work_dir: Path) -> Worker:
    """Start a contender's process, once a process that is not measured has made what it needs ahead of time."""
    with Worker(contender, model_dir, work_dir) as worker:
        worker.ask("prepare")
    return Worker(contender, model_dir, work_dir)


def _reference(task: _Task) -> NDArray[np.float64]:
    """Return the float64 vectors [S, E] of the sample."""
    with Worker(CONTENDERS[REFERENCE], task.model_dir, task.work_dir) as worker:
        worker.ask("load")
        worker.ask("take", texts=[task.texts[i] for i in task.sample])
        worker.ask("encode")
        return np.array(worker.ask("vectors", rows=list(range(len(task.sample))))["vectors"])


def _round(workers: Mapping[str, Worker], advance: Callable[[int], None]) -> dict[str, Mapping[str, Any]]:
    """Let everyone encode all texts once, in turn."""
    answers = {}
    for name, worker in workers.items():
        answers[name] = worker.ask("encode")
        advance(1)
    return answers


def _vectors(worker: Worker, task: _Task) -> NDArray[np.float64]:
    """Return the vectors [S, E] of the sample, of the last round."""
    vectors = np.array(worker.ask("vectors", rows=task.sample)["vectors"])
    task.advance(1)
    return vectors


def _agreement(vectors: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, float]:
    """Return mean and minimum of the cosines of S pairs of vectors [S, E]."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (vectors * reference).sum(1) / lengths
    return {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}
