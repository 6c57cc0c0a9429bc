"""SQuAD's JSON."""

from __future__ import annotations

import json

import pytest

from wellread.data.tables import format_of, read_rows, table_of
from wellread.errors import DataError


def read_squad(path, kind=None):
    return table_of(read_rows(path, format_of(path, kind=kind)), str(path))


QUESTION = {"id": 7, "question": "어디?", "answers": [{"text": "한강", "answer_start": 0}]}


def squad(*questions):
    return json.dumps({"version": "1", "data": [{"paragraphs": [{"context": "한강은 강이다.", "qas": questions}]}]})


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_questions_are_rows(tmp_path, mark):
    path = tmp_path / "a.json"
    path.write_text(mark + squad(QUESTION, {**QUESTION, "id": "8", "answers": [], "is_impossible": True}), "utf-8")
    table = read_squad(path)
    assert table.columns["id"] == ["7", "8"]
    assert table.columns["question"] == ["어디?"] * 2
    assert table.columns["context"] == ["한강은 강이다."] * 2
    assert table.columns["answers"] == [[{"text": "한강", "answer_start": 0}], []]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "SQuAD's JSON was asked of .*; it cannot be read"),
        ("[]", "it holds a list, not an object"),
        ('{"dat": []}', "was asked of .*; found another form: KeyError 'data'; convert the file"),
        ('{"data": [3]}', "found another form: TypeError"),
        (squad({"id": 1, "question": "?"}), "KeyError 'answers'"),
        (squad(), "questions were asked of .*; it holds none"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_squad(tmp_path / "a.json", "squad")
