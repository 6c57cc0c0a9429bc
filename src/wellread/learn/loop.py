"""The training loop: a task and its settings in, events out.

Batches are of many sizes, so glibc's allocator ends up with free blocks between those in use and keeps them all: a
model of 1.5 million parameters held 4 GB after 6,000 steps on a CPU, of which 0.7 GB were in use.

A step takes the same rows however many processes and accumulated batches they are divided into, and its gradient is
the sum over all of them divided by what they count. Its random numbers are drawn from the run's seed, its number and
the rank of the process. So a run that is resumed from a checkpoint is the run that was never cut short.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from wellread.backends.backend import give_back
from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.errors import TrainingError
from wellread.learn import averaging, checkpoints
from wellread.learn.checkpoints import State, fingerprint
from wellread.learn.distributed import Process, agree, all_say, joined, wait
from wellread.learn.log import log_events
from wellread.learn.settings import LoopConfig
from wellread.learn.step import (
    Batches,
    Evaluated,
    Event,
    Saved,
    Started,
    StepContext,
    Task,
    epoch_plan,
    new_optimizer,
    train_step,
)
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer

TRIM_STEPS = 100  # between two calls of `give_back`, which takes about 50 ms


def uses_bf16(config: LoopConfig, device: str) -> bool:
    """Return whether a run autocasts to bfloat16: as its settings say, or where products of matrices gain by it.

    >>> uses_bf16(LoopConfig(bf16="true"), "cpu")
    True
    """
    if config.bf16 != "auto":
        return config.bf16 == "true"
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch says it of a CPU under these names alone; releases that lack one make do with float32
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in probes) and bf16_gain() > BF16_GAIN


BF16_GAIN = 1.2  # what makes up for the casts of autocast


@cache
def bf16_gain() -> float:
    """Return how many times faster this CPU multiplies matrices in bfloat16 than in float32, in about 50 ms.

    A CPU can have the instructions and lose: a Xeon with AVX-512 BF16, its AMX hidden by a virtual machine, had 0.6.
    """
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(1024, 256, dtype=dtype), torch.ones(1024, 256, dtype=dtype)
        left @ right.T  # the first product of a shape is slow
        times = []
        for _ in range(7):
            begin = time.perf_counter()
            left @ right.T
            times.append(time.perf_counter() - begin)
        seconds[dtype] = min(times)
    return seconds[torch.float32] / seconds[torch.bfloat16]


DECAYS: dict[str, Callable[[float], float]] = {  # from 0, after the warm-up, to 1, one step after the last
    "linear": lambda part: 1 - part,
    "cosine": lambda part: 0.5 * (1 + math.cos(math.pi * part)),
    "constant": lambda part: 1.0,
}


def warmup_of(config: LoopConfig, total: int) -> int:
    """Return the steps of the warm-up of a run of `total` steps; `warmup_steps` goes before `warmup_ratio`.

    >>> warmup_of(LoopConfig(warmup_ratio=0.06), 101)
    7
    """
    return config.warmup_steps or math.ceil(config.warmup_ratio * total)


def schedule(step: int, *, total: int, warmup: int, kind: str = "cosine") -> float:
    """Return the share of the peak rate at `step`, counted from 1; no step is taken at a rate of 0.

    After the warm-up it is that of transformers' `get_scheduler`. The warm-up rises to 1 at its last step; theirs
    begins with a step at 0, which moves no weights.

    >>> [round(schedule(step, total=10, warmup=2), 2) for step in (1, 2, 3, 7, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    >>> [round(schedule(step, total=10, warmup=2, kind="linear"), 2) for step in (1, 2, 3, 5, 10)]
    [0.5, 1.0, 1.0, 0.75, 0.12]
    """
    if step <= warmup:
        return step / warmup
    return DECAYS[kind]((step - 1 - warmup) / (total - warmup))


Evaluate = Callable[[], Mapping[str, float]]
Prepare = Callable[[int, Process], None]


def run(
    task: Task,
    config: LoopConfig,
    output_dir: Path,
    *,
    settings: Any = None,
    resume_from_checkpoint: bool | str | Path | None = None,
    overwrite: bool = False,
    evaluate: Evaluate | None = None,
    prepare: Prepare | None = None,
) -> int:
    """Train as `train` does to the end, log what happens, and return the last step.

    The first process follows the events (`log_events`, which shows `settings` to reporters); the others only train.
    `overwrite` removes the checkpoints of an earlier run in `output_dir`, unless this one resumes them.
    """
    with joined(config.ddp_timeout) as process:
        if overwrite and not resume_from_checkpoint:
            if process.is_main:
                checkpoints.remove_all(output_dir)
            wait(process, "the earlier run was to be removed")
        options = {"resume_from_checkpoint": resume_from_checkpoint, "evaluate": evaluate, "prepare": prepare}
        events = train(task, config, output_dir, **options)  # type: ignore[arg-type]
        if process.is_main:
            return log_events(events, config, output_dir, settings=settings)
        return deque(events, maxlen=1).pop().step


def trained_module(
    model: TorchEncoder,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    *,
    backend: str = "openvino",
    provenance: Mapping[str, Any] | None = None,
) -> Module:
    """Return a module of the weights that a model has now, without those that served the training alone."""
    arrays = model.arrays()
    checkpoint = replace(checkpoint, tensors=in_memory({name: arrays[name] for name in checkpoint.tensors}))
    return Module(checkpoint=checkpoint, tokenizer=tokenizer, backend=backend, provenance=provenance or {})


def train(
    task: Task,
    config: LoopConfig,
    output_dir: Path,
    *,
    resume_from_checkpoint: bool | str | Path | None = None,
    evaluate: Evaluate | None = None,
    prepare: Prepare | None = None,
) -> Iterator[Event]:
    """Train `task.model` in place and yield what happens; a generator, so it works as far as it is read.

    Checkpoints lie in `output_dir`; `resume_from_checkpoint` is one of them, or True for the last. `evaluate` is called
    every `eval_steps` and at the end; `prepare` with every epoch before its first step, by all processes together.
    Where the settings ask for an average of the weights, `evaluate` sees it, and the model has it at the end.
    Under torchrun every process calls this, with one `output_dir`; the first alone saves and evaluates.

    Raises: TrainingError for a loss or gradient that is no number, before it touches the weights; a checkpoint that
        cannot be written, or was not made by this run; another process that is gone.
    """
    with joined(config.ddp_timeout) as process:
        checkpoint = checkpoints.resumable(output_dir, resume_from_checkpoint)
        began = checkpoints.identity(checkpoint).get("settings.bf16") if checkpoint and config.bf16 == "auto" else None
        bf16 = all_say(process, uses_bf16(config, process.device)) if began is None else bool(began)
        identity = _identity(task, config, process, bf16)
        agree(process, hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest())
        wait(process, "the first checkpoint was to be looked for")  # before the first process may save one
        task.model.to(process.device)
        optimizer = new_optimizer(task.model, config)
        average = averaging.new_average(task.model, config, output_dir)
        state = State(step=0, epoch=0, batch=0, identity=identity)
        if checkpoint:
            stored = average.stored if average else {}
            state = checkpoints.load(checkpoint, task.model, optimizer, identity, averages=stored)
        context = StepContext(task=task, config=config, process=process, optimizer=optimizer, bf16=bf16)
        total = _total_steps(context)
        yield Started(step=state.step, total=total, resumed_from=checkpoint)
        for batches, state_after in _steps_left(context, state, total, prepare):
            try:
                yield train_step(batches, context)
            except TrainingError as error:
                raise TrainingError(f"{error}; {checkpoints.last_good(output_dir)}") from error
            if average:
                average.update(batches.step)
            if batches.step % TRIM_STEPS == 0:
                give_back()
            if process.is_main and evaluate and _is_due(batches, config.eval_steps):
                with averaging.applied(average, batches.step):
                    scores = dict(evaluate())
                yield Evaluated(step=batches.step, scores=scores)
            if process.is_main and _is_due(batches, config.save_steps):
                kept: dict[str, Any] = {"averages": average.stored if average else {}, "limit": config.save_total_limit}
                directory = checkpoints.save(output_dir, task.model, optimizer, state_after, **kept)
                yield Saved(step=batches.step, directory=directory)
        averaging.apply(average, total)


def _identity(task: Task, config: LoopConfig, process: Process, bf16: bool) -> dict[str, Any]:
    """Say what the result depends on, as JSON would give it back."""
    settings = {f"settings.{name}": value for name, value in config.decisive.items()}
    settings |= {"settings.bf16": bf16, "processes": process.count, "model": fingerprint(task.model)}
    identity: dict[str, Any] = json.loads(json.dumps({**settings, **task.identity()}))
    return identity


def _total_steps(context: StepContext) -> int:
    config = context.config
    if config.max_steps:
        return config.max_steps
    plans = (
        epoch_plan(context.task.lengths(epoch), config, epoch=epoch, processes=context.process.count)
        for epoch in range(config.num_train_epochs)
    )
    return sum(map(len, plans))


def _steps_left(
    context: StepContext, state: State, total: int, prepare: Prepare | None
) -> Iterator[tuple[Batches, State]]:
    """Yield the batches of every step that is left, and the state after it."""
    config, process = context.config, context.process
    step, epoch, steps_done = state.step, state.epoch, state.batch
    warmup = warmup_of(config, total)
    while step < total:
        lengths = context.task.lengths(epoch)
        plan = epoch_plan(lengths, config, epoch=epoch, processes=process.count)
        if prepare and steps_done < len(plan):
            prepare(epoch, process)
        for number, rows in enumerate(plan[steps_done : steps_done + total - step], steps_done + 1):
            step += 1
            share = schedule(step, total=total, warmup=warmup, kind=config.lr_scheduler_type)
            batches = Batches(
                step=step,
                total=total,
                epoch=epoch,
                learning_rate=config.learning_rate * share,
                rows=rows,
                tokens=int(sum(lengths[batch].sum() for batch in rows)),
            )
            yield batches, State(step=step, epoch=epoch, batch=number, identity=state.identity)
        epoch, steps_done = epoch + 1, 0


def _is_due(batches: Batches, every: int) -> bool:
    return every > 0 and (batches.step % every == 0 or batches.step == batches.total)
