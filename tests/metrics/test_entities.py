"""Entities and their F1 against seqeval's: its recorded answers (1.2.2), and itself where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellread.errors import DataError
from wellread.metrics.entities import count_entities, entities, tagging_f1

CASES = json.loads((Path(__file__).parent / "seqeval_cases.json").read_text("utf-8"))
TAG = st.sampled_from(["O", "B-PS", "I-PS", "B-LC", "I-LC"])


@pytest.mark.parametrize("case", CASES)
def test_f1_is_what_seqeval_said(case):
    true, predicted = ([row.split() for row in case[side]] for side in ("true", "predicted"))
    for mode in ("default", "strict"):
        for average in ("micro", "macro"):
            found = tagging_f1(true, predicted, average=average, strict=mode == "strict")
            assert found == pytest.approx(case[f"{mode} {average}"], abs=1e-11)


@given(st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=8), min_size=1, max_size=4))
def test_f1_precision_and_recall_agree_with_seqeval(rows):
    peer = pytest.importorskip("seqeval.metrics")
    true, predicted = ([[pair[side] for pair in row] for row in rows] for side in (0, 1))
    counts = count_entities(true, predicted)
    for score, found in (("f1", counts.f1()), ("precision", counts.precision()), ("recall", counts.recall())):
        assert found == pytest.approx(getattr(peer, f"{score}_score")(true, predicted, zero_division=0))


@pytest.mark.parametrize(
    ("tags", "default", "strict"),
    [
        ("B-PS I-PS I-PS", ["PS 0 3"], ["PS 0 3"]),
        ("B-PS B-PS", ["PS 0 1", "PS 1 2"], ["PS 0 1", "PS 1 2"]),
        ("O I-PS I-PS O", ["PS 1 3"], []),
        ("B-PS I-LC I-LC", ["PS 0 1", "LC 1 3"], ["PS 0 1"]),
        ("B-PS I-LC I-PS", ["PS 0 1", "LC 1 2", "PS 2 3"], ["PS 0 1"]),
        ("B-A-B I-A-B", ["A-B 0 2"], ["A-B 0 2"]),
        ("O O", [], []),
    ],
)
def test_entities(tags, default, strict):
    for expected, mode in ((default, False), (strict, True)):
        found = entities(tags.split(), strict=mode)
        assert [f"{entity.kind} {entity.start} {entity.stop}" for entity in found] == expected


def test_precision_and_recall():
    counts = count_entities([["B-PS", "B-LC", "B-LC", "O"]], [["B-PS", "O", "O", "B-LC"]])
    assert (counts.precision(), counts.recall()) == (1 / 2, 1 / 3)
    assert counts.f1() == pytest.approx(2 / 5)
    assert counts.macro_f1() == 1 / 2  # 1 for PS, 0 for LC


def test_no_entities_score_0():
    counts = count_entities([["O"]], [["O"]])
    assert (counts.f1(), counts.macro_f1(), counts.precision(), counts.recall()) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([], [], "takes as many tagged sentences twice; found 0 and 0; match them"),
        ([["O"]], [["O"], ["O"]], "found 1 and 2"),
        (
            [["O"], ["O", "O"]],
            [["O"], ["O"]],
            r"1 sentences differ, the first are 1 \(from 0\): sentence 1 has 2 tags and 1 ",
        ),
        ([["B-PS", "LC"]], [["O", "O"]], "as O, B-TYPE and I-TYPE; found LC beside B-PS, O; convert the tags"),
        ([["O", "B-"]], [["O", "O"]], "found B- beside O"),
        ([["B-PS"]], [["PS-B"]], "found PS-B beside B-PS"),
        ([["O-PS"]], [["O"]], "found O-PS"),
    ],
)
def test_tags_that_cannot_be_scored_are_refused(true, predicted, message):
    with pytest.raises(DataError, match=message):
        tagging_f1(true, predicted)


def test_another_average_is_refused():
    with pytest.raises(DataError, match="'weighted' was asked of tagging F1; it has micro and macro"):
        tagging_f1([["O"]], [["O"]], average="weighted")
