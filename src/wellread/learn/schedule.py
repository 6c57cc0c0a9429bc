"""The learning rate at each step, as a share of its peak."""

from __future__ import annotations

import math
from collections.abc import Callable

from wellread.learn.settings import LoopConfig

DECAYS: dict[str, Callable[[float], float]] = {  # from 0, after the warm-up, to 1, one step after the last
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
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
