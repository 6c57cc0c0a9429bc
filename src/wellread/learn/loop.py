"""The training loop: batches in, optimiser steps, one event a step out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from wellread.errors import TrainingError
from wellread.learn.settings import LoopConfig

B = TypeVar("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step did."""

    step: int  # counted from 1
    loss: float
    learning_rate: float


def optimise(
    model: nn.Module, batches: Iterable[B], loss: Callable[[B], Tensor], *, total: int, config: LoopConfig
) -> Iterator[Step]:
    """Take one AdamW step for each of `total` batches; the rate rises linearly, then falls along a cosine to 0.

    Raises: TrainingError where the loss is no number, before the weights are touched.
    """
    optimizer = torch.optim.AdamW(_groups(model, config.weight_decay), lr=config.learning_rate, fused=True)
    for step, batch in enumerate(batches, 1):
        rate = config.learning_rate * schedule(step, total=total, warmup=config.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        value = loss(batch)
        if not torch.isfinite(value):
            raise TrainingError(
                f"step {step} of {total} was to lower the loss; found {value.item()}; "
                "lower the learning rate, or look at the texts of this batch"
            )
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        yield Step(step=step, loss=value.item(), learning_rate=rate)


def schedule(step: int, *, total: int, warmup: int) -> float:
    """Return the share of the peak rate at `step`, counted from 1.

    >>> [round(schedule(step, total=10, warmup=2), 2) for step in (1, 2, 6, 10)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if step <= warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    decayed = [p for name, p in model.named_parameters() if p.ndim > 1]
    others = [p for name, p in model.named_parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
