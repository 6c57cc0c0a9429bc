"""Arguments that are texts, files or neither; standard input; what pretrain and distill are given."""

from __future__ import annotations

import gzip
import io
import os
import sys
from pathlib import Path

import click
import pytest

from wellread.cli.texts import files_of, files_on_disk, reading_of, stream_arguments
from wellread.errors import DataError


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("one\n\ntwo\n")
    Path("b.CSV.gz").write_bytes(gzip.compress(b'id,text\n7,"three,\nfour"\n'))
    Path("folder").mkdir()


def stdin(monkeypatch, data, terminal=False):
    file = io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))
    monkeypatch.setattr(file, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdin", file)


def test_several_files_are_read_in_order():
    assert list(stream_arguments(["a.txt", "b.CSV.gz", "a.txt"], {})) == [
        "one",
        "",
        "two",
        "three,\nfour",
        "one",
        "",
        "two",
    ]


@pytest.mark.parametrize(
    "texts",
    [
        ["a text", "another."],
        ["24 and/or 7 texts"],
        ["a sentence about a.txt, which is a file."],
        ["A man.", "\0", "x" * 100_000],
        ["ends in .com"],
        ["wellread.org", "hello.", "e.g.", "3.14"],
    ],
)
def test_texts_stay_texts(texts):
    assert list(stream_arguments(texts, {})) == texts


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["nosuch.csv"], "nosuch.csv reads as a path, and there is no file there; name files, or send a text"),
        (["a.txt", "b.tx/t", "c.TSV.gz"], "b.tx/t, c.TSV.gz reads as a path, and there is no file there"),
        (["folder/b.parquet"], "no file there"),
        (["a.tvx/"], "no file there"),
        (["b.CSV.g.csv"], r"no file there \(did you mean b.CSV.gz\?\)"),
        (["my reviews.jsonl"], "no file there"),
        (["b.cvs"], r"b.cvs reads as a path, and there is no file there"),
        (["notes.md"], "notes.md reads as a path, and there is no file there"),
        (["Thesis.DOCX"], "Thesis.DOCX reads as a path, and there is no file there"),
        (["*.txt"], r"\*.txt reads as a path, and there is no file there"),
        (["*.foo"], r"\*.foo reads as a path, and there is no file there"),
        (["folder"], "folder reads as a path, and there is a directory; name files"),
        (["./with space"], "no file there"),
    ],
)
def test_paths_of_no_file_are_refused(arguments, found):
    with pytest.raises(DataError, match=found):
        files_of(arguments)


def test_files_beside_texts_are_refused():
    with pytest.raises(click.UsageError, match="found the file a.txt beside the text 'two words'"):
        files_of(["a.txt", "two words"])
    with pytest.raises(click.UsageError, match="--text, --kind: for files alone; found texts"):
        stream_arguments(["two words"], {"text": "a", "kind": "csv", "format_": None})


def test_standard_input_is_lines_unless_a_kind_is_named(monkeypatch):
    stdin(monkeypatch, b"\xef\xbb\xbfone\r\n\r\ntwo")
    assert list(stream_arguments([], {})) == ["one", "", "two"]
    for kind, data in (
        ("csv", b"id,said\n1,one\n"),
        ("jsonl", b'{"id": 1, "said": "one"}\n'),
        ("json", b'[{"id": 1, "said": "one"}]'),
        ("json", b'{"id": 1, "said": "one"}\n'),
    ):
        stdin(monkeypatch, data)
        assert list(stream_arguments(["-"], {"kind": kind})) == ["one"]


def test_nothing_on_standard_input_is_nothing_but_an_empty_file_is_refused(monkeypatch):
    stdin(monkeypatch, b"")
    assert list(stream_arguments(["-"], {})) == []
    Path("empty.txt").touch()
    with pytest.raises(DataError, match="texts were asked of empty.txt; found none; check the files"):
        list(stream_arguments(["empty.txt"], {}))


def test_a_person_at_a_terminal_is_told_what_is_waited_for(monkeypatch):
    stdin(monkeypatch, b"", terminal=True)
    with pytest.raises(click.UsageError, match="give texts, files, or - for lines that you type"):
        files_of([])
    assert files_of(["-"]) == ["-"]
    monkeypatch.setattr(sys, "stdin", None)  # closed, as by <&-
    with pytest.raises(click.UsageError, match="give texts, files"):
        files_of([])


def test_a_pipe_is_a_file_of_no_kind_until_it_is_named():
    os.mkfifo("pipe")
    with pytest.raises(
        DataError, match="the kind of pipe was asked of its name; wellread knows files that end in .txt"
    ):
        list(stream_arguments(["pipe"], {}))


def test_options_are_handed_on_under_the_names_of_the_library():
    assert reading_of({"text": "a", "pair": None, "format_": "nsmc", "other": 1}) == {"text": "a", "format": "nsmc"}


def test_standard_input_becomes_a_file_that_can_be_read_twice(monkeypatch, tmp_path):
    assert files_on_disk([Path("a.txt")], tmp_path / "run", None) == [Path("a.txt")]
    stdin(monkeypatch, b"one\n")
    files = files_on_disk([Path("a.txt"), Path("-")], tmp_path / "run", None)
    assert files == [Path("a.txt"), tmp_path / "run" / "stdin.txt"]
    assert files[1].read_text() == "one\n"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(click.UsageError, match="several processes cannot share standard input"):
        files_on_disk([Path("-")], tmp_path / "run", None)
