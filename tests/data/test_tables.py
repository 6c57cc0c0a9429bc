"""Files of rows of every kind: what is read, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wellread.data import tables
from wellread.data.examples import column, table_of
from wellread.data.formats import Format
from wellread.data.tables import at, format_of, read_bytes, read_lines, read_rows
from wellread.errors import DataError


def written(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_bytes(text.encode())
    return path


def read(path, **options):
    form = Format(kind=options.pop("kind", format_of(path).kind), **options)
    return table_of(read_rows(path, form), str(path))


def tsv(directory, text, names=(), surplus=False):
    return read(written(directory, "a.tsv", text), names=names, surplus=surplus)


def test_tsv_quotes_nothing(tmp_path):
    table = tsv(tmp_path, 'id\ttext\n1\t"open\n2\t""" three\n3\t\n')
    assert table.columns == {"id": ["1", "2", "3"], "text": ['"open', '""" three', ""]}
    assert list(table.lines) == [2, 3, 4]


def test_lines_end_at_line_feeds_alone(tmp_path):
    text = "\ufefftext\r\na\u2028b\x0bc\r\n가\x85나\r\n\r\n"
    assert tsv(tmp_path, text).columns == {"text": ["a\u2028b\x0bc", "가\x85나"]}


def test_an_empty_line_of_one_column_is_an_empty_text(tmp_path):
    assert tsv(tmp_path, "text\na\n\nb\n").columns == {"text": ["a", "", "b"]}


def test_gzip_is_unpacked(tmp_path):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"text\na\n"))
    assert read_lines(path) == ["text", "a"]
    path.write_bytes(gzip.compress(b"text\na\n")[:-5])
    with pytest.raises(DataError, match=r"a.tsv.gz; it cannot be read: .*; check the file"):
        read_bytes(path)


def test_named_columns_may_have_a_header_and_a_surplus(tmp_path):
    names = ("a", "b")
    assert tsv(tmp_path, "a\tb\n1\t2\n", names).columns == {"a": ["1"], "b": ["2"]}
    table = tsv(tmp_path, "1\t2\tx\n3\t4\n", names, surplus=True)
    assert table.columns == {"a": ["1", "3"], "b": ["2", "4"]}
    assert list(table.lines) == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds 0 empty lines and no other; check the file"),
        ("\n\n", "it holds 2 empty lines and no other"),
        ("a\tb\n", "it holds no rows; check the file"),
        ("a\ta\n1\t2\n", r"names \['a', 'a'\], one of them twice; rename it"),
        (
            "a\tb\n1\n1\t2\n1\t2\t3\n",
            "2 columns were asked of every row .*; 2 of 3 rows have another number, lines 2, 4; the first has 1: '1'",
        ),
        ("a\tb\n" + "x\n" * 9, "9 of 9 rows have another number, lines 2, 3, 4, 5, 6 and 4 more"),
    ],
)
def test_bad_rows_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        tsv(tmp_path, text)


def test_a_surplus_is_refused_where_none_is_named(tmp_path):
    with pytest.raises(DataError, match="1 of 1 rows have another number, line 1; the first has 3: '1 . 2 . 3'"):
        tsv(tmp_path, "1\t2\t3\n", ("a", "b"))


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes("text\n가\n".encode() + "나\n".encode("cp949"))
    with pytest.raises(DataError, match=r"line 3 is not UTF-8 \(byte 9: .*\); convert the file"):
        read_lines(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="none.tsv; it cannot be read: .*No such file"):
        read_lines(tmp_path / "none.tsv")


def test_csv_quotes(tmp_path):
    table = read(written(tmp_path, "a.csv", 'Q,A\r\n"a, ""b""\r\nc",1\r\nd,2\r\n'))
    assert table.columns == {"Q": ['a, "b"\nc', "d"], "A": ["1", "2"]}
    assert list(table.lines) == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'Q,A\na,1\n"b,2\nc,3\n',
            "the row that begins in line 3 cannot be read: .*; close the quotation, or read the file as tsv",
        ),
        ("Q,A\na,1\n\nb,2\n", "1 of 3 rows have another number, line 3; the first has 0"),
    ],
)
def test_bad_csv_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(written(tmp_path, "a.csv", text))


def test_json_lines(tmp_path):
    table = read(written(tmp_path, "a.jsonl", '{"text": "가\\u2028", "y": 1}\n{"y": null, "text": ""}\n'))
    assert table.columns == {"text": ["가\u2028", ""], "y": [1, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n[1]\n', "a JSON object a line was asked of .*; line 2 is none: it holds a list"),
        ('{"a": 1}\n\n{"a": 1}\n', "line 2 is none"),
        ('{"a": 1, "a": 2}\n', "line 1 is none: the key 'a' stands twice"),
        (
            '{"a": 1, "b": 2}\n{"a": 1}\n{"b": 1}\n',
            "the keys a, b were asked .*; 2 of 3 rows lack one, lines 2, 3; the first lacks b; write null",
        ),
    ],
)
def test_bad_json_lines_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(written(tmp_path, "a.jsonl", text))


def test_parquet(tmp_path):
    pq.write_table(pa.table({"text": ["a", None], "tags": [["O"], []]}), tmp_path / "a.parquet")
    table = read(tmp_path / "a.parquet")
    assert table.columns == {"text": ["a", None], "tags": [["O"], []]}
    assert list(table.lines) == [1, 2]


def test_bad_parquet_is_refused(tmp_path):
    with pytest.raises(DataError, match="a Parquet file was asked of .*; it cannot be read: "):
        read(written(tmp_path, "a.parquet", "no Parquet"))
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet; it holds no rows"):
        read(tmp_path / "b.parquet")


def test_a_wrong_column_is_refused_with_the_nearest(tmp_path):
    table = tsv(tmp_path, "id\tdocument\tlabel\n1\ta\t0\n")
    with pytest.raises(
        DataError, match=r"it has id, document, label; name one of them with text= \(did you mean document\?\)"
    ):
        column(table, "documents")


def test_at():
    assert at([3]) == "line 3"
    assert at(range(9), [False, True] * 4 + [True]) == "lines 1, 3, 5, 7, 8"


# -- JSON arrays -------------------------------------------------------------------------------------------------------

ROWS = [{"text": 'a "b" ], [ {', "n": [1, {"x": None}]}, {"text": "가 \\", "n": -7.5e3}, {"text": "", "n": True}]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_read_in_parts_of_any_size(tmp_path, monkeypatch, size, indent):
    monkeypatch.setattr(tables, "CHUNK", size)
    text = "\ufeff \r\n" + json.dumps(ROWS, ensure_ascii=False, indent=indent) + "\n "
    table = read(written(tmp_path, "a.json", text))
    assert table.columns == {key: [row[key] for row in ROWS] for key in ("text", "n")}
    assert list(table.lines) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a JSON array of objects was asked of .*; it is none after item 0: it ends where \[ was to stand; check"),
        ("7", r"after item 0: found '7' where \[ was to stand"),
        ("[]", "it holds no rows; check the file"),
        ('[{"a": 1}', r"after item 1: it ends where ,\] was to stand"),
        ('[{"a": 1},', "after item 1: it ends where item was to stand"),
        ('[{"a": 1},]', "after item 1: Expecting value"),
        ('[{"a": 1} {"a": 2}]', r"after item 1: found '{\"a\": 2}\]' where ,\] was to stand"),
        ('[{"a": 1}] 7', "after item 1: found '7' where end was to stand"),
        ('[{"a": 1}, {"a": ', "after item 1: "),
        ('[{"a": 1}, [2]]', "after item 2: it holds a list, not an object"),
        ('[{"a": 1, "a": 2}]', "after item 1: the key 'a' stands twice"),
        ('[{"a": NaN}]', "after item 1: it holds NaN, which is not JSON"),
        ('[{"a": 1}, {"b": 1}]', "the keys a, b were asked of every row of .*; 2 of 2 rows lack one, lines 1, 2"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(written(tmp_path, "a.json", text), kind="json")


def test_bytes_of_an_array_that_are_not_utf8_are_refused_with_their_place(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_bytes('[{"a": "가'.encode() + b'\xff"}]')
    for size in (1, 5, 1 << 20):
        monkeypatch.setattr(tables, "CHUNK", size)
        with pytest.raises(DataError, match=r"UTF-8 was asked of .*; byte 11 is not UTF-8 \(invalid start byte\); con"):
            read(tmp_path / "a.json")


# -- CoNLL ----------------------------------------------------------------------------------------------------------


def conll(directory, text, comment=""):
    (directory / "a.conll").write_bytes(text.encode())
    path = directory / "a.conll"
    return table_of(read_rows(path, Format(kind="conll", comment=comment)), str(path))


def test_tabs_keep_a_token_that_is_a_space(tmp_path):
    table = conll(tmp_path, "## a\tb\n\n## id\r\n서\tB-LC\n \tO\n#\tO\n\n\n## id\n나\tO", comment="## ")
    assert table.columns == {"tokens": [["서", " ", "#"], ["나"]], "tags": [["B-LC", "O", "O"], ["O"]]}
    assert table.lines == [4, 10]


def test_white_space_and_documents(tmp_path):
    table = conll(tmp_path, "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects  VBZ I-VP O\n \nGo VB I-VP O\n")
    assert table.columns["tokens"] == [["EU", "rejects"], ["Go"]]
    assert table.columns["tags"] == [["B-ORG", "O"], ["O"]]


def test_documents_of_a_file_with_tabs_are_passed_over(tmp_path):
    assert conll(tmp_path, "-DOCSTART-\tO\n\na\tO\n").columns["tokens"] == [["a"]]


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
def test_broken_rows_of_conll_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        conll(tmp_path, text, comment="# ")


# -- SQuAD ----------------------------------------------------------------------------------------------------------


def read_squad(path, kind=None):
    return table_of(read_rows(path, format_of(path, kind=kind)), str(path))


QUESTION = {"id": 7, "question": "어디?", "answers": [{"text": "한강", "answer_start": 0}]}


def squad(*questions):
    return json.dumps({"version": "1", "data": [{"paragraphs": [{"context": "한강은 강이다.", "qas": questions}]}]})


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_questions_of_squad_are_rows(tmp_path, mark):
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
def test_files_that_are_no_squad_are_refused(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_squad(tmp_path / "a.json", "squad")
