"""Which rows every step takes: each row once an epoch, shuffled, of about equal length within a step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wellread.errors import TrainingError
from wellread.learn.settings import LoopConfig
from wellread.text.batches import token_budget_batches

Rows = NDArray[np.int64]
POOL = 64  # steps whose rows are sorted by length together


def epoch_plan(lengths: Rows, config: LoopConfig, *, epoch: int, processes: int = 1) -> list[list[Rows]]:
    """Return the steps of an epoch; each is the row numbers of its batches, one for each process and accumulation.

    `lengths` is int [N], the tokens of every row. The last step of a pool may have fewer batches, or a smaller one.
    The rows of a step depend on how many rows it takes in all, not on how many batches they are divided into.

    Raises: TrainingError for no rows, or a row that is longer than `tokens_per_batch` allows.

    >>> config = LoopConfig(per_device_train_batch_size=2, gradient_accumulation_steps=2)
    >>> [[batch.tolist() for batch in step] for step in epoch_plan(np.arange(5), config, epoch=0)]
    [[[4, 3], [2, 1]], [[0]]]
    """
    _check(lengths, config)
    parts = processes * config.gradient_accumulation_steps
    rng = np.random.default_rng([config.seed, epoch])
    order = rng.permutation(len(lengths))
    size = POOL * parts * config.per_device_train_batch_size
    steps: list[list[Rows]] = []
    for begin in range(0, len(order), size):
        batches = _batches(order[begin : begin + size], lengths, config)
        steps += [batches[i : i + parts] for i in range(0, len(batches), parts)]
    return [steps[i] for i in rng.permutation(len(steps))]


def _batches(pool: Rows, lengths: Rows, config: LoopConfig) -> list[Rows]:
    """Cut a pool into batches, the longest rows first."""
    rows = config.per_device_train_batch_size
    budget = config.tokens_per_batch or max(1, int(lengths.max())) * rows  # the latter never binds
    return [pool[batch] for batch in token_budget_batches(lengths[pool], max_tokens=budget, max_rows=rows)]


def _check(lengths: Rows, config: LoopConfig) -> None:
    if not len(lengths):
        raise TrainingError("a model was to be trained; found 0 rows of data; give it some")
    longest = int(lengths.argmax())
    if 0 < config.tokens_per_batch < lengths[longest]:
        raise TrainingError(
            f"batches of at most {config.tokens_per_batch} tokens were asked for; found row {longest} of "
            f"{lengths[longest]}; raise tokens_per_batch, or cut the rows"
        )
