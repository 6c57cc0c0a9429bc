"""The processes of one run: alone, or several under torchrun, which sum their gradients."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from wellread.cores import cpu_count, cpu_name
from wellread.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Which process this is, of how many, and where it computes."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def is_main(self) -> bool:
        """Whether this one writes log, checkpoints and results."""
        return self.rank == 0

    def run_once(self, work: Callable[[], None], what: str) -> None:
        """Let the first process work while the others wait. Raises: TrainingError where one does not come."""
        if self.is_main:
            work()
        wait(self, what)


@contextmanager
def joined(timeout: int) -> Iterator[Process]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    Within another `joined`, or where the caller made the group, that group is used. `timeout` is in seconds.

    Raises: TrainingError where the others cannot be reached.
    """
    if distributed.is_initialized():
        yield Process(rank=distributed.get_rank(), count=distributed.get_world_size(), device=_device())
    elif int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Process(device=_device())
    else:
        with _together("all processes were to meet"):
            backend = "nccl" if torch.cuda.is_available() else "gloo"
            distributed.init_process_group(backend, timeout=timedelta(seconds=timeout))
        try:
            yield Process(rank=distributed.get_rank(), count=distributed.get_world_size(), device=_device())
        finally:
            distributed.destroy_process_group()


def device_name() -> str:
    """Name what this process trains on: a GPU, or the CPU and how many of its cores."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    cores = cpu_count()
    return f"{cores} core{'s' if cores > 1 else ''} of {cpu_name()}"


def _device() -> str:
    if not torch.cuda.is_available():
        return "cpu"
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    torch.cuda.set_device(device)
    return device


def wait(process: Process, what: str) -> None:
    """Wait until every process is here. Raises: TrainingError where one does not come."""
    if process.count > 1:
        with _together(what):
            distributed.barrier()


def agree(process: Process, identity: str) -> None:
    """Make sure that all processes do the same work; `identity` is a hash in hexadecimal.

    Raises: TrainingError where one has another.
    """
    if process.count == 1:
        return
    own = torch.tensor(int(identity[:15], 16), dtype=torch.int64, device=process.device)
    lowest, highest = own.clone(), own.clone()
    with _together("data, model and settings were to be compared"):
        distributed.all_reduce(lowest, distributed.ReduceOp.MIN)
        distributed.all_reduce(highest, distributed.ReduceOp.MAX)
    if lowest != highest:
        raise TrainingError(
            f"{process.count} processes were to train one model; found that their data, models or settings differ; "
            "give all the same files, flags and seed"
        )


def all_say(process: Process, answer: bool) -> bool:
    """Return whether all processes say yes. Raises: TrainingError where one does not answer."""
    if process.count == 1:
        return answer
    least = torch.tensor(int(answer), device=process.device)
    with _together("what all processes can do was to be asked"):
        distributed.all_reduce(least, distributed.ReduceOp.MIN)
    return bool(least)


def sum_up(parameters: Sequence[nn.Parameter], numbers: Tensor, process: Process, *, what: str) -> Tensor:
    """Sum the gradients over all processes, in place, and return the sum of `numbers`, float64 [N].

    A parameter that has a gradient nowhere keeps none, so that the optimizer passes over it as in a single process.

    Raises: TrainingError where a process is gone.
    """
    if process.count == 1:
        return numbers
    used = torch.tensor([p.grad is not None for p in parameters], dtype=numbers.dtype, device=numbers.device)
    summed = torch.cat([numbers, used])
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).detach().flatten() for p in parameters])
    with _together(what):
        distributed.all_reduce(summed)
        distributed.all_reduce(flat)
    pieces = flat.split([p.numel() for p in parameters])
    for parameter, piece, owners in zip(parameters, pieces, summed[len(numbers) :].tolist(), strict=True):
        parameter.grad = piece.view_as(parameter) if owners else None
    return summed[: len(numbers)]


@contextmanager
def _together(what: str) -> Iterator[None]:
    """Say that a process is gone in words of the run."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            f"{what}; found that a process ended or did not answer: {str(error).splitlines()[0]}; "
            "look for the first error of the others, then start all again and resume from the last checkpoint"
        ) from error
