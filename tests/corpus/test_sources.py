"""The rows of files as tables: which files, which columns, and what is refused instead of altered."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wellread.corpus import sources
from wellread.corpus.sources import Columns, Corpus, corpus_files
from wellread.errors import DataError


def write_json(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def write_parquet(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 4 rows."""
    monkeypatch.setattr(sources, "WINDOW", 4)


def test_what_is_no_text_is_given_as_it_is(tmp_path: Path) -> None:
    cells: list[Any] = ["a", None, 5, {"x": 1}, True, ["x", "y"], "5", "[1]"]
    corpus = Corpus([write_json(tmp_path / "a.jsonl", [{"text": cell} for cell in cells])], Columns())
    table = corpus.read(10)
    assert corpus.texts(table) == ["a", None, 5, {"x": 1}, True, "x y", "5", "[1]"]
    kept = ["a", None, "5", '{"x": 1}', "true", '["x", "y"]', "5", "[1]"]
    assert table.column("text").to_pylist() == kept


def test_what_is_no_text_is_known_in_any_window_and_file(tmp_path: Path, window: None) -> None:
    texts = ["a", "b", "c", "d", "e", 5, "f"]
    files = [
        write_json(tmp_path / "a.jsonl", [{"text": text} for text in texts]),
        write_parquet(tmp_path / "b.parquet", text=["g", None]),
        write_json(tmp_path / "c.jsonl", [{"text": 6}]),
    ]
    corpus = Corpus(files, Columns())
    tables = [corpus.read(6), corpus.read(6)]
    assert [corpus.texts(table) for table in tables] == [["a", "b", "c", "d", "e", 5], ["f", "g", None, 6]]


def test_a_file_of_numbers_behind_one_of_texts_is_refused(tmp_path: Path) -> None:
    first = write_parquet(tmp_path / "a.parquet", text=["a"])
    for numbers in ([5], [0.5], [True]):
        second = write_parquet(tmp_path / "b.parquet", text=numbers)
        with pytest.raises(DataError, match=r"texts were asked of the column text of .*b.parquet; found .*; name"):
            Corpus([first, second], Columns())
    nulls = write_parquet(tmp_path / "c.parquet", text=pa.nulls(1))
    corpus = Corpus([first, nulls], Columns())
    assert corpus.texts(corpus.read(9)) == ["a", None]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (4, 4.9),
        ({"a": 1}, {"b": 2}),
        ({"a": 1}, {"a": 1.5}),
        ([1], [1.5]),
        (1, True),
        (True, 1),
        (1, "1"),
        (2.5, 2**53 + 1),
    ],
)
def test_columns_of_json_are_not_altered_where_later_rows_have_another_type(
    tmp_path: Path, window: None, before: object, after: object
) -> None:
    rows = [{"text": "a", "kept": cell} for cell in [before] * 5 + [after]]
    corpus = Corpus([write_json(tmp_path / "a.jsonl", rows)], Columns(text="text", keep=("kept",)))
    assert corpus.read(4).column("kept").to_pylist() == [before] * 4
    with pytest.raises(DataError, match=r"columns of one type each were asked of .*; from line 5 on they are not: .*"):
        corpus.read(4)


@pytest.mark.parametrize(
    ("before", "after"), [(2.5, 4), (4, 4.0), ({"a": 1, "b": 2}, {"b": 3}), ([1], []), (1, None), ("a", 5)]
)
def test_what_the_type_of_a_column_of_json_holds_is_kept(
    tmp_path: Path, window: None, before: object, after: object
) -> None:
    rows = [{"text": "a", "kept": cell} for cell in [before] * 4 + [after]]
    corpus = Corpus([write_json(tmp_path / "a.jsonl", rows)], Columns(text="text", keep=("kept",)))
    expected = {"a": None, "b": 3} if isinstance(after, dict) else "5" if before == "a" else after
    assert corpus.read(5).column("kept").to_pylist() == [before] * 4 + [expected]


def test_numbers_of_json_go_into_narrower_columns_of_parquet_where_they_fit(tmp_path: Path) -> None:
    first = write_parquet(tmp_path / "a.parquet", text=["a"], id=pa.array([1], pa.int32()))
    for number, fits in ((7, True), (7.5, False), (2**31, False)):
        second = write_json(tmp_path / "b.jsonl", [{"text": "b", "id": number}])
        corpus = Corpus([first, second], Columns(id="id"))
        if fits:
            assert corpus.read(9).column("id").to_pylist() == [1, number]
            continue
        with pytest.raises(DataError, match="from line 1 on they are not"):
            corpus.read(9)


def test_a_key_that_a_row_lacks_is_null_wherever_it_stands(tmp_path: Path, window: None) -> None:
    rows = [{"text": "a", "id": number} if number % 4 else {"text": "a"} for number in range(9)]
    corpus = Corpus([write_json(tmp_path / "a.jsonl", rows)], Columns(id="id"))
    assert corpus.read(9).column("id").to_pylist() == [None, 1, 2, 3, None, 5, 6, 7, None]
    rows = [{"id": 0}, {"id": 1, "text": "b"}]
    for column in ("text", None):
        corpus = Corpus([write_json(tmp_path / "a.jsonl", rows)], Columns(text=column))
        assert corpus.texts(corpus.read(9)) == [None, "b"]
    with pytest.raises(DataError, match=r"a column ids was asked of .*; it has id, text; .*\(did you mean id\?\)"):
        Corpus([write_json(tmp_path / "a.jsonl", rows)], Columns(id="ids"))


def test_folders_may_lie_below_hidden_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".cache" / "in"
    (folder / ".hidden").mkdir(parents=True)
    (folder / "a.txt").write_text("a\n")
    (folder / ".b.txt").write_text("no\n")
    (folder / ".hidden" / "c.txt").write_text("no\n")
    assert corpus_files([folder]) == [str(folder / "a.txt")]
    monkeypatch.chdir(folder / ".hidden")
    assert corpus_files([".."]) == [os.path.join("..", "a.txt")]
    assert corpus_files(["../../in/"]) == ["../../in/a.txt"]
    monkeypatch.chdir(folder)
    assert corpus_files(["."]) == ["a.txt"]


def test_parquet_files_without_rows_may_stand_anywhere(tmp_path: Path) -> None:
    none = write_parquet(tmp_path / "none.parquet", text=pa.array([], pa.string()))
    some = write_parquet(tmp_path / "some.parquet", text=["a", "b", "c"])
    files = [none, some, none, some, none]
    corpus = Corpus(files, Columns())
    assert corpus.texts(corpus.read(9)) == ["a", "b", "c"] * 2
    corpus = Corpus(files, Columns())
    assert corpus.skip(4) == 4
    assert corpus.texts(corpus.read(9)) == ["b", "c"]
    with pytest.raises(DataError, match=r"rows were asked of .*none.parquet; it holds no rows"):
        Corpus([none], Columns())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.csv", "", "it holds 0 empty lines and no other"),
        ("b.csv", "id,text\n", "it holds no rows"),
        (
            "b.csv",
            "id,body\n1,b\n",
            r"a column text was asked of .*b.csv; it has id, body; name one of them with column=",
        ),
        ("b.csv", "ids,text\n1,b\n", r"a column id was asked of .*b.csv; .* with keep= \(did you mean ids\?\)"),
        ("b.jsonl", "", "it holds 0 empty lines and no other"),
        ("b.jsonl", '{"id": 1}\n{"id": 2}\n', r"a column text was asked of .*b.jsonl; it has id;"),
        ("b.txt", "b\n", r"a column id was asked of .*b.txt; it has text;"),
    ],
)
def test_files_without_rows_or_columns_are_refused_before_any_is_read(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text("id,text\n0,a\n")
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        Corpus([str(tmp_path / "a.csv"), str(tmp_path / name)], Columns(id="id"))


def test_parquet_files_of_other_columns_are_refused_before_any_is_read(tmp_path: Path) -> None:
    first = write_parquet(tmp_path / "a.parquet", text=["a"], id=[1])
    second = write_parquet(tmp_path / "b.parquet", text=["b"], ids=[1])
    with pytest.raises(DataError, match=r"a column id was asked of .*b.parquet; it has text, ids; "):
        Corpus([first, second], Columns(id="id"))
    second = write_parquet(tmp_path / "b.parquet", text=["b"], id=[[1]])
    with pytest.raises(DataError, match=r"the columns text, id of the first file's types were asked of .*b.parquet"):
        Corpus([first, second], Columns(id="id"))
