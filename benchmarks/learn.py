"""Training: ours against the Trainer and a plain script, on the same texts, from the same weights, in turn."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Worker
from benchmarks.learn_gpu import GpuRow, measure_gpu
from benchmarks.learn_workloads import BATCH, OURS, SCRIPT, WORKLOADS, Workload, split_texts
from benchmarks.machine import Machine, lacks, this_machine
from benchmarks.report import ABSENT, mebibytes, ratio, spread, table
from benchmarks.systems import System
from wellread.errors import BenchError, InputError
from wellread.progress import progress

PROGRAM = "benchmarks.learn_worker"
MEASURED = ("torch", "transformers", "accelerate", "openvino")
NEEDS = {OURS: ("torch",), SCRIPT: ("torch", "transformers")}
TRAINER_NEEDS = ("torch", "transformers", "accelerate")
TIMES = (1, 4, 16)  # the texts, for the growth of memory
LOSSES_APART = 0.1  # of the largest: more is no equal training
HEADER = ["workload", "system", "steps/s", "tokens/s", "seconds", "spread", "x wellread's", "held-out loss", "peak"]

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnRow:
    """One system at one phase of a workload."""

    workload: str
    phase: str
    system: str
    lacks: str | None = None  # why it was not measured
    seconds: tuple[float, ...] = ()  # of each round
    steps: int = 0  # of a round
    tokens: int = 0  # of a round, padding not counted
    loss: float = math.nan  # on texts that were held out, after the last round
    peak_bytes: int = 0

    @property
    def median(self) -> float:
        """Seconds of a round: the median."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRow:
    """Pre-training on ever more text, each time in a fresh process."""

    texts: int
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnResult:
    """The result of `run_learn`."""

    texts: int  # to train on
    rounds: int
    machine: Machine
    rows: tuple[LearnRow, ...]
    memory: tuple[MemoryRow, ...]
    gpu: GpuRow | None  # None where there is none

    def ratio(self, row: LearnRow) -> float | None:
        """Return how many times as fast as a row ours is; None where either was not measured."""
        ours = next(r for r in self.rows if (r.workload, r.phase, r.system) == (row.workload, row.phase, OURS))
        return row.median / ours.median if row.seconds and ours.seconds else None

    def derived(self) -> list[dict[str, Any]]:
        """Return the median of each row, its ratio, and its loss, where it was measured."""
        return [
            {
                "median": row.median if row.seconds else None,
                "ratio": self.ratio(row),
                "loss": row.loss if row.seconds else None,
            }
            for row in self.rows
        ]

    def paragraphs(self) -> list[str]:
        """Write the table of training, that of memory, and the GPU."""
        parts = [
            f"an epoch over {self.texts:,} texts, median of {self.rounds} rounds in turn (lowest to highest)",
            table(HEADER, [self._cells(row) for row in self.rows]),
        ]
        if self.memory:
            rows = [[f"{row.texts:,}", mebibytes(row.peak_bytes)] for row in self.memory]
            parts += ["pre-training on ever more texts, each time in a fresh process", table(["texts", "peak"], rows)]
        if (gpu := self.gpu) is not None:
            parts.append(
                f"{gpu.device}: {gpu.tokens_a_second:,.0f} tokens/s of masked words at 12x768 in bf16, {gpu.share:.0%} "
                f"of {gpu.peak_flops / 1e12:,.0f} TFLOP/s, its measured peak"
            )
        return parts

    def _cells(self, row: LearnRow) -> list[str]:
        name = f"{row.workload}, {row.phase}"
        if row.lacks is not None:
            return [name, row.system, *[ABSENT] * 6, row.lacks]
        return [
            name,
            row.system,
            f"{row.steps / row.median:,.2f}",
            f"{row.tokens / row.median:,.0f}",
            f"{row.median:.2f}",
            spread(row.seconds),
            ratio(self.ratio(row)),
            f"{row.loss:.3f}",
            mebibytes(row.peak_bytes),
        ]


def run_learn(
    model_dir: Path,
    texts: Sequence[str],
    *,
    workloads: Sequence[Workload] = WORKLOADS,
    times: Sequence[int] = TIMES,
    rounds: int = 3,
    show_progress: bool | None = None,
) -> LearnResult:
    """Measure epochs of training over `texts` with the tokenizer of `model_dir`; one text of eight is held out.

    In every workload all begin with the same weights and take the same rows, in batches of 32 with the Trainer's
    default settings, each in a process of its own: one round that does not count, then `rounds` rounds in turn.
    Afterwards ours pre-trains on ever more text, to see whether memory grows with it, and on the GPU where there is
    one.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a system that fails, or ends
        at another loss.
    """
    train, _ = split_texts(texts)
    if len(train) < BATCH or rounds < 1:
        raise InputError(
            f"a measurement takes at least {BATCH} texts to train on and 1 round; found {len(train)} and {rounds}; "
            "give more"
        )
    show = sys.stderr.isatty() if show_progress is None else show_progress
    epochs = sum(len(each.systems) * len(each.phases) for each in workloads)
    with progress((rounds + 1) * epochs + len(times), show=show, label="epochs") as advance:
        rows = [row for each in workloads for row in _train(model_dir, each, list(texts), rounds, advance)]
        memory = [_memory(model_dir, list(texts), count, advance) for count in times]
    return LearnResult(
        texts=len(train),
        rounds=rounds,
        machine=this_machine(MEASURED),
        rows=tuple(rows),
        memory=tuple(memory),
        gpu=measure_gpu(),
    )


def _system(name: str) -> System:
    return System(name=name, description=name, loader=name, needs=NEEDS.get(name, TRAINER_NEEDS))


def _train(model_dir: Path, workload: Workload, texts: list[str], rounds: int, advance: Advance) -> list[LearnRow]:
    """Let everyone train, in turn. Raises: BenchError."""
    systems = {name: _system(name) for name in workload.systems}
    missing = {name: lacks(system.needs) for name, system in systems.items()}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with Worker(systems[workload.systems[0]], model_dir, directory, program=PROGRAM) as worker:
            worker.ask("prepare", kind=workload.kind, config=asdict(workload.config))
        workers = {}
        for name, system in systems.items():
            if missing[name] is None:
                workers[name] = stack.enter_context(Worker(system, model_dir, directory, program=PROGRAM))
                workers[name].ask("load", kind=workload.kind, texts=texts)
        answers: dict[tuple[str, str], list[Any]] = {}
        for _ in range(rounds + 1):
            for name, worker in workers.items():  # a system's phases come together
                for phase in workload.phases:
                    answers.setdefault((phase, name), []).append(worker.ask("epoch", phase=phase))
                    advance(1)
    refuse_unequal(workload, {name: of_one[-1]["loss"] for (_, name), of_one in answers.items()})
    return [
        _row(workload, phase, name, answers.get((phase, name)), missing[name])
        for phase in workload.phases
        for name in systems
    ]


def _row(workload: Workload, phase: str, name: str, answers: list[Any] | None, missing: str | None) -> LearnRow:
    if answers is None:
        return LearnRow(workload=workload.name, phase=phase, system=name, lacks=missing)
    figures = {key: answers[-1][key] for key in ("steps", "tokens", "loss", "peak_bytes")}
    seconds = tuple(answer["seconds"] for answer in answers[1:])
    return LearnRow(workload=workload.name, phase=phase, system=name, seconds=seconds, **figures)


def refuse_unequal(workload: Workload, losses: dict[str, float]) -> None:
    """Refuse systems that end at another loss after equal steps. Raises: BenchError."""
    if max(losses.values()) - min(losses.values()) > LOSSES_APART * max(losses.values()):
        each = ", ".join(f"{loss:.3f} by {name}" for name, loss in losses.items())
        raise BenchError(
            f"all were to train {workload.name} equally; found the held-out losses {each} after equal steps; report it"
        )


def _memory(model_dir: Path, texts: list[str], times: int, advance: Advance) -> MemoryRow:
    """Pre-train on the texts so many times over."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Worker(_system(OURS), model_dir, Path(directory), program=PROGRAM) as worker,
    ):
        answer = worker.ask("pretrain", texts=texts, times=times)
    advance(1)
    return MemoryRow(texts=times * len(texts), peak_bytes=answer["peak_bytes"])
