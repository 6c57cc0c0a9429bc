"""What is written of a run: log, curves, reporters."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec

import pytest
from learn.tiny_task import SETTINGS, TinyTask

from wellread.errors import DataError, MissingExtra, TrainingError
from wellread.learn import log as following
from wellread.learn.log import (
    as_table,
    curves_of,
    draw_runs,
    is_run,
    log_events,
    open_log,
    read_log,
    read_run,
    runs_figure,
    summary,
    time_of,
    tokens_at,
)
from wellread.learn.loop import train
from wellread.learn.settings import LoopConfig
from wellread.learn.step import Evaluated, Saved, Started, Step
from wellread.measure.figures import styled


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
    assert log_events(events(0, 7), LoopConfig(logging_steps=3), tmp_path / "run") == 7
    log = read_log(tmp_path / "run" / "log.jsonl")
    assert [line["step"] for line in log] == [3, 4, 6, 7]
    assert log[1] == {"step": 4, "scores": {"f1": 0.5}}
    assert log[0] == {
        **{"step": 3, "epoch": 0, "loss": 1.0, "learning_rate": 0.1, "grad_norm": 2.0, "tokens": 7},
        **{"seconds": 0.1235, "elapsed": log[0]["elapsed"]},
    }
    log_events(events(0, 7), LoopConfig(logging_steps=0), tmp_path / "quiet")
    assert [line["step"] for line in read_log(tmp_path / "quiet" / "log.jsonl")] == [4, 7]


def test_a_resumed_run_doubles_no_line(tmp_path):
    config = LoopConfig(logging_steps=1)
    log_events(events(0, 6), config, tmp_path)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')  # killed here
    log_events(events(3, 7), config, tmp_path)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2, 3, 4, 4, 5, 6, 7]


def test_the_time_of_a_run_is_that_of_all_its_parts(tmp_path):
    assert time_of(tmp_path) == {}
    config = LoopConfig(logging_steps=1)
    for first, last, clock in ((0, 3, [0, 10, 20, 30]), (2, 4, [100, 107, 118])):  # killed, and resumed after step 2
        with open_log(tmp_path / "log.jsonl", config, clock=iter(clock).__next__) as callback:
            for event in events(first, last):
                callback(event)
    lines = [line for line in read_log(tmp_path / "log.jsonl") if "loss" in line]
    assert [line["elapsed"] for line in lines] == [10, 20, 27, 38]
    found = time_of(tmp_path)["time"]
    assert found["seconds"] == 38
    assert re.fullmatch(r"\d+ cores? of .+|NVIDIA .+", found["device"])


def test_a_new_run_begins_a_new_log(tmp_path):
    for _ in range(2):
        log_events(events(0, 2), LoopConfig(logging_steps=1), tmp_path)
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
        log_events(watched(), config, tmp_path)
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


def test_without_a_terminal_there_is_a_line_a_minute(capsys):
    now = 0.0
    callback = following.progress_lines(clock=lambda: now)
    for number, event in enumerate(events(3, 7, total=1203)):
        now = 30.0 * number
        callback(event)
    assert capsys.readouterr().err.splitlines() == [
        "step 4 of 1,203: f1 0.5000",
        "step 5 of 1,203: loss 1.0000, 0 tokens/s, 14 h 58 min left",
        "step 7 of 1,203: loss 1.0000, 0 tokens/s, 12 h 28 min left",
    ]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_reporter_that_is_not_installed_is_told_before_the_run(tmp_path, monkeypatch, name):
    monkeypatch.setattr(following, "find_spec", lambda wanted: None)
    with pytest.raises(MissingExtra, match=f"report_to names {name}, which is not installed; run: pip install {name}"):
        log_events(map(pytest.fail, ["the run began"]), LoopConfig(report_to=name), tmp_path)


@pytest.mark.skipif(not find_spec("tensorboard"), reason="tensorboard is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_the_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = LoopConfig(report_to="tensorboard")
    log_events(events(0, 7), config, tmp_path, settings=config)
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [point.step for point in found.Scalars("train/loss")] == list(range(1, 8))
    assert found.Scalars("eval/f1")[0].value == 0.5
    assert "learning_rate" in found.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()


@pytest.mark.skipif(not find_spec("matplotlib"), reason="matplotlib is not installed")
def test_a_picture_of_the_curves_is_drawn(tmp_path):
    log_events(events(0, 7), LoopConfig(logging_steps=1), tmp_path)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "find_spec", lambda wanted: None)
    log_events(events(0, 7), LoopConfig(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


# -- logs read back ----------------------------------------------------------------------------------------------------


def line(step, **changes):
    values = {"epoch": 0, "loss": 1 / step, "learning_rate": 0.1, "grad_norm": 2.0, "tokens": 10, "seconds": 0.1}
    return {"step": step, **values, **changes}


LOG = [
    line(50, tokens=100_000),
    line(100, tokens=200_000),
    {"step": 100, "scores": {"f1": 0.5}},
    line(120, tokens=50_000),
]


def written(directory, log, *, end="\n"):
    directory.mkdir()
    (directory / "log.jsonl").write_text("\n".join(map(json.dumps, log)) + end)
    return directory


def test_a_run_is_known_by_its_log(tmp_path):
    assert not is_run(tmp_path)
    assert is_run(written(tmp_path / "run", LOG))
    assert read_run(tmp_path / "run") == LOG


def test_tokens_of_steps_that_were_not_logged_are_counted_too():
    assert tokens_at(LOG) == ([50, 100, 120], [5e6, 15e6, 16e6])


def test_scores_stand_at_their_steps():
    assert curves_of(LOG) == {"loss": [(50, 0.02), (100, 0.01), (120, 1 / 120)], "f1": [(100, 0.5)]}
    assert summary({"a": LOG}) == {"a": {"step": 120, "tokens": 16_000_000, "loss": 1 / 120, "f1": 0.5}}
    assert as_table({"a": LOG, "b": LOG[:1]}).splitlines() == [
        "a: step 120, tokens 16,000,000, loss 0.0083, f1 0.5000",
        "b: step 50, tokens 5,000,000, loss 0.0200",
    ]


def test_the_picture_has_a_row_a_curve_against_steps_and_tokens():
    with styled():
        figure = runs_figure({"a": LOG, "b": LOG[:2]})
    assert len(figure.axes) == 4
    found = [[drawn.get_xydata().tolist() for drawn in panel.lines] for panel in figure.axes]
    assert found[0] == [[[50, 0.02], [100, 0.01], [120, 1 / 120]], [[50, 0.02], [100, 0.01]]]
    assert [x for x, _ in found[1][0]] == [5, 15, 16]
    assert found[2] == [[[100, 0.5]], []]
    assert found[3][0] == [[15, 0.5]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    handles = figure.legends[0].get_lines()
    assert len({(drawn.get_color(), drawn.get_linestyle()) for drawn in handles}) == 2


def test_the_same_runs_give_the_same_pictures(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw_runs({str(n): LOG for n in range(7)}, [tmp_path / name / f"curves.{kind}" for kind in ("png", "svg")])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["curves.png", "curves.svg"]
    assert (tmp_path / "a" / "curves.svg").read_bytes() == (tmp_path / "b" / "curves.svg").read_bytes()


@pytest.mark.parametrize("log", [[], [{"step": 1, "scores": {"f1": 0.5}}]])
def test_a_run_without_a_loss_is_refused(tmp_path, log):
    with pytest.raises(DataError, match=rf"curves were asked of .*log.jsonl; found {len(log)} lines and no loss"):
        read_run(written(tmp_path / "run", log, end="\n" if log else ""))


@pytest.mark.parametrize("text", ["no json\n", '{"loss": 1}\n', "3\n"])
def test_what_is_no_log_is_refused(tmp_path, text):
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"a run's log was asked of .*log.jsonl; .*; name another run"):
        read_run(tmp_path)
