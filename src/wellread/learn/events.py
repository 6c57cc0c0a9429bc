"""What a training run tells while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
