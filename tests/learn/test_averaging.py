"""Averages of the weights: against PyTorch's own, exact after a resume, seen by evaluations, kept by the model."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from learn.tiny_task import SETTINGS, TinyTask, assert_bit_equal, trained
from torch.optim.swa_utils import AveragedModel

from wellread.errors import ConfigError, TrainingError
from wellread.formats.safetensors import read_safetensors
from wellread.learn.loop import train
from wellread.learn.settings import LoopConfig
from wellread.learn.step import Evaluated, Step

DECAY = 0.6
TRAINED = "encoder.layer.0.output.dense.weight"
FROZEN = "cls.predictions.bias"


def stepwise(tmp_path, **settings):
    """Train without an average; return the weights after every step."""
    task = TinyTask()
    events = train(task, LoopConfig(**{**SETTINGS, "max_steps": 7, **settings}), tmp_path / "plain")
    return [
        {name: p.detach().clone() for name, p in task.model.named_parameters()}
        for event in events
        if isinstance(event, Step)
    ]


def assert_near(arrays, expected, tolerance=1e-6):
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        assert np.abs(array - np.asarray(expected[name], np.float64)).max() < tolerance, name


def test_the_moving_average_is_that_of_swa_utils(tmp_path):
    steps = stepwise(tmp_path)
    decays = iter([min(DECAY, (1 + t) / (10 + t)) for t in range(1, 8)])
    model = TinyTask().model  # as it begins
    shadow = AveragedModel(model, avg_fn=lambda mean, new, _: mean * (d := next_decay[0]) + new * (1 - d))
    shadow.update_parameters(model)  # the first call copies
    for weights in steps:
        next_decay = [next(decays)]
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[name])
        shadow.update_parameters(model)
    expected = {name: p.detach().numpy() for name, p in shadow.module.named_parameters()}
    found = trained(tmp_path / "run", max_steps=7, ema_decay=DECAY)
    assert_near(found, expected)
    assert np.abs(found[TRAINED] - steps[-1][TRAINED].numpy()).max() > 1e-3


def test_the_mean_is_that_of_the_last_checkpoints(tmp_path):
    steps = stepwise(tmp_path)  # checkpoints at 3, 6 and 7
    for count, chosen in ((1, [7]), (2, [6, 7]), (3, [3, 6, 7])):
        expected = {
            name: np.mean([steps[step - 1][name].double().numpy() for step in chosen], axis=0) for name in steps[0]
        }
        directory = tmp_path / str(count)
        found = trained(directory, max_steps=7, average_checkpoints=count, save_total_limit=3)
        assert_near(found, expected)
        last = read_safetensors(directory / "checkpoint-7" / "model.safetensors")
        assert_bit_equal({name: tensor.read() for name, tensor in last.items()}, steps[-1])
    more = trained(tmp_path / "more", max_steps=7, average_checkpoints=9, save_total_limit=0)
    assert_bit_equal(more, found)  # as many as there are


AVERAGES = {"moving": {"ema_decay": DECAY}, "mean": {"average_checkpoints": 2}}


@pytest.mark.parametrize("settings", AVERAGES.values(), ids=AVERAGES)
def test_a_resumed_run_ends_with_the_same_bytes(tmp_path, settings):
    whole = trained(tmp_path / "run", max_steps=10, **settings)
    finished = trained(tmp_path / "run", resume=True, max_steps=10, **settings)
    assert_bit_equal(finished, whole)
    shutil.rmtree(tmp_path / "run" / "checkpoint-10")
    assert_bit_equal(trained(tmp_path / "run", resume=True, max_steps=10, **settings), whole)
    files = {path.name for path in (tmp_path / "run" / "checkpoint-10").iterdir()}
    assert ("average.safetensors" in files) == ("ema_decay" in settings)


@pytest.mark.parametrize("settings", AVERAGES.values(), ids=AVERAGES)
def test_evaluations_see_the_average_and_training_does_not(tmp_path, settings):
    plain = stepwise(tmp_path)
    task, seen, own = TinyTask(), [], []

    def evaluate():
        seen.append(task.model.arrays()[TRAINED].copy())
        return {"score": 0.0}

    config = LoopConfig(**{**SETTINGS, "max_steps": 7, "eval_steps": 3, **settings})
    for event in train(task, config, tmp_path / "run", evaluate=evaluate):
        if isinstance(event, Step):
            own.append(task.model.arrays()[TRAINED].copy())
        elif isinstance(event, Evaluated):
            np.testing.assert_array_equal(task.model.arrays()[TRAINED], own[-1])
    for weights, array in zip(plain, own, strict=True):
        np.testing.assert_array_equal(weights[TRAINED], array)
    assert len(seen) == 3
    assert np.array_equal(seen[1], own[5]) is False
    np.testing.assert_array_equal(seen[-1], task.model.arrays()[TRAINED])


def test_weights_that_are_not_trained_have_no_average(tmp_path):
    task = TinyTask()
    before = task.model.arrays()[FROZEN].copy()
    task.model.get_parameter(FROZEN).requires_grad = False
    trained(tmp_path, task=task, max_steps=3, ema_decay=DECAY)
    assert FROZEN not in read_safetensors(tmp_path / "checkpoint-3" / "average.safetensors")
    np.testing.assert_array_equal(task.model.arrays()[FROZEN], before)


def test_a_checkpoint_that_is_gone_or_damaged_is_named(tmp_path):
    trained(tmp_path / "a", max_steps=7, average_checkpoints=2)
    shutil.rmtree(tmp_path / "a" / "checkpoint-6")
    with pytest.raises(TrainingError, match=r"mean of the last 2 .* asked for; checkpoint-6 is not there; begin anew"):
        trained(tmp_path / "a", resume=True, max_steps=7, average_checkpoints=2)
    trained(tmp_path / "b", max_steps=3, ema_decay=DECAY)
    path = tmp_path / "b" / "checkpoint-3" / "average.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(TrainingError, match=r"average\.safetensors has another SHA-256"):
        trained(tmp_path / "b", resume=True, max_steps=3, ema_decay=DECAY)


@pytest.mark.parametrize(
    ("then", "now", "found"),
    [
        ({}, {"ema_decay": DECAY}, r"settings\.ema_decay is 0\.6 and was None"),
        (AVERAGES["moving"], {"ema_decay": 0.5}, r"settings\.ema_decay is 0\.5 and was 0\.6"),
        (AVERAGES["mean"], {"average_checkpoints": 2, "save_steps": 2}, r"settings\.save_steps is 2 and was 3"),
    ],
)
def test_a_run_is_resumed_with_its_own_average_alone(tmp_path, then, now, found):
    trained(tmp_path, max_steps=3, **then)
    with pytest.raises(TrainingError, match=found):
        trained(tmp_path, resume=True, max_steps=3, **now)


def test_a_run_without_an_average_is_resumed_as_before():
    assert not {"ema_decay", "average_checkpoints", "save_steps"} & LoopConfig().decisive.keys()
    assert {"average_checkpoints", "save_steps"} <= LoopConfig(average_checkpoints=2).decisive.keys()


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"ema_decay": 1.0}, r"found ema_decay 1\.0, .*; ema_decay must be below 1"),
        ({"ema_decay": -0.1}, r"ema_decay of -0\.1"),
        ({"average_checkpoints": -1}, "average_checkpoints of -1"),
        ({"average_checkpoints": 3}, "save_total_limit 2; average_checkpoints is at most save_total_limit, or that is"),
        ({"average_checkpoints": 2, "save_steps": 0}, "average_checkpoints needs some, so save_steps above 0"),
        ({"average_checkpoints": 2, "ema_decay": 0.5}, "two ways, of which one is taken"),
    ],
)
def test_averages_that_cannot_be_taken_are_refused(settings, found):
    with pytest.raises(ConfigError, match=found):
        LoopConfig(**settings)
