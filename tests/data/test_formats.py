"""Known formats: every row is whole, and wrong names are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from wellread.data.formats import ENDINGS, Format, formats, kind_of, known_format
from wellread.errors import DataError
from wellread.metrics.spans import RULES


@pytest.mark.parametrize("name", formats())
def test_a_format_is_whole(name):
    form = formats()[name]
    assert form.source.startswith("https://")
    assert form.rules in RULES
    assert not form.names or set(form.roles.values()) <= set(form.names)
    assert set(form.roles) & {"label", "score", "tags", "answers"}


def test_kinds_by_ending():
    assert [kind_of(Path(f"a{ending}")) for ending in ENDINGS] == list(ENDINGS.values())
    assert kind_of(Path("a.json")) == "squad"
    assert kind_of(Path("a.tsv.gz")) == "tsv"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            lambda: known_format("nsmcc"),
            r"the format 'nsmcc' was asked for; wellread knows nsmc, .* \(did you mean nsmc\?\)",
        ),
        (lambda: kind_of(Path("a.txt")), "examples were asked of a.txt; wellread knows files that end in .tsv, "),
        (lambda: Format(kind="tsb"), r"the kind 'tsb' was asked for; wellread reads tsv, .* \(did you mean tsv\?\)"),
        (
            lambda: Format(kind="tsv", columns={"lable": "y"}),
            r"for lable; examples have id, text, .* \(did you mean label\?\)",
        ),
    ],
)
def test_wrong_names_are_refused(asked, message):
    with pytest.raises(DataError, match=message):
        asked()
