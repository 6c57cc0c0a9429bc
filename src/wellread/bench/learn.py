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

from wellread.bench.contenders import Contender
from wellread.bench.learn_gpu import GpuRow, measure_gpu
from wellread.bench.learn_works import BATCH, OURS, SCRIPT, WORKS, LearnWork, split_texts
from wellread.bench.machine import Machine, lacks, this_machine
from wellread.bench.process import Worker
from wellread.errors import BenchError, InputError
from wellread.progress import progress

PROGRAM = "wellread.bench.learn_worker"
MEASURED = ("torch", "transformers", "accelerate", "openvino")
NEEDS = {OURS: ("torch",), SCRIPT: ("torch", "transformers")}
TRAINER_NEEDS = ("torch", "transformers", "accelerate")
TIMES = (1, 4, 16)  # the texts, for the growth of memory
LOSSES_APART = 0.1  # of the largest: more is no equal training

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnRow:
    """One contender at one lap of a work."""

    work: str
    lap: str
    contender: str
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
        ours = next(r for r in self.rows if (r.work, r.lap, r.contender) == (row.work, row.lap, OURS))
        return row.median / ours.median if row.seconds and ours.seconds else None


def run_learn(
    model_dir: Path,
    texts: Sequence[str],
    *,
    works: Sequence[LearnWork] = WORKS,
    times: Sequence[int] = TIMES,
    rounds: int = 3,
    show_progress: bool | None = None,
) -> LearnResult:
    """Measure epochs of training over `texts` with the tokenizer of `model_dir`; one text of eight is held out.

    In every work all begin with the same weights and take the same rows, in batches of 32 with the Trainer's default
    settings, each in a process of its own: one round that does not count, then `rounds` rounds in turn. Afterwards ours
    pre-trains on ever more text, to see whether memory grows with it, and on the GPU where there is one.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a contender that fails, or ends
        at another loss.
    """
    train, _ = split_texts(texts)
    if len(train) < BATCH or rounds < 1:
        raise InputError(
            f"a measurement takes at least {BATCH} texts to train on and 1 round; found {len(train)} and {rounds}; "
            "give more"
        )
    show = sys.stderr.isatty() if show_progress is None else show_progress
    laps = sum(len(work.contenders) * len(work.laps) for work in works)
    with progress((rounds + 1) * laps + len(times), show=show, label="laps") as advance:
        rows = [row for work in works for row in _work(model_dir, work, list(texts), rounds, advance)]
        memory = [_memory(model_dir, list(texts), count, advance) for count in times]
    return LearnResult(
        texts=len(train),
        rounds=rounds,
        machine=this_machine(MEASURED),
        rows=tuple(rows),
        memory=tuple(memory),
        gpu=measure_gpu(),
    )


def _contender(name: str) -> Contender:
    return Contender(name=name, description=name, loader=name, needs=NEEDS.get(name, TRAINER_NEEDS))


def _work(model_dir: Path, work: LearnWork, texts: list[str], rounds: int, advance: Advance) -> list[LearnRow]:
    """Let everyone train, in turn. Raises: BenchError."""
    chosen = [_contender(name) for name in work.contenders]
    missing = {one.name: lacks(one.needs) for one in chosen}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with Worker(chosen[0], model_dir, place, program=PROGRAM) as worker:
            worker.ask("prepare", kind=work.kind, config=asdict(work.config))
        workers = {}
        for one in chosen:
            if missing[one.name] is None:
                workers[one.name] = stack.enter_context(Worker(one, model_dir, place, program=PROGRAM))
                workers[one.name].ask("load", kind=work.kind, texts=texts)
        found: dict[tuple[str, str], list[Any]] = {(lap, name): [] for lap in work.laps for name in workers}
        for _ in range(rounds + 1):
            for lap, name in sorted(found, key=lambda key: work.contenders.index(key[1])):  # one's laps come together
                found[lap, name].append(workers[name].ask("lap", name=lap))
                advance(1)
    _refuse_unequal(work, {name: laps[-1]["loss"] for (_, name), laps in found.items()})
    return [_row(work, lap, name, found.get((lap, name)), missing[name]) for lap in work.laps for name in missing]


def _row(work: LearnWork, lap: str, name: str, answers: list[Any] | None, missing: str | None) -> LearnRow:
    if answers is None:
        return LearnRow(work=work.name, lap=lap, contender=name, lacks=missing)
    last, seconds = answers[-1], tuple(answer["seconds"] for answer in answers[1:])
    counted = {key: last[key] for key in ("steps", "tokens", "loss", "peak_bytes")}
    return LearnRow(work=work.name, lap=lap, contender=name, seconds=seconds, **counted)


def _refuse_unequal(work: LearnWork, losses: dict[str, float]) -> None:
    if max(losses.values()) - min(losses.values()) > LOSSES_APART * max(losses.values()):
        found = ", ".join(f"{loss:.3f} by {name}" for name, loss in losses.items())
        raise BenchError(
            f"all were to train {work.name} equally; found the held-out losses {found} after equal steps; report it"
        )


def _memory(model_dir: Path, texts: list[str], times: int, advance: Advance) -> MemoryRow:
    """Pre-train on the texts so many times over."""
    with (
        tempfile.TemporaryDirectory() as place,
        Worker(_contender(OURS), model_dir, Path(place), program=PROGRAM) as worker,
    ):
        answer = worker.ask("pretrain", texts=texts, times=times)
    advance(1)
    return MemoryRow(texts=times * len(texts), peak_bytes=answer["peak_bytes"])
