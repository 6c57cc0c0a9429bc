"""Checkpoints: what they hold, which are kept, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from learn.tiny_task import SETTINGS, TinyTask, assert_bit_equal, encoder, trained
from safetensors.numpy import load_file, save_file

from wellread.errors import TrainingError
from wellread.learn.checkpoints import checkpoints, last_good
from wellread.learn.loop import train
from wellread.learn.settings import LoopConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 6 steps with checkpoints at 3 and 6."""
    directory = tmp_path_factory.mktemp("run")
    trained(directory, max_steps=6)
    return directory


def resume(directory, task=None, **settings):
    made = LoopConfig(**{**SETTINGS, "max_steps": 6, **settings})
    return list(train(task or TinyTask(), made, directory.parent, resume_from_checkpoint=directory))


def test_a_checkpoint_is_safetensors_and_json(run):
    directory = run / "checkpoint-6"
    assert {path.name for path in directory.iterdir()} == {"model.safetensors", "optimizer.safetensors", "state.json"}
    parameters = encoder().state_dict()
    assert load_file(directory / "model.safetensors").keys() == parameters.keys()
    kept = load_file(directory / "optimizer.safetensors")
    trained_ones = {name for name in parameters if not name.startswith(("pooler", "cls"))}
    assert kept.keys() == {f"{key}.{name}" for key in ("step", "exp_avg", "exp_avg_sq") for name in trained_ones}
    assert {int(value) for name, value in kept.items() if name.startswith("step.")} == {6}
    state = json.loads((directory / "state.json").read_text())
    assert (state["step"], state["epoch"], state["batch"]) == (6, 1, 1)
    assert state["identity"]["settings.learning_rate"] == 0.01


def test_the_newest_are_kept(tmp_path):
    trained(tmp_path / "two", max_steps=13)
    assert [path.name for path in checkpoints(tmp_path / "two")] == ["checkpoint-12", "checkpoint-13"]
    trained(tmp_path / "all", max_steps=13, save_total_limit=0)
    assert [path.name for path in checkpoints(tmp_path / "all")] == [f"checkpoint-{i}" for i in (3, 6, 9, 12, 13)]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["checkpoint-12", "checkpoint-13"]
    trained(tmp_path / "none", max_steps=4, save_steps=0)
    assert last_good(tmp_path / "none") == "no checkpoint was saved yet"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"learning_rate": 0.02}, "settings.learning_rate is 0.02 and was 0.01;"),
        ({"seed": 6, "max_steps": 7}, "settings.max_steps is 7 and was 6; settings.seed is 6 and was 5;"),
        ({"bf16": "true"}, "settings.bf16 is True and was False;"),
        ({"lr_scheduler_type": "linear"}, "settings.lr_scheduler_type is 'linear' and was 'cosine';"),
        ({"task": TinyTask(data_seed=1)}, "data is 1 and was 0;"),
        ({"task": TinyTask(model=encoder(seed=1))}, r"model is '[0-9a-f]{64}' and was '[0-9a-f]{64}';"),
    ],
)
def test_another_run_is_refused_and_says_why(run, changes, found):
    message = f"checkpoint-3 was to be resumed with the same data, model and settings; found that {found} set them back"
    with pytest.raises(TrainingError, match=message):
        resume(run / "checkpoint-3", **changes)


def test_another_frozen_part_is_another_model(run):
    model = encoder()
    model.get_parameter("embeddings.LayerNorm.bias").requires_grad = False
    with pytest.raises(TrainingError, match="found that model is"):
        resume(run / "checkpoint-3", task=TinyTask(model=model))


def test_what_does_not_change_the_result_may_change(tmp_path):
    whole = trained(tmp_path, max_steps=6)
    others = {"logging_steps": 1, "eval_steps": 2, "save_steps": 4, "save_total_limit": 0, "ddp_timeout": 60}
    task = TinyTask()
    resume(tmp_path / "checkpoint-3", task=task, **others)
    assert_bit_equal(task.model.arrays(), whole)


def test_a_new_run_does_not_begin_where_another_stands(run):
    with pytest.raises(
        TrainingError, match=r"to begin in .*; found checkpoint-6 of another; resume it with .*--resume"
    ):
        trained(run, max_steps=6)


@pytest.mark.parametrize(
    ("wanted", "found"), [(True, "found none; name"), ("checkpoint-9", "found none in checkpoint-9; name")]
)
def test_a_checkpoint_that_is_not_there_is_told(tmp_path, wanted, found):
    with pytest.raises(TrainingError, match=f"a checkpoint of .* was to be resumed; {found} a directory"):
        trained(tmp_path, resume=wanted)


def test_what_a_kill_left_is_cleared_away(tmp_path):
    (tmp_path / ".checkpoint-3.x1y2").mkdir()
    (tmp_path / ".checkpoint-3.x1y2" / "model.safetensors").touch()
    (tmp_path / "checkpoint-x").mkdir()  # of someone else
    trained(tmp_path, max_steps=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-3", "checkpoint-x"]


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def lose_a_tensor(path):
    """Write a file that is whole in itself, and record its hash, so that only its names are wrong."""
    import hashlib

    arrays = load_file(path)
    del arrays[next(iter(arrays))]
    save_file({**arrays, "step.other": np.zeros(1, np.float32)}, path)
    state = json.loads((path.parent / "state.json").read_text())
    state["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "state.json").write_text(json.dumps(state))


def later_format(path):
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))


@pytest.mark.parametrize(
    ("name", "harm", "found"),
    [
        ("model.safetensors", flip, "model.safetensors has another SHA-256 than was recorded"),
        ("optimizer.safetensors", flip, "optimizer.safetensors has another SHA-256 than was recorded"),
        ("optimizer.safetensors", lambda path: path.unlink(), "No such file"),
        ("state.json", lambda path: path.write_text("{"), "state.json was to be read as a JSON object"),
        ("state.json", lambda path: path.write_text('{"step": 3}'), "state.json must describe a State"),
        ("state.json", later_format, "format 2 where this wellread reads 1"),
        ("model.safetensors", lose_a_tensor, "tensors that are not the model's: .*, step.other"),
        ("optimizer.safetensors", lose_a_tensor, "a state step.other of no parameter of the model"),
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path, name, harm, found):
    trained(tmp_path, max_steps=3)
    harm(tmp_path / "checkpoint-3" / name)
    with pytest.raises(
        TrainingError, match=f"checkpoint-3 was to be resumed; found it damaged: .*{found}.*; remove it"
    ):
        resume(tmp_path / "checkpoint-3", max_steps=3)
