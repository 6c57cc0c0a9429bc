"""wellread search, run as a person runs it."""

from __future__ import annotations

import datetime
import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tiny import tiny_module

import wellread
from wellread.cli.main import group

TEXTS = ["a man is playing the guitar .", "the cat", "[bold]paris[/bold] ,\n france !", "a woman runs"]
DAY = datetime.date(2026, 1, 2)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("search")
    tiny_module(place / "files").save(place / "module")
    module = wellread.load(place / "module", backend="numpy")
    vectors = module.encode(TEXTS)
    columns = {"id": [7, None, 8, 9], "text": TEXTS, "day": [DAY] * 4, "embedding": list(vectors)}
    pq.write_table(pa.table(columns), place / "vectors.parquet")
    np.save(place / "vectors.npy", vectors)
    np.save(place / "bits.npy", np.packbits(vectors > 0, axis=1))
    np.save(place / "packed.npy", (np.packbits(vectors > 0, axis=1).astype(int) - 128).astype(np.int8))
    pq.write_table(pa.table(columns).replace_schema_metadata({"wellread.fingerprint": "ab"}), place / "other.parquet")
    (place / "texts.txt").write_text("the cat\na woman\n")
    return place


@pytest.fixture
def run(place, monkeypatch):
    monkeypatch.chdir(place)

    def run(*arguments, given=None, code=0):
        options = ["-m", "module", "--backend", "numpy"]
        done = CliRunner().invoke(group, ["search", *map(str, arguments), *options], input=given)
        assert done.exit_code == code, done.output
        return done.output

    return run


def test_json_is_what_the_module_finds(run, place):
    hits = wellread.load(place / "module", backend="numpy").search("the cat", place / "vectors.parquet", 2)
    printed = [json.loads(line) for line in run("the cat", "vectors.parquet", "-k", 2, "--json").splitlines()]
    assert printed == [{"query": "the cat", **hit, "day": "2026-01-02"} for hit in hits]
    assert printed[0]["corpus_id"] == 1
    assert printed[0]["score"] == pytest.approx(1, abs=1e-5)


def test_a_table_has_a_line_a_hit(run):
    lines = run("the cat", "vectors.parquet").splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["score", "row"], ["1.0000", "1"]]
    assert len(lines) == 1 + len(TEXTS)
    (paris,) = [line for line in lines if "paris" in line]
    assert "8" in paris.split()
    assert "[bold]paris[/bold] , france !" in paris
    lines = run("the cat", "vectors.parquet", "--show", "text, id", "--top-k", 1).splitlines()
    assert lines[0].split() == ["score", "row", "text", "id"]
    assert lines[1].split() == ["1.0000", "1", "the", "cat"]  # no id there
    assert run("the cat", "vectors.npy", "--top-k", 1).splitlines()[1].split() == ["1.0000", "1"]


def test_queries_are_arguments_lines_and_files(run):
    lines = [line.strip() for line in run("the cat", "a woman", "vectors.parquet", "-k", 1).splitlines()]
    assert (len(lines), lines[0], lines[3]) == (6, "the cat", "a woman")  # a title, a head and a hit each
    for arguments, given in ((["the cat", "a woman"], None), (["-"], "the cat\na woman\n"), (["texts.txt"], None)):
        lines = run(*arguments, "vectors.parquet", "--json", "-k", 1, given=given).splitlines()
        assert [json.loads(line)["query"] for line in lines] == ["the cat", "a woman"]
    assert run("-", "vectors.parquet", given="") == ""


def test_bits_are_compared_and_given_new_scores(run):
    line = run("the cat", "bits.npy", "-k", 1, "--json")
    assert json.loads(line)["score"] == 1
    assert run("the cat", "packed.npy", "--corpus-precision", "binary", "-k", 1, "--json") == line
    arguments = ["a man", "bits.npy", "-k", 1, "--json", "--rescore", "vectors.npy", "--rescore-multiplier", "4"]
    assert run(*arguments) == run("a man", "vectors.npy", "-k", 1, "--json")


def test_errors_name_options(run):
    assert "make vectors of its texts first: wellread embed texts.txt -o vectors.parquet" in run(
        "a", "texts.txt", code=3
    )
    assert "name the column as --vector-column, or" in run("a", "vectors.parquet", "--vector-column", "e", code=3)
    assert "load the module that made them, or pass --ignore-fingerprint" in run("a", "other.parquet", code=3)
    assert run("the cat", "other.parquet", "--ignore-fingerprint", "-k", 1).splitlines()[1].split()[1] == "1"
    assert "found id, text, day (did you mean text?)" in run("a", "vectors.parquet", "--show", "txt", code=3)
    assert "Invalid value for '-k' / '--top-k'" in run("a", "vectors.parquet", "-k", 0, code=2)
    assert "Missing argument 'QUERIES...'" in run("vectors.parquet", code=2)
    assert "found 8 numbers in the query" in run("a", "vectors.parquet", "--truncate-dim", 8, code=3)


def test_a_fault_of_the_vectors_is_said_before_the_module_is_loaded(place, monkeypatch):
    monkeypatch.chdir(place)
    done = CliRunner().invoke(group, ["search", "a", "nothing.parquet", "-m", "no/such/module"])
    assert (done.exit_code, "there is no such file" in done.output) == (3, True)


def test_a_person_sees_lines_that_end_at_the_edge(place, monkeypatch, capsys):
    from wellread.cli import search as verb

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda **_: os.terminal_size((30, 24)))
    verb._show("q", [{"corpus_id": 12345678, "score": 0.25, "text": "word " * 20}])
    lines = [re.sub("\x1b.*?m", "", line) for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 30
    assert lines[-1].split()[:2] == ["0.2500", "12345678"]
    assert len(lines) == 3  # a title, a head and a hit
