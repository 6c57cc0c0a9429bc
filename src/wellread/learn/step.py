"""One step of the optimizer: a task's batches, their gradients summed over all processes, one move of the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn, optim

from wellread.backends.torch import TorchEncoder
from wellread.errors import TrainingError
from wellread.learn.distributed import Process, sum_up
from wellread.learn.settings import LoopConfig
from wellread.text.batch import token_budget_batches

Inputs = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loss:
    """The losses of a batch, summed, and how many they are: the loop divides by the count of a whole step."""

    total: Tensor  # a float of no dimension
    count: int | Tensor  # tokens or rows, whatever the task takes the mean over
    parts: Mapping[str, Tensor] = field(default_factory=dict)  # for the log: of a Composite, each a sum as `total` is


def tensors(arrays: Mapping[str, NDArray[Any]]) -> Inputs:
    """Present the arrays of a batch to PyTorch, without a copy."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class Task(Protocol):
    """One kind of training.

    What `collate` draws at random depends on `epoch` and the rows alone, or comes from torch's generator, which the
    loop seeds anew at every step, as dropout does. So a step is the same in a resumed run.
    """

    @property
    def model(self) -> nn.Module:
        """What is trained, in the mode that the task wants; parameters that require no gradient stay as they are."""

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, int64 [N], as `collate` gives them: batches are planned by them."""

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Return the tensors of a batch, on the CPU."""

    def loss(self, inputs: Inputs) -> Loss:
        """Return the loss of what `collate` made, on the model's device."""

    def identity(self) -> Mapping[str, Any]:
        """Return what JSON can hold of all that decides the result beside the model: a hash of the data, settings."""


@runtime_checkable
class Composite(Protocol):
    """A task whose loss is a weighted sum of several means, each with a count of its own."""

    parts: tuple[str, ...]  # the names of the means in the log

    def step_inputs(self, batches: Sequence[NDArray[np.int64]], epoch: int) -> Inputs:
        """Return what is to stand beside what `collate` makes of each batch, for the rows of all, of every process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The run begins, or goes on after `step`."""

    step: int  # done before; 0 for a new run
    total: int  # steps of the whole run
    resumed_from: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step of the optimizer did, over all processes."""

    step: int  # counted from 1
    epoch: int  # counted from 0
    loss: float  # mean over what the task counts
    learning_rate: float
    grad_norm: float  # before it was cut
    tokens: int  # real ones, without padding
    seconds: float  # that the step took
    parts: Mapping[str, float] = field(default_factory=dict)  # the means of a Composite, without their weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The scores after a step."""

    step: int
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint is whole and in its place."""

    step: int
    directory: Path


Event = Started | Step | Evaluated | Saved


RowNumbers = NDArray[np.int64]
POOL = 64  # steps whose rows are sorted by length together


def epoch_plan(lengths: RowNumbers, config: LoopConfig, *, epoch: int, processes: int = 1) -> list[list[RowNumbers]]:
    """Return the steps of an epoch; each is the row numbers of its batches, one for each process and accumulation.

    `lengths` is int [N], the tokens of every row. The last step of a pool may have fewer batches, or a smaller one.
    The rows of a step depend on how many rows it takes in all, not on how many batches they are divided into.

    Raises: TrainingError for no rows, or a row that is longer than `tokens_per_batch` allows.

    >>> config = LoopConfig(per_device_train_batch_size=2, gradient_accumulation_steps=2)
    >>> [[batch.tolist() for batch in step] for step in epoch_plan(np.arange(5), config, epoch=0)]
    [[[4, 3], [2, 1]], [[0]]]
    """
    if not len(lengths):
        raise TrainingError("a model was to be trained; found 0 rows of data; give it some")
    longest = int(lengths.argmax())
    if 0 < config.tokens_per_batch < lengths[longest]:
        raise TrainingError(
            f"batches of at most {config.tokens_per_batch} tokens were asked for; found row {longest} of "
            f"{lengths[longest]}; raise tokens_per_batch, or cut the rows"
        )
    max_rows = config.per_device_train_batch_size
    parts = processes * config.gradient_accumulation_steps
    rng = np.random.default_rng([config.seed, epoch])
    order = rng.permutation(len(lengths))
    steps: list[list[RowNumbers]] = []
    for begin in range(0, len(order), size := POOL * parts * max_rows):
        pool = order[begin : begin + size]
        max_tokens = config.tokens_per_batch or max(1, int(lengths.max())) * max_rows  # the latter never binds
        batches = [pool[i] for i in token_budget_batches(lengths[pool], max_tokens=max_tokens, max_rows=max_rows)]
        steps += [batches[i : i + parts] for i in range(0, len(batches), parts)]
    return [steps[i] for i in rng.permutation(len(steps))]


NAMED = 12  # rows in a message


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batches:
    """What one step of the optimizer takes."""

    step: int  # counted from 1
    total: int
    epoch: int
    learning_rate: float
    rows: Sequence[RowNumbers]  # of every batch, of all processes
    tokens: int  # in all of them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepContext:
    """What every step is taken with."""

    task: Task
    config: LoopConfig
    process: Process
    optimizer: optim.Optimizer
    bf16: bool


def new_optimizer(model: nn.Module, config: LoopConfig) -> optim.Optimizer:
    """Make AdamW over what is to be trained, without decay on biases and LayerNorm.

    Raises: TrainingError where everything is frozen.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise TrainingError("a model was to be trained; found 0 parameters that require a gradient; unfreeze some")
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    betas = (config.adam_beta1, config.adam_beta2)
    return optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.adam_epsilon, fused=True)


def train_step(batches: Batches, context: StepContext) -> Step:
    """Take one step. Raises: TrainingError for a loss or gradient that is no number, before the weights change."""
    begin = time.monotonic()
    parameters = [p for group in context.optimizer.param_groups for p in group["params"]]
    context.optimizer.zero_grad(set_to_none=True)
    with _seeded(context, batches.step), sparse_words(context.task.model):
        numbers = accumulate_gradients(batches, context)
    what = f"the gradients of step {batches.step} were to be summed"
    numbers = sum_up(parameters, numbers.flatten(), context.process, what=what).view(numbers.shape)
    losses, counts, *parts = numbers.tolist()
    count = max(1.0, sum(counts))
    norm = clip_gradients(parameters, count, context.config.max_grad_norm or math.inf)
    _refuse_nan(batches, losses, norm)
    for group in context.optimizer.param_groups:
        group["lr"] = batches.learning_rate
    context.optimizer.step()
    return Step(
        step=batches.step,
        epoch=batches.epoch,
        loss=sum(losses) / count,
        learning_rate=batches.learning_rate,
        grad_norm=norm,
        tokens=batches.tokens,
        seconds=time.monotonic() - begin,
        parts={name: sum(sums) / count for name, sums in zip(parts_of(context.task), parts, strict=True)},
    )


def accumulate_gradients(batches: Batches, context: StepContext) -> Tensor:
    """Add up the gradients of this process's batches; return losses, counts and parts, float64 [2 + parts, batches]."""
    process, task = context.process, context.task
    shape = 2 + len(parts_of(task)), len(batches.rows)
    numbers = torch.zeros(shape, dtype=torch.float64, device=process.device)
    common = task.step_inputs(batches.rows, batches.epoch) if isinstance(task, Composite) else {}
    for index in range(process.rank, len(batches.rows), process.count):
        inputs = {**task.collate(batches.rows[index], batches.epoch), **common}
        inputs = {name: tensor.to(process.device, non_blocking=True) for name, tensor in inputs.items()}
        with torch.autocast(process.device.partition(":")[0], torch.bfloat16, enabled=context.bf16):
            loss = task.loss(inputs)
        loss.total.backward()
        for parameter in task.model.parameters():
            if parameter.grad is not None and parameter.grad.is_sparse:  # no dense gradient was added to it
                parameter.grad = parameter.grad.to_dense()
        numbers[0, index] = loss.total.detach()
        numbers[1, index] = loss.count
        for row, name in enumerate(parts_of(task), 2):
            numbers[row, index] = loss.parts[name].detach()
    return numbers


def parts_of(task: Task) -> tuple[str, ...]:
    """Return the names of the means that a task's loss is the sum of; none where it is one mean."""
    return task.parts if isinstance(task, Composite) else ()


def clip_gradients(parameters: Sequence[nn.Parameter], count: float, max_norm: float) -> float:
    """Divide the gradients by `count` and cut their norm to `max_norm`, in one pass; return the norm before the cut."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = float(nn.utils.get_total_norm(gradients)) / count
    scale = min(1.0, max_norm / (norm + 1e-6)) / count  # as torch's clip_grad_norm_ cuts
    if scale != 1.0:
        torch._foreach_mul_(gradients, scale)
    return norm


@contextmanager
def sparse_words(model: nn.Module) -> Iterator[None]:
    """Have the rows of a batch added to the word table's gradient, instead of a second table that is mostly zeros."""
    encoders = [module for module in model.modules() if isinstance(module, TorchEncoder)]
    for encoder in encoders:
        encoder.sparse_words = True
    try:
        yield
    finally:
        for encoder in encoders:
            encoder.sparse_words = False


@contextmanager
def _seeded(context: StepContext, step: int) -> Iterator[None]:
    """Give this step random numbers of its own, and the caller's generators back afterwards."""
    process = context.process
    seed = np.random.SeedSequence([context.config.seed, step, process.rank]).generate_state(1, np.uint64)[0]
    with torch.random.fork_rng([process.device] if process.device != "cpu" else []):
        torch.manual_seed(int(seed))
        yield


def _refuse_nan(batches: Batches, losses: Sequence[float], norm: float) -> None:
    """Stop where the weights would be spoilt. The caller adds which checkpoint is good."""
    bad = [index for index, loss in enumerate(losses) if not math.isfinite(loss)]
    if not bad and math.isfinite(norm):
        return
    value = f"{losses[bad[0]]}" if bad else f"a gradient of norm {norm}"
    rows = np.concatenate([batches.rows[index] for index in bad or range(len(batches.rows))])
    names = ", ".join(map(str, rows[:NAMED])) + (f" and {len(rows) - NAMED} more" if len(rows) > NAMED else "")
    raise TrainingError(
        f"step {batches.step} of {batches.total} was to lower the loss; found {value} in epoch {batches.epoch}, rows "
        f"{names}; lower the learning rate, or look at these rows"
    )
