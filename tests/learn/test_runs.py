"""Curves of several runs in one picture."""

from __future__ import annotations

import json

import pytest

from wellread.errors import DataError
from wellread.learn import runs as running
from wellread.learn.runs import as_table, draw_runs, is_run, points_of, read_run, summary, tokens_at
from wellread.measure.render import styled


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
    assert points_of(LOG) == {"loss": [(50, 0.02), (100, 0.01), (120, 1 / 120)], "f1": [(100, 0.5)]}
    assert summary({"a": LOG}) == {"a": {"step": 120, "tokens": 16_000_000, "loss": 1 / 120, "f1": 0.5}}
    assert as_table({"a": LOG, "b": LOG[:1]}).splitlines() == [
        "a: step 120, tokens 16,000,000, loss 0.0083, f1 0.5000",
        "b: step 50, tokens 5,000,000, loss 0.0200",
    ]


def test_the_picture_has_a_row_a_curve_against_steps_and_tokens():
    with styled():
        figure = running._figure({"a": LOG, "b": LOG[:2]})
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
        draw_runs({str(n): LOG for n in range(7)}, tmp_path / name)
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
