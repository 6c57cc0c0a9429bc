"""The loop: what a step computes, exact resume after real kills, and what stops a run."""

from __future__ import annotations

import errno
import json
import re
import resource
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from learn.tiny_task import SETTINGS, TinyTask, assert_bit_equal, encoder, finish, start, trained, weights

from wellread.errors import TrainingError
from wellread.learn import checkpoints, loop
from wellread.learn.loop import train, uses_bf16
from wellread.learn.settings import LoopConfig
from wellread.learn.step import Evaluated, Saved, Started, Step


def config(**changes: object) -> LoopConfig:
    return LoopConfig(**{**SETTINGS, **changes})


# -- a step ------------------------------------------------------------------------------------------------------------


def test_a_run_is_what_plain_pytorch_computes(tmp_path):
    """One batch of all rows a step, without dropout: the same as a loop written out."""
    model = encoder(dropout=0.0)
    settings = config(max_steps=4, per_device_train_batch_size=99, warmup_steps=2, lr_scheduler_type="linear")
    steps = [e for e in train(TinyTask(model=model), settings, tmp_path) if isinstance(e, Step)]

    task = TinyTask(model=encoder(dropout=0.0))
    biases = [p for p in task.model.parameters() if p.ndim == 1]
    tables = [p for p in task.model.parameters() if p.ndim > 1]
    groups = [{"params": tables, "weight_decay": 0.01}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, eps=SETTINGS["adam_epsilon"])
    for step, share in zip(steps, (0.5, 1.0, 1.0, 0.5), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * share
        loss = task.loss(task.collate(np.arange(37), 0))
        mean = loss.total / loss.count
        optimizer.zero_grad()
        mean.backward()
        norm = torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        optimizer.step()
        assert step.loss == pytest.approx(mean.item(), rel=1e-5)
        assert step.grad_norm == pytest.approx(norm.item(), rel=1e-4)
        assert (step.learning_rate, step.tokens) == (pytest.approx(0.01 * share), loss.count)
    for name, array in model.arrays().items():
        assert np.abs(array - task.model.arrays()[name]).max() < 1e-5, name


def test_accumulated_batches_are_one_batch(tmp_path):
    runs = [
        trained(
            tmp_path / str(parts),
            task=TinyTask(model=encoder(dropout=0.0)),
            per_device_train_batch_size=8 // parts,
            gradient_accumulation_steps=parts,
        )
        for parts in (1, 2)
    ]
    for name, array in runs[0].items():
        assert np.abs(array - runs[1][name]).max() < 1e-5, name


def test_frozen_and_unused_parameters_stay_as_they_are(tmp_path):
    task = TinyTask()
    before = task.model.arrays()
    task.model.get_parameter("embeddings.word_embeddings.weight").requires_grad = False
    after = trained(tmp_path, task=task)
    kept = {name for name, array in after.items() if np.array_equal(array, before[name])}
    assert kept >= {"embeddings.word_embeddings.weight", "pooler.dense.weight", "cls.predictions.bias"}
    assert "embeddings.position_embeddings.weight" not in kept


def test_a_model_that_is_frozen_whole_is_refused(tmp_path):
    task = TinyTask()
    task.model.requires_grad_(False)
    with pytest.raises(TrainingError, match="found 0 parameters that require a gradient; unfreeze some"):
        trained(tmp_path, task=task)


def test_a_gradient_is_cut_only_where_that_is_asked_for(tmp_path):
    class Loud(TinyTask):
        def loss(self, inputs):
            made = super().loss(inputs)
            return type(made)(total=1000 * made.total, count=made.count)

    runs = {
        limit: trained(tmp_path / str(limit), task=Loud(), max_steps=2, adam_epsilon=1.0, max_grad_norm=limit)
        for limit in (0.0, 1e9, 1.0)
    }
    assert_bit_equal(runs[0.0], runs[1e9])
    name = "encoder.layer.0.output.dense.bias"
    assert not np.array_equal(runs[0.0][name], runs[1.0][name])


def test_the_caller_s_random_numbers_are_its_own(tmp_path):
    """Whoever reads the events may draw, before and between: neither the run nor the caller's numbers change."""
    expected = trained(tmp_path / "a")
    torch.manual_seed(1)
    drawn = torch.rand(3)
    torch.manual_seed(1)
    task = TinyTask()
    events = train(task, config(), tmp_path / "b")
    mine = [torch.rand(1) for _, _ in zip(range(3), events, strict=False)]
    list(events)
    assert torch.equal(torch.cat(mine), drawn)
    assert_bit_equal(task.model.arrays(), expected)


def test_every_step_draws_numbers_of_its_own(tmp_path):
    class Drawing(TinyTask):
        def loss(self, inputs):
            drawn.append(torch.rand(1).item())
            return super().loss(inputs)

    runs = []
    for name in "ab":
        drawn: list[float] = []
        list(train(Drawing(), config(max_steps=9), tmp_path / name))
        runs.append(drawn)
    assert len(set(runs[0])) == 9
    assert runs[0] == runs[1]


def test_events_come_in_order(tmp_path):
    settings = config(max_steps=7, save_steps=3, eval_steps=4)
    events = list(train(TinyTask(), settings, tmp_path, evaluate=lambda: {"score": 0.5}))
    shown = [(type(e), e.step) for e in events]
    assert shown[0] == (Started, 0)
    assert shown[1:5] == [(Step, 1), (Step, 2), (Step, 3), (Saved, 3)]
    assert shown[-3:] == [(Step, 7), (Evaluated, 7), (Saved, 7)]
    assert (Evaluated, 4) in shown
    assert [e.epoch for e in events if isinstance(e, Step)] == [0, 0, 0, 0, 0, 1, 1]  # 37 rows in batches of 8
    assert events[0].total == 7


def test_without_max_steps_the_epochs_decide(tmp_path):
    started = next(train(TinyTask(), config(max_steps=0, num_train_epochs=2), tmp_path))
    assert started.total == 10


@pytest.mark.parametrize("wanted", ["true", "false"])
def test_bf16_is_what_is_asked_for(tmp_path, wanted):
    seen = []

    class Watching(TinyTask):
        def loss(self, inputs):
            made = self.model(inputs, ["sequence_output"])["sequence_output"]
            seen.append(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16)
            assert made.isfinite().all()
            return super().loss(inputs)

    list(train(Watching(), config(max_steps=1, bf16=wanted), tmp_path))
    assert seen == [wanted == "true"]


@pytest.mark.parametrize(("instructions", "gain", "chosen"), [(False, 9, False), (True, 0.6, False), (True, 1.9, True)])
def test_bf16_is_automatic_where_the_cpu_gains_by_it(monkeypatch, instructions, gain, chosen):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: instructions, raising=False)
    monkeypatch.setattr(loop, "bf16_gain", lambda: gain)
    assert uses_bf16(LoopConfig(), "cpu") is chosen


def test_the_gain_of_bf16_is_that_of_the_quickest_products(monkeypatch):
    seconds = [5.0, *[3.0] * 6, *[2.0] * 6, 1.5]  # seven products in float32, then seven in bfloat16
    clock = iter([at for each in seconds for at in (10.0, 10.0 + each)])
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(clock))
    assert loop.bf16_gain.__wrapped__() == 2.0


def test_a_resumed_run_keeps_the_precision_that_it_began_with(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "uses_bf16", lambda *_: True)
    list(train(TinyTask(), config(max_steps=1, save_steps=1, bf16="auto"), tmp_path))
    monkeypatch.setattr(loop, "uses_bf16", lambda *_: False)
    settings = config(max_steps=2, save_steps=1, bf16="auto")
    saved = json.loads((tmp_path / "checkpoint-1" / "state.json").read_text())
    assert saved["identity"]["settings.bf16"] is True
    saved["identity"]["settings.max_steps"] = 2
    (tmp_path / "checkpoint-1" / "state.json").write_text(json.dumps(saved))
    list(train(TinyTask(), settings, tmp_path, resume_from_checkpoint=True))  # refused if the precision had changed
    assert json.loads((tmp_path / "checkpoint-2" / "state.json").read_text())["identity"]["settings.bf16"] is True


# -- resume ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"lr_scheduler_type": "linear", "gradient_accumulation_steps": 2},
        {"lr_scheduler_type": "cosine", "tokens_per_batch": 40},
        {"lr_scheduler_type": "constant", "bf16": "true"},
    ],
    ids=lambda settings: settings["lr_scheduler_type"],
)
def test_a_run_resumed_from_any_checkpoint_is_bit_equal(tmp_path, settings):
    whole = trained(tmp_path / "whole", **settings, save_total_limit=0)
    for directory in checkpoints.checkpoints(tmp_path / "whole")[:-1]:
        again = trained(tmp_path / "again" / directory.name, **settings, save_steps=0, resume=directory)
        assert_bit_equal(again, whole)


def test_a_finished_run_that_is_resumed_has_nothing_to_do(tmp_path):
    whole = trained(tmp_path)
    task = TinyTask()
    events = list(train(task, config(), tmp_path, resume_from_checkpoint=True))
    assert [(e.step, e.total) for e in events] == [(20, 20)]
    assert_bit_equal(task.model.arrays(), whole)


def test_what_a_later_run_had_saved_gives_way(tmp_path):
    whole = trained(tmp_path, save_total_limit=0)
    assert_bit_equal(trained(tmp_path, save_total_limit=0, resume=tmp_path / "checkpoint-6"), whole)
    assert [path.name for path in checkpoints.checkpoints(tmp_path)][-3:] == [f"checkpoint-{i}" for i in (15, 18, 20)]


def killed_runs(directory, kills, **cases):
    """Train each case, killed again and again, and compare every run with one that was not."""
    told = json.loads(finish(start("-m", "learn.kills", str(directory), json.dumps(cases), str(kills))))
    assert told.keys() == cases.keys()
    for name, runs in told.items():
        reference = weights(directory / name / "reference.safetensors")
        for number in range(runs):
            assert_bit_equal(weights(directory / name / f"run-{number}.safetensors"), reference)


LINEAR = {"lr_scheduler_type": "linear", "save_steps": 1}
COSINE = {"lr_scheduler_type": "cosine", "gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}


def test_a_run_that_is_killed_and_resumed_is_bit_equal(tmp_path):
    killed_runs(tmp_path, 3, linear=LINEAR, cosine=COSINE)


@pytest.mark.slow
def test_a_run_that_is_killed_200_times_is_bit_equal(tmp_path):
    killed_runs(tmp_path, 100, linear=LINEAR, budget={**COSINE, "tokens_per_batch": 40})


# -- what stops a run --------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_names_step_rows_and_checkpoint(tmp_path):
    """Row 11 comes in step 4 or later of this seed, so there is a checkpoint to go back to."""
    task = TinyTask(bad_row=11)
    seen = [task.model.arrays()]
    events = train(task, config(per_device_train_batch_size=4, save_steps=1), tmp_path)
    with pytest.raises(TrainingError, match=r"was to lower the loss; found nan in epoch 0, rows ") as caught:
        seen += [task.model.arrays() for event in events if isinstance(event, Step)]
    found = re.search(r"step (\d+) of 20 .* rows ([\d, ]+); lower .*; the last checkpoint is (.*)", str(caught.value))
    assert found is not None
    rows = [int(row) for row in found[2].split(", ")]
    assert len(rows) == 4
    assert 11 in rows
    good = tmp_path / f"checkpoint-{int(found[1]) - 1}"
    assert found[3] == str(good)
    assert_bit_equal(task.model.arrays(), weights(good / "model.safetensors"))


def test_of_several_batches_the_bad_one_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"found nan in epoch 0, rows (\d+, ){0,8}11(, \d+){0,8}; lower"):
        trained(tmp_path, task=TinyTask(bad_row=11), per_device_train_batch_size=9, gradient_accumulation_steps=5)


def test_many_bad_rows_are_not_all_named(tmp_path):
    with pytest.raises(TrainingError, match=r"found nan in epoch 0, rows (\d+, ){11}\d+ and 25 more; lower"):
        trained(tmp_path, task=TinyTask(bad_row=0), per_device_train_batch_size=99)


def test_a_gradient_that_is_no_number_stops_the_run(tmp_path):
    class Steep(TinyTask):
        def loss(self, inputs):
            made = super().loss(inputs)
            root = (made.total - made.total.detach()).sqrt()  # 0, with an infinite slope
            return type(made)(total=made.total + root, count=made.count)

    with pytest.raises(TrainingError, match=r"step 1 of 20 .* found a gradient of norm (nan|inf) in epoch 0, rows"):
        trained(tmp_path, task=Steep())


@contextmanager
def no_file_over(size: int):
    """Let the system refuse to write more than `size` bytes to a file, as a full disk does."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_a_checkpoint_that_the_system_refuses_leaves_the_one_before(tmp_path):
    task, saved = TinyTask(), 0
    events = train(task, config(), tmp_path)
    for event in events:
        saved += isinstance(event, Saved)
        if saved == 2:
            break
    message = rf"checkpoint-9 was to be written; found that .*; make room, then resume: .* {tmp_path / 'checkpoint-6'}$"
    with no_file_over(10_000), pytest.raises(TrainingError, match=message):
        list(events)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-3", "checkpoint-6"]
    assert_bit_equal(trained(tmp_path, resume=True), trained(tmp_path / "whole"))


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_json", full)
    message = "checkpoint-3 was to be written; .*No space left on device.* no checkpoint was saved yet"
    with pytest.raises(TrainingError, match=message):
        trained(tmp_path)
    assert not list(tmp_path.iterdir())
