"""Shrink from end to end: every kind of task, bounds, kills, bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learn.made_lessons import made_examples, made_rows
from shrinking.searches import TEXTS, base, config, inputs

import wellread
from wellread.config import HeadConfig
from wellread.errors import ConfigError, DataError, InputError, TrainingError
from wellread.learn import finetune as finetuning
from wellread.learn import log
from wellread.learn.init import with_head
from wellread.learn.training_examples import head_for
from wellread.measure.size import shipped_bytes
from wellread.shrinking import reporting
from wellread.shrinking import shrink as shrinking
from wellread.shrinking.material import take_material
from wellread.shrinking.outcome import Row, choose
from wellread.shrinking.settings import Bounds
from wellread.shrinking.shrink import shrink
from wellread.shrinking.training import TAKEN_RATE


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Leave out what takes most of the time of so small a search."""
    monkeypatch.setattr(log, "draw_runs", lambda *given, **named: None)
    monkeypatch.setattr(reporting, "find_spec", lambda name: None)


@pytest.mark.parametrize("task", ["classify", "tag"])
def test_a_module_is_made_of_a_base_for_a_task(task, tmp_path):
    texts = TEXTS if task == "classify" else []
    settings = config(dtypes="float16, int8", max_size="1MB", min_speed="1/s")
    found = shrink(
        base(tmp_path / "files"), task=task, output_dir=tmp_path / "out", config=settings, texts=texts, **inputs(task)
    )
    chosen = next(row for row in found.rows if row.fate == "chosen")
    again = wellread.load(found.directory)
    assert again.checkpoint.head.task == task
    assert again.checkpoint.config.num_hidden_layers == 1
    # the score that the card tells is that of the module as it lies there
    score = wellread.evaluate(again, inputs(task)["dev"], task=task).scores[chosen.main].value
    assert chosen.score == pytest.approx(score) == pytest.approx(again.provenance["scores"][chosen.main], abs=1e-5)
    fates = [row.fate for row in found.rows]
    assert sorted(fates) == ["", "behind after rung 1", "chosen", "trained to the end"]
    assert found.plan.sizes == (2, 1)
    assert found.plan.steps == (3, 9)
    planned = next(
        each for each in found.plan.candidates if each.name.rpartition("-")[0] == chosen.name.rpartition("-")[0]
    )
    if chosen.name == planned.name:
        assert planned.size_bytes == pytest.approx(shipped_bytes(again, found.directory), rel=0.02)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["shrink"]["chosen"] == chosen.name
    assert {row["name"] for row in report["rows"]} == {row.name for row in found.rows}
    assert "| the teacher " in (tmp_path / "out" / "report.md").read_text()
    card = (found.directory / "README.md").read_text()
    assert "`made_by`: `wellread shrink`" in card
    assert "`stages`" in card
    assert str(tmp_path) not in card


def test_layers_that_are_the_teachers_are_not_pre_trained_and_learn_more_slowly(tmp_path):
    place, settings = tmp_path / "out", config(widths="8, 24")  # the teacher has 24
    shrink(
        base(tmp_path / "files"), task="classify", output_dir=place, config=settings, texts=TEXTS, **inputs("classify")
    )
    stages = {
        width: sorted(path.name for path in (place / "candidates").glob(f"*_H-{width}-*/rung-1/*-run"))
        for width in (8, 24)
    }
    assert stages == {8: ["finetune-run", "labels-run", "pretrain-run"], 24: ["finetune-run", "labels-run"]}
    peaks = {
        width: max(
            line.get("learning_rate", 0.0)
            for path in (place / "candidates").glob(f"*_H-{width}-*/rung-1/labels-run/{log.LOG}")
            for line in log.read_log(path)
        )
        for width in (8, 24)
    }
    assert peaks[24] <= TAKEN_RATE * settings.distill_learning_rate < peaks[8]


def test_a_killed_search_comes_to_the_same_module(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "shrinking.kills", str(tmp_path)],
        check=True,
        cwd=Path(__file__).parent.parent,
        timeout=600,
    )
    ours, theirs = (wellread.load(tmp_path / name / "module") for name in ("killed", "reference"))
    assert ours.checkpoint.config == theirs.checkpoint.config
    whole = theirs.checkpoint.arrays()
    assert all(np.array_equal(array, whole[name]) for name, array in ours.checkpoint.arrays().items())
    killed, reference = (
        json.loads((tmp_path / name / "report.json").read_text())["shrink"]["candidates"]
        for name in ("killed", "reference")
    )
    told = ("name", "score", "fate", "steps", "size_bytes")
    assert [[row[key] for key in told] for row in killed] == [[row[key] for key in told] for row in reference]
    assert not list((tmp_path / "killed").rglob("checkpoint-*"))


def test_a_rung_that_the_time_does_not_allow_undoes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shrinking, "steps_left", lambda plan, config, *, rung, **more: (6, 1)[rung])
    found = shrink(
        base(tmp_path / "files"), task="classify", output_dir=tmp_path / "out", config=config(), **inputs("classify")
    )
    assert "the time is up: rung 2 would have 1 steps" in capsys.readouterr().err
    assert {row.steps for row in found.rows} == {0, 6}
    assert {row.fate for row in found.rows} <= {"", "chosen", "behind after rung 1", "the time was up after rung 1"}


def test_where_no_candidate_keeps_the_bounds_the_report_is_there(tmp_path, capsys):
    asked = {"task": "vectors", "output_dir": tmp_path / "out", **inputs("vectors")}
    settings = config(keep=0.99999, max_steps=3, candidates=1)
    with pytest.raises(
        TrainingError, match=r"the nearest, L-1_H-16-trimmed-float16, has [\d.]+% of the teacher's score, under"
    ):
        shrink(base(tmp_path / "files"), config=settings, **asked)
    assert "Chosen: none. no candidate keeps what was asked" in (tmp_path / "out" / "report.md").read_text()
    assert not (tmp_path / "out" / "module").exists()
    said = capsys.readouterr().err
    assert "no dev pairs were given: 12 of" in said
    assert "rung 1 of 1, candidate 1 of 1: L-1_H-16-trimmed-float16, 3 steps; about " in said
    with pytest.raises(TrainingError, match="found another; go on with resume=True"):
        shrink(base(tmp_path / "files"), config=settings, **asked)
    with pytest.raises(TrainingError, match=r"found that settings\.keep is 0\.5 and was 0\.99999"):
        shrink(base(tmp_path / "files"), config=replace(settings, keep=0.5), resume=True, **asked)


def test_a_dry_run_tells_the_time_and_leaves_nothing(tmp_path):
    given = {"task": "classify", "train": made_rows("classify", 60)}
    found = shrink(base(tmp_path / "files"), output_dir=tmp_path / "out", config=config(), dry_run=True, **given)
    assert found.module is None
    assert "in rungs: 2 for 3 steps, then 1 for 9 steps; 54 texts; expected to take" in found.table()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task": "clasify"}, InputError, r"wellread shrinks vectors, classify, .*did you mean classify"),
        ({"train": None}, DataError, r"labelled rows were asked for classify; found none; give some as train="),
        (
            {"train": made_rows("classify", 6)},
            DataError,
            "some of 6 rows of .* were to be held out, to score on; that takes",
        ),
        ({"train": [{"text": f"a cat {i}", "label": "x"} for i in range(40)]}, DataError, "found that all 40 are x"),
        ({"task": "vectors"}, InputError, "sentence vectors are learnt of plain texts; found labelled rows as train="),
        ({"task": "vectors", "train": None}, DataError, "sentence vectors are learnt of plain texts; found none"),
        (
            {"config": config(max_size="1kB")},
            ConfigError,
            r"at most 0\.001 MB was asked for; of 2 shapes none is: the smal",
        ),
        (
            {"config": config(min_speed="1000000000/s")},
            ConfigError,
            r"texts/s was asked for; of 2 shapes none is: .*fastest",
        ),
        (
            {"config": config(budget="0.01s", max_steps=0)},
            ConfigError,
            r"a search of 0\.01s was asked for \(budget\); found",
        ),
        ({"module": "default"}, InputError, "a module was to be shrunk; found 'default'"),
    ],
)
def test_what_no_module_can_be_made_of_is_refused(changes, error, message, tmp_path):
    given = {
        "module": base(tmp_path / "files"),
        "task": "classify",
        "train": made_rows("classify", 60),
        "config": config(),
    }
    with pytest.raises(error, match=message):
        shrink(output_dir=tmp_path / "out", **{**given, **changes})


def test_a_teacher_of_another_task_or_of_other_labels_is_refused(tmp_path):
    module = base(tmp_path / "files")
    head = head_for("classify", made_examples("classify", 20), module.checkpoint, finetuning.FinetuneConfig(), ())
    module.checkpoint = with_head(module.checkpoint, head, max_seq_length=32, seed=0)
    given = {"output_dir": tmp_path / "out", "config": config()}
    with pytest.raises(InputError, match="a teacher for tag was expected; found one that is fine-tuned for classify"):
        shrink(module, task="tag", train=made_examples("tag", 40), **given)
    rows = [{**row, "label": f"a new {row['label']}"} for row in made_rows("classify", 40)]
    with pytest.raises(DataError, match=r"the labels animal, person were asked of .* 40 of 40 are others"):
        shrink(module, task="classify", train=rows, **given)
    assert isinstance(head, HeadConfig)


def test_a_sentence_encoder_that_was_fine_tuned_is_a_base_for_other_tasks(tmp_path):
    module = base(tmp_path / "files")
    head = head_for("similarity", made_examples("similarity", 20), module.checkpoint, finetuning.FinetuneConfig(), ())
    module.checkpoint = with_head(module.checkpoint, head, max_seq_length=32, seed=0)
    material = take_material(module, "tag", config(), train=made_examples("tag", 40))
    assert material.is_base
    assert module.checkpoint.head is head


def row(name, score, size, speed=100.0, share=None):
    return Row(
        **{"name": name, "size_bytes": size, "parameters": 1, "speed": speed, "slowest": speed, "fastest": speed},
        **{"precision": "f32", "main": "f1", "score": score, "low": score, "high": score, "steps": 9, "fate": ""},
        **{"share": score if share is None else share, "share_interval": None, "speedup": 1.0},
    )


def test_the_best_score_within_the_bounds_is_taken_or_the_smallest_that_keeps_enough():
    rows = [row("small", 0.8, 10), row("middle", 0.9, 20), row("large", 0.95, 30), row("slow", 0.99, 25, speed=1.0)]
    for bounds, name in (
        (Bounds(), "slow"),
        (Bounds(min_speed=50.0), "large"),
        (Bounds(min_speed=50.0, max_size=25), "middle"),
        (Bounds(min_speed=50.0, keep=0.85), "middle"),
        (Bounds(keep=0.97), "slow"),
    ):
        chosen, failure = choose(rows, bounds)
        assert (chosen.name, failure) == (name, "")
    chosen, failure = choose(rows, Bounds(max_size=15, keep=0.9))
    assert chosen is None
    assert failure.startswith("no candidate keeps what was asked; the nearest, slow, has 0.000 MB, over 0.000 MB")
