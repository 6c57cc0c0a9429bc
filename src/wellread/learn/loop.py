"""The training loop: a task and its settings in, events out.

A step takes the same rows however many processes and accumulated batches they are divided into, and its gradient is
the sum over all of them divided by what they count. Its random numbers are drawn from the run's seed, its number and
the rank of the process. So a run that is resumed from a checkpoint is the run that was never cut short.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from wellread.errors import TrainingError
from wellread.learn import checkpoints
from wellread.learn.checkpoints import State
from wellread.learn.events import Evaluated, Event, Saved, Started
from wellread.learn.memory import STEPS, give_back
from wellread.learn.plan import epoch_plan
from wellread.learn.precision import uses_bf16
from wellread.learn.processes import Process, agree, joined, wait
from wellread.learn.schedule import schedule, warmup_of
from wellread.learn.settings import LoopConfig
from wellread.learn.step import Means, Turn, new_optimizer, take
from wellread.learn.task import Task
from wellread.learn.tensors import fingerprint


def train(
    task: Task,
    config: LoopConfig,
    output_dir: Path,
    *,
    resume_from_checkpoint: bool | str | Path | None = None,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    prepare: Callable[[int, Process], None] | None = None,
) -> Iterator[Event]:
    """Train `task.model` in place and yield what happens; a generator, so it works as far as it is read.

    Checkpoints lie in `output_dir`; `resume_from_checkpoint` is one of them, or True for the last. `evaluate` is called
    every `eval_steps` and at the end; `prepare` with every epoch before its first step, by all processes together.
    Under torchrun every process calls this, with one `output_dir`; the first alone saves and evaluates.

    Raises: TrainingError for a loss or gradient that is no number, before it touches the weights; a checkpoint that
        cannot be written, or was not made by this run; another process that is gone.
    """
    with joined(config.ddp_timeout) as process:
        bf16 = uses_bf16(config, process.device)
        identity = _identity(task, config, process, bf16)
        agree(process, hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest())
        chosen = checkpoints.resumable(output_dir, resume_from_checkpoint)
        wait(process, "the first checkpoint was to be looked for")  # before the first process may save one
        task.model.to(process.device)
        optimizer = new_optimizer(task.model, config)
        state = State(step=0, epoch=0, batch=0, identity=identity)
        if chosen:
            state = checkpoints.load(chosen, task.model, optimizer, identity)
        total = _total(task, config, process)
        yield Started(step=state.step, total=total, resumed_from=chosen)
        means = Means(task=task, config=config, process=process, optimizer=optimizer, bf16=bf16)
        for turn, after in _turns(means, state, total, prepare):
            yield _take(turn, means, output_dir)
            if turn.step % STEPS == 0:
                give_back()
            if process.is_main:
                yield from _evaluated(turn, config, evaluate)
                if _is_due(turn, config.save_steps):
                    yield _saved(output_dir, means, after)


def _identity(task: Task, config: LoopConfig, process: Process, bf16: bool) -> dict[str, Any]:
    """Say what the result depends on, as JSON would give it back."""
    settings = {f"settings.{name}": value for name, value in config.decisive.items()}
    settings |= {"settings.bf16": bf16, "processes": process.count, "model": fingerprint(task.model)}
    identity: dict[str, Any] = json.loads(json.dumps({**settings, **task.identity()}))
    return identity


def _total(task: Task, config: LoopConfig, process: Process) -> int:
    """Count the steps of the run."""
    if config.max_steps:
        return config.max_steps
    epochs = range(config.num_train_epochs)
    return sum(len(epoch_plan(task.lengths(e), config, epoch=e, processes=process.count)) for e in epochs)


def _turns(
    means: Means, state: State, total: int, prepare: Callable[[int, Process], None] | None
) -> Iterator[tuple[Turn, State]]:
    """Yield every step that is left, and the state after it."""
    config, process = means.config, means.process
    step, epoch, done = state.step, state.epoch, state.batch
    warmup = warmup_of(config, total)
    while step < total:
        lengths = means.task.lengths(epoch)
        plan = epoch_plan(lengths, config, epoch=epoch, processes=process.count)
        if prepare and done < len(plan):
            prepare(epoch, process)
        for batch, batches in enumerate(plan[done : done + total - step], done + 1):
            step += 1
            share = schedule(step, total=total, warmup=warmup, kind=config.lr_scheduler_type)
            tokens = int(sum(lengths[rows].sum() for rows in batches))
            rate = config.learning_rate * share
            turn = Turn(step=step, total=total, epoch=epoch, rate=rate, batches=batches, tokens=tokens)
            yield turn, State(step=step, epoch=epoch, batch=batch, identity=state.identity)
        epoch, done = epoch + 1, 0


def _take(turn: Turn, means: Means, output_dir: Path) -> Event:
    try:
        return take(turn, means)
    except TrainingError as error:
        raise TrainingError(f"{error}; {checkpoints.last_good(output_dir)}") from error


def _is_due(turn: Turn, every: int) -> bool:
    return every > 0 and (turn.step % every == 0 or turn.step == turn.total)


def _evaluated(
    turn: Turn, config: LoopConfig, evaluate: Callable[[], Mapping[str, float]] | None
) -> Iterator[Evaluated]:
    if evaluate and _is_due(turn, config.eval_steps):
        yield Evaluated(step=turn.step, scores=dict(evaluate()))


def _saved(output_dir: Path, means: Means, state: State) -> Saved:
    directory = checkpoints.save(
        output_dir, means.task.model, means.optimizer, state, limit=means.config.save_total_limit
    )
    return Saved(step=state.step, directory=directory)
