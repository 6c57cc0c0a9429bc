"""wellread rank, run as a person runs it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from heads import headed_module

import wellread
from wellread.cli import rank as verb

QUERY = "the cat sleeps"
DOCUMENTS = ["a man is playing the guitar .", "the cat", "paris , france !", "the cat", "a woman runs", "of"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    place = tmp_path_factory.mktemp("rank")
    headed_module(place / "files", "rank", activation="sigmoid").save(place / "module")
    return place / "module"


def run(model, *arguments, given=None, code=0):
    options = ["-m", str(model), "--backend", "numpy"]
    done = CliRunner().invoke(verb.command, [*map(str, arguments), *options], input=given)
    assert done.exit_code == code, done.output
    return done.output


def expected(saved, top_k=None):
    return wellread.load(saved, backend="numpy").rank(QUERY, DOCUMENTS, top_k, True)


def test_arguments_stdin_and_a_file_agree(saved, tmp_path):
    lines = [f"{hit['score']:.4f}\t{hit['text']}" for hit in expected(saved)]
    (tmp_path / "a.txt").write_text("".join(f"{text}\n" for text in DOCUMENTS))
    (tmp_path / "a.csv").write_text("id,body\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(DOCUMENTS)))
    assert run(saved, QUERY, *DOCUMENTS).splitlines() == lines
    assert run(saved, QUERY, given="\n".join(DOCUMENTS)).splitlines() == lines
    assert run(saved, QUERY, tmp_path / "a.txt").splitlines() == lines
    assert run(saved, QUERY, tmp_path / "a.csv", "--text", "body").splitlines() == lines


def test_json_and_a_file_of_lines(saved, tmp_path):
    lines = [json.loads(line) for line in run(saved, QUERY, *DOCUMENTS, "--json", "-k", "3").splitlines()]
    assert lines == expected(saved, 3)
    assert run(saved, QUERY, *DOCUMENTS, "--top-k", "3", "-o", tmp_path / "out.jsonl") == ""
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == lines


@pytest.mark.parametrize("top_k", [None, 2])
def test_windows_of_documents_are_one_ranking(saved, monkeypatch, top_k):
    monkeypatch.setattr(verb, "WINDOW", 2)
    count = [] if top_k is None else ["--top-k", top_k]
    found = [json.loads(line) for line in run(saved, QUERY, *DOCUMENTS, "--json", *count).splitlines()]
    assert [hit["corpus_id"] for hit in found] == [hit["corpus_id"] for hit in expected(saved, top_k)]
    assert [hit["score"] for hit in found] == pytest.approx([hit["score"] for hit in expected(saved, top_k)])


def test_a_file_in_the_place_of_the_query_is_refused(saved, tmp_path):
    (tmp_path / "a.txt").write_text("the cat\n")
    assert "found the file" in run(saved, tmp_path / "a.txt", QUERY, code=2)


def test_without_documents_nothing_is_printed(saved):
    assert run(saved, QUERY, given="") == ""
    assert "Invalid value for '-k' / '--top-k'" in run(saved, QUERY, "a", "--top-k", "0", code=2)
    assert "Missing argument 'QUERY'" in run(saved, code=2)
