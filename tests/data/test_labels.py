"""Labels and their ids."""

from __future__ import annotations

import pytest

from wellread.data.examples import LabelMap
from wellread.errors import DataError


def test_the_order_is_that_of_numbers_or_letters():
    assert LabelMap.of(["b", "10", "9", "b"]).names == ("10", "9", "b")
    assert LabelMap.of(["10", "-1", "9"]).names == ("-1", "9", "10")


def test_a_map_comes_back_as_it_was_saved(tmp_path):
    labels = LabelMap(names=("긍정", "부정"))
    labels.save(tmp_path / "labels.json")
    assert LabelMap.read(tmp_path / "labels.json") == labels
    assert "긍정" in (tmp_path / "labels.json").read_text("utf-8")


def test_labels_that_are_not_known_are_refused():
    known = LabelMap(names=("entailment", "neutral"))
    with pytest.raises(
        DataError,
        match=r"the labels entailment, neutral were asked of the labels; 2 of 3 are others, lines 1, 3: "
        r"'entailmnt', 'x' \(did you mean entailment\?\); mend them, or name all labels",
    ):
        known.ids(["entailmnt", "neutral", "x"])
    with pytest.raises(DataError, match="asked of a.tsv; 1 of 1 are others, line 12: 'x'; mend"):
        known.ids(["x"], source="a.tsv", lines=[12])


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_a_map_without_labels_or_with_one_twice_is_refused(names):
    with pytest.raises(DataError, match="a label map takes labels that differ; found"):
        LabelMap(names=names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "a label map was asked of .*; it cannot be read"),
        ('{"labels": [0, 1]}', r"a list of labels was asked of .*; found \[0, 1\]; save it anew"),
        ("{}", "found None"),
    ],
)
def test_bad_maps_are_refused(tmp_path, text, message):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(DataError, match=message):
        LabelMap.read(tmp_path / "labels.json")


def test_a_missing_map_is_refused(tmp_path):
    with pytest.raises(DataError, match="it cannot be read: .*No such file"):
        LabelMap.read(tmp_path / "none.json")
