"""Known formats: every row is whole, and wrong names are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from wellread.data.formats import ENDINGS, Format, formats, kind_of, known_format
from wellread.data.tables import format_of
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
    assert [kind_of(f"a.B{ending.upper()}.gz") for ending in ENDINGS] == list(ENDINGS.values())
    assert kind_of("a.ndjson") == "jsonl"
    assert kind_of("-") == "txt"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"version": "1", "data": [{"paragraphs": []}]}', "squad"),
        ('\ufeff[{"text": "a"}]', "json"),
        ('{"text": "a"}\n{"text": "b"}\n', "jsonl"),
        ("", "json"),
    ],
)
def test_a_file_of_json_says_in_its_beginning_what_it_holds(tmp_path, text, kind):
    for name, data in (("a.json", text.encode()), ("a.JSON.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(data)
        assert format_of(tmp_path / name).kind == kind


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            lambda: known_format("nsmcc"),
            r"the format 'nsmcc' was asked for; wellread knows nsmc, .* \(did you mean nsmc\?\)",
        ),
        (
            lambda: kind_of(Path("a.tvs")),
            r"the kind of a.tvs was asked of its name; wellread knows files that end in .txt, .*, all also with .gz; "
            r"name its kind with kind=, .* \(did you mean .tsv\?\)",
        ),
        (lambda: kind_of("notes"), "the kind of notes was asked of its name"),
        (lambda: Format(kind="tsb"), r"the kind 'tsb' was asked for; wellread reads txt, .* \(did you mean tsv\?\)"),
        (
            lambda: Format(kind="tsv", columns={"lable": "y"}),
            r"for lable; examples have id, text, .* \(did you mean label\?\)",
        ),
    ],
)
def test_wrong_names_are_refused(asked, message):
    with pytest.raises(DataError, match=message):
        asked()
