"""CoNLL files: KLUE's characters, CoNLL-2003's words."""

from __future__ import annotations

import pytest

from wellread.data.formats import Format
from wellread.data.tables import read_rows, table_of
from wellread.errors import DataError


def read(directory, text, comment=""):
    (directory / "a.conll").write_bytes(text.encode())
    path = directory / "a.conll"
    return table_of(read_rows(path, Format(kind="conll", comment=comment)), str(path))


def test_tabs_keep_a_token_that_is_a_space(tmp_path):
    table = read(tmp_path, "## a\tb\n\n## id\r\n서\tB-LC\n \tO\n#\tO\n\n\n## id\n나\tO", comment="## ")
    assert table.columns == {"tokens": [["서", " ", "#"], ["나"]], "tags": [["B-LC", "O", "O"], ["O"]]}
    assert table.lines == [4, 10]


def test_white_space_and_documents(tmp_path):
    table = read(tmp_path, "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects  VBZ I-VP O\n \nGo VB I-VP O\n")
    assert table.columns["tokens"] == [["EU", "rejects"], ["Go"]]
    assert table.columns["tags"] == [["B-ORG", "O"], ["O"]]


def test_documents_of_a_file_with_tabs_are_passed_over(tmp_path):
    assert read(tmp_path, "-DOCSTART-\tO\n\na\tO\n").columns["tokens"] == [["a"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a\tO\nb\nc\tx\tO\n",
            "2 columns, .*, separated by tabs, were asked of .*; 2 rows are not so, lines 2, 3; mend them",
        ),
        ("a O\nb\n", "separated by white space, were asked of .*; 1 rows are not so, line 2"),
        ("a\nb\n", "2 columns, .*; 2 rows are not so, lines 1, 2"),
        ("a\tO\nb\t\n", "1 rows are not so, line 2"),
        ("# a\n", "it holds no row; check the file"),
        ("# a\nb\tO\n# c\nd\n", "1 rows are not so, line 4"),
    ],
)
def test_broken_rows_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, comment="# ")
