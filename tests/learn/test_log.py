"""What is written of a run: log, curves, reporters."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from learn.tiny_task import SETTINGS, TinyTask

from wellread.errors import MissingExtra, TrainingError
from wellread.learn import log as following
from wellread.learn.log import follow, read_log
from wellread.learn.loop import train
from wellread.learn.settings import LoopConfig
from wellread.learn.step import Evaluated, Saved, Started, Step


def step(number, **changes):
    values = {"epoch": 0, "loss": 1.0, "learning_rate": 0.1, "grad_norm": 2.0, "tokens": 7, "seconds": 0.123456}
    return Step(**{"step": number, **values, **changes})


def events(first, last, total=7):
    yield Started(step=first, total=total, resumed_from=None)
    for number in range(first + 1, last + 1):
        yield step(number)
        if number == 4:
            yield Evaluated(step=4, scores={"f1": 0.5})


def test_the_log_has_a_line_every_so_often_and_at_the_end(tmp_path):
    assert follow(events(0, 7), LoopConfig(logging_steps=3), tmp_path / "run") == 7
    log = read_log(tmp_path / "run" / "log.jsonl")
    assert [line["step"] for line in log] == [3, 4, 6, 7]
    assert log[1] == {"step": 4, "scores": {"f1": 0.5}}
    assert log[0] == {
        **{"step": 3, "epoch": 0, "loss": 1.0, "learning_rate": 0.1, "grad_norm": 2.0, "tokens": 7},
        "seconds": 0.1235,
    }
    follow(events(0, 7), LoopConfig(logging_steps=0), tmp_path / "quiet")
    assert [line["step"] for line in read_log(tmp_path / "quiet" / "log.jsonl")] == [4, 7]


def test_a_resumed_run_doubles_no_line(tmp_path):
    config = LoopConfig(logging_steps=1)
    follow(events(0, 6), config, tmp_path)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')  # killed here
    follow(events(3, 7), config, tmp_path)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2, 3, 4, 4, 5, 6, 7]


def test_a_new_run_begins_a_new_log(tmp_path):
    for _ in range(2):
        follow(events(0, 2), LoopConfig(logging_steps=1), tmp_path)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2]


def test_the_log_can_be_read_while_the_run_goes_on_and_after_it_failed(tmp_path):
    task = TinyTask(bad_row=11)
    config = LoopConfig(**{**SETTINGS, "logging_steps": 1, "per_device_train_batch_size": 4})

    def watched():
        for event in train(task, config, tmp_path):
            yield event
            if isinstance(event, Step):
                assert read_log(tmp_path / "log.jsonl")[-1]["loss"] == event.loss

    with pytest.raises(TrainingError):
        follow(watched(), config, tmp_path)
    assert read_log(tmp_path / "log.jsonl")


def test_a_bar_is_moved_from_where_the_run_goes_on(monkeypatch):
    moved = []

    class Bar:
        def __enter__(self):
            return moved.append

        def __exit__(self, *error):
            moved.append("closed")

    monkeypatch.setattr(following, "progress", lambda total, show, label: moved.append((total, label)) or Bar())
    with following.open_bar() as listen:
        for event in [*events(3, 5), Saved(step=5, directory=None)]:
            listen(event)
    assert moved == [(7, "steps"), 3, 1, 1, "closed"]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_reporter_that_is_not_installed_is_told_before_the_run(tmp_path, monkeypatch, name):
    monkeypatch.setattr(following, "find_spec", lambda wanted: None)
    with pytest.raises(MissingExtra, match=f"report_to names {name}, which is not installed; run: pip install {name}"):
        follow(map(pytest.fail, ["the run began"]), LoopConfig(report_to=name), tmp_path)


@pytest.mark.skipif(not find_spec("tensorboard"), reason="tensorboard is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_the_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = LoopConfig(report_to="tensorboard")
    follow(events(0, 7), config, tmp_path, settings=config)
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [point.step for point in found.Scalars("train/loss")] == list(range(1, 8))
    assert found.Scalars("eval/f1")[0].value == 0.5
    assert "learning_rate" in found.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()


@pytest.mark.skipif(not find_spec("matplotlib"), reason="matplotlib is not installed")
def test_a_picture_of_the_curves_is_drawn(tmp_path):
    follow(events(0, 7), LoopConfig(logging_steps=1), tmp_path)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "find_spec", lambda wanted: None)
    follow(events(0, 7), LoopConfig(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
