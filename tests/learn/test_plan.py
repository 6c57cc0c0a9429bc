"""The planner: every row once an epoch, no batch over a limit, the same from the seed alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellread.errors import TrainingError
from wellread.learn.settings import LoopConfig
from wellread.learn.step import POOL, epoch_plan

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=300).map(lambda x: np.array(x, np.int64))
CONFIGS = st.builds(
    LoopConfig,
    per_device_train_batch_size=st.integers(1, 9),
    tokens_per_batch=st.sampled_from([0, 40, 67]),
    gradient_accumulation_steps=st.integers(1, 3),
    seed=st.integers(0, 9),
)


@given(LENGTHS, CONFIGS, st.integers(0, 3), st.integers(1, 3))
def test_every_row_comes_once_and_no_batch_is_over_a_limit(lengths, config, epoch, processes):
    steps = epoch_plan(lengths, config, epoch=epoch, processes=processes)
    batches = [batch for step in steps for batch in step]
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert max(map(len, batches)) <= config.per_device_train_batch_size
    assert max(map(len, steps)) <= processes * config.gradient_accumulation_steps
    if config.tokens_per_batch:
        assert max(len(batch) * lengths[batch].max() for batch in batches) <= config.tokens_per_batch
    again = epoch_plan(lengths, config, epoch=epoch, processes=processes)
    assert [[b.tolist() for b in step] for step in steps] == [[b.tolist() for b in step] for step in again]


@given(LENGTHS, st.sampled_from([(1, 1, 12), (2, 1, 6), (1, 3, 4), (2, 2, 3)]), st.integers(0, 3))
def test_the_rows_of_a_step_do_not_depend_on_how_they_are_divided(lengths, division, epoch):
    processes, accumulated, size = division
    divided = LoopConfig(per_device_train_batch_size=size, gradient_accumulation_steps=accumulated)
    steps = epoch_plan(lengths, divided, epoch=epoch, processes=processes)
    whole = epoch_plan(lengths, LoopConfig(per_device_train_batch_size=12), epoch=epoch)
    assert [np.concatenate(step).tolist() for step in steps] == [step[0].tolist() for step in whole]


def test_epochs_and_seeds_differ():
    lengths = np.arange(50) % 7
    config = LoopConfig(per_device_train_batch_size=5)
    plans = [epoch_plan(lengths, config, epoch=0), epoch_plan(lengths, config, epoch=1)]
    plans.append(epoch_plan(lengths, replace(config, seed=1), epoch=0))
    assert len({str([step[0].tolist() for step in plan]) for plan in plans}) == 3


def test_rows_of_a_batch_are_of_about_equal_length():
    lengths = np.random.default_rng(0).integers(1, 100, 4 * POOL)
    steps = epoch_plan(lengths, LoopConfig(per_device_train_batch_size=4), epoch=0)
    padded = sum(len(step[0]) * lengths[step[0]].max() for step in steps)
    assert padded < 1.05 * lengths.sum()


def test_no_rows_are_refused():
    with pytest.raises(TrainingError, match="was to be trained; found 0 rows of data; give it some"):
        epoch_plan(np.zeros(0, np.int64), LoopConfig(), epoch=0)


def test_a_row_longer_than_a_batch_is_refused():
    with pytest.raises(TrainingError, match="at most 6 tokens were asked for; found row 1 of 7; raise"):
        epoch_plan(np.array([3, 7]), LoopConfig(tokens_per_batch=6), epoch=0)


def test_steps_come_in_no_order_of_length():
    lengths = np.arange(60)
    longest = [
        lengths[step[0]].max() for step in epoch_plan(lengths, LoopConfig(per_device_train_batch_size=3), epoch=0)
    ]
    assert sorted(longest, reverse=True) != longest != sorted(longest)
