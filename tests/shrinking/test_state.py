"""The directory of a search: one search at a time, its own, whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import pytest

from wellread.errors import CheckpointError, TrainingError
from wellread.schema import record
from wellread.shrinking.state import STATE, Plan, Result, State, opened

RESULT = Result(
    candidate="a",
    rung=1,
    steps=7,
    main="f1",
    scores={"f1": (0.5, 0.4, 0.6)},
    size_bytes=9,
    parameters=3,
    speed=1.5,
    step_seconds=0.1,
)
PLAN = Plan(
    candidates=(),
    sizes=(2, 1),
    steps=(3, 9),
    step_seconds={"a": 0.1},
    base_seconds=1.0,
    answering_seconds=1.0,
    concluding_seconds=1.0,
    scoring_seconds=1.0,
    texts=3,
    expected_seconds=9.0,
)


def enter(directory, identity=None, *, resume=False, overwrite=False):
    return opened(directory, identity or {"task": "tag"}, resume=resume, overwrite=overwrite)


def test_what_is_noted_is_there_after_a_kill(tmp_path):
    with enter(tmp_path / "out") as ledger:
        ledger.note(plan=PLAN, results=(RESULT,), stopped={"b": "behind"}, seconds=2.5, steps=(3,))
        written = ledger.state
    data = json.loads((tmp_path / "out" / STATE).read_text())
    assert record(State, data, source="") == written
    with enter(tmp_path / "out", resume=True) as ledger:
        assert ledger.state == written
        assert ledger.state.result("a", 1) == ledger.state.last("a") == RESULT
        assert ledger.state.training_seconds("a") == pytest.approx(0.7)
        assert ledger.state.result("a", 2) is ledger.state.last("b") is None
    assert asdict(written)["results"][0]["scores"] == {"f1": (0.5, 0.4, 0.6)}


def test_a_directory_in_use_is_refused(tmp_path):
    with (
        enter(tmp_path / "out"),
        pytest.raises(TrainingError, match="found that another process uses it"),
        enter(tmp_path / "out", resume=True),
    ):
        pass


def test_another_search_is_not_overwritten_nor_resumed(tmp_path):
    with enter(tmp_path), pytest.raises(RuntimeError):
        raise RuntimeError("the search fails")
    with pytest.raises(TrainingError, match="found another; go on with resume=True"), enter(tmp_path):
        pass
    with (
        pytest.raises(
            TrainingError, match="found that task is 'pair' and was 'tag'; texts is 'b' and was None; set them"
        ),
        enter(tmp_path, {"task": "pair", "texts": "b"}, resume=True),
    ):
        pass
    (tmp_path / "candidates").mkdir()
    with enter(tmp_path, {"task": "pair"}, overwrite=True) as ledger:
        assert ledger.state.identity == {"task": "pair"}
        assert not (tmp_path / "candidates").exists()


@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}])
def test_a_directory_of_others_is_refused_and_stays(how, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with (
        pytest.raises(CheckpointError, match=r"found thesis\.txt, which wellread did not write there"),
        enter(tmp_path, **how),
    ):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_there_must_be_something_to_go_on_with(tmp_path):
    with pytest.raises(TrainingError, match="was to go on; found none"), enter(tmp_path / "out", resume=True):
        pass


def test_a_state_that_is_damaged_is_refused(tmp_path):
    with enter(tmp_path):
        pass
    (tmp_path / STATE).write_text('{"identity": {"task": "tag"}, "seconds": "many"}')
    with pytest.raises(CheckpointError, match="seconds is 'many', not float"), enter(tmp_path, resume=True):
        pass


def test_a_full_disk_leaves_the_state_before(tmp_path, monkeypatch):
    with enter(tmp_path) as ledger:
        ledger.note(seconds=1.0)
        monkeypatch.setattr("wellread.shrinking.state.write_json", lambda *given: os.stat(tmp_path / "none"))
        with pytest.raises(
            TrainingError, match=r"shrink\.json was to be written; found that .*; make room, then go on"
        ):
            ledger.note(seconds=2.0)
    assert json.loads((tmp_path / STATE).read_text())["seconds"] == 1.0
