"""Averages of the weights of a run, which are better than its last ones: a moving one, or that of the last checkpoints.

Polyak and Juditsky 1992 (Acceleration of stochastic approximation by averaging); the moving average after every step:
Tarvainen and Valpola 2017 (arXiv:1703.01780); the mean of the last checkpoints: Vaswani et al. 2017, section 6.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from wellread.errors import TrainingError
from wellread.formats.safetensors import read_safetensors
from wellread.learn.checkpoints import MODEL
from wellread.learn.settings import LoopConfig


class Average(Protocol):
    """An average of the weights that require a gradient; the others never change."""

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The weights as they are now, by name."""

    @property
    def stored(self) -> Mapping[str, Tensor]:
        """What a checkpoint must hold of the average, by the names of the weights."""

    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""

    def values(self, step: int) -> Sequence[Tensor]:
        """Return the average after a step, in the order of the weights."""


def new_average(model: nn.Module, config: LoopConfig, output_dir: Path) -> Average | None:
    """Return the average that the settings ask for, if any; it begins with the weights as they are."""
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if config.ema_decay:
        return MovingAverage(weights, config.ema_decay)
    if config.average_checkpoints:
        count, every = config.average_checkpoints, config.save_steps
        return MeanOfCheckpoints(weights=weights, count=count, every=every, output_dir=output_dir)
    return None


class MovingAverage:
    """The exponential moving average of the weights.

    The decay begins low, so that the fresh weights are soon forgotten: min(decay, (1 + t) / (10 + t)) at step t, as
    TensorFlow's ExponentialMovingAverage has it.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        """Begin with `weights`, which an optimizer changes in place."""
        self.weights, self.decay = weights, decay
        self.stored = {name: weight.clone() for name, weight in weights.items()}

    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.stored.values()), list(self.weights.values()), 1 - decay)

    def values(self, step: int) -> list[Tensor]:
        """Return the average so far."""
        return list(self.stored.values())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanOfCheckpoints:
    """The mean of the weights at the last `count` checkpoints, of which the weights as they are now are the last.

    A checkpoint stands at every multiple of `every`, and at the end.
    """

    weights: Mapping[str, Tensor]
    count: int
    every: int
    output_dir: Path

    @property
    def stored(self) -> Mapping[str, Tensor]:
        """Nothing: the checkpoints before hold what the mean is taken of."""
        return {}

    def update(self, step: int) -> None:
        """Do nothing, for the same reason."""

    def values(self, step: int) -> list[Tensor]:
        """Return the mean after a step. Raises: TrainingError where a checkpoint is gone."""
        before = range((step - 1) // self.every * self.every, 0, -self.every)[: self.count - 1]
        directories = [self.output_dir / f"checkpoint-{earlier}" for earlier in before]
        gone = [directory.name for directory in directories if not (directory / MODEL).is_file()]
        if gone:
            raise TrainingError(
                f"the mean of the last {self.count} checkpoints of {self.output_dir} was asked for; "
                f"{', '.join(gone)} is not there; begin anew with overwrite=True (--overwrite)"
            )
        sums = [weight.to(torch.float64, copy=True) for weight in self.weights.values()]
        for directory in directories:
            stored = read_safetensors(directory / MODEL)
            for total, name in zip(sums, self.weights, strict=True):
                total += torch.from_numpy(stored[name].read()).to(total.device)
        return [total.div_(1 + len(directories)).float() for total in sums]


@contextmanager
def applied(average: Average | None, step: int) -> Iterator[None]:
    """Let the model have the average of the weights for a while, where there is one."""
    if average is None:
        yield
        return
    weights = list(average.weights.values())
    own = [weight.clone() for weight in weights]
    torch._foreach_copy_(weights, list(average.values(step)))
    try:
        yield
    finally:
        torch._foreach_copy_(weights, own)


def apply(average: Average | None, step: int) -> None:
    """Give the model the average of the weights, where there is one, for good."""
    if average is not None:
        torch._foreach_copy_(list(average.weights.values()), list(average.values(step)))
