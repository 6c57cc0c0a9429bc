"""wellread evaluate, run as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tiny import tiny_module

NSMC = 'id\tdocument\tlabel\n1\t"""좋다\t1\n2\t\t0\n3\t나쁘다\t0\n4\t"끝\t1\n'
STS = "main\tMSRvid\t2012\t1\t{}\t{}\t{}\n"
SQUAD = {
    "context": "한강은 길다.",
    "qas": [{"id": "q", "question": "?", "answers": [{"text": "한강", "answer_start": 0}]}],
}


def run(*arguments, code=0):
    command = [sys.executable, "-m", "wellread.cli.main", "evaluate", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def nsmc(tmp_path):
    (tmp_path / "dev.tsv").write_text(NSMC, "utf-8")
    (tmp_path / "said.txt").write_text("1\n0\n1\n1\n")
    return tmp_path / "dev.tsv", "--predictions", tmp_path / "said.txt"


def test_labels(nsmc):
    said = run("classify", *nsmc, "--format", "nsmc", "--positive", "1").splitlines()
    assert [line.split()[0] for line in said] == ["accuracy", "macro_f1", "matthews", "f1", "examples"]
    assert said[0].startswith("accuracy    0.7500  [")
    assert said[0].endswith("] at 95 %")
    assert said[-1] == "examples    4"


def test_columns_are_flags_and_json_is_printed(nsmc):
    found = json.loads(run("pair", *nsmc, "--text", "document", "--label", "label", "--json"))
    assert (found["task"], found["examples"]) == ("pair", 4)
    assert found["scores"]["accuracy"]["value"] == 0.75
    assert set(found["scores"]["accuracy"]) == {"value", "low", "high"}


def test_labels_that_do_not_occur_are_named(nsmc, tmp_path):
    (tmp_path / "said.txt").write_text("1\n0\n0\n2\n")
    columns = ("--text", "document", "--label", "label")
    said = run("classify", *nsmc, *columns, code=3)
    assert said.startswith("wellread: the labels 0, 1 were asked of the predictions; 1 of 4 are others, line 4: '2'")
    assert said.count("\n") == 1
    assert "accuracy    0.7500" in run("classify", *nsmc, *columns, "--labels", "0,1,2")


def test_tags_and_a_kind(tmp_path):
    (tmp_path / "a.txt").write_text("서 B-LC\n울 I-LC\n\n김 B-PS\n", "utf-8")
    (tmp_path / "p.conll").write_text("서 B-LC\n울 I-LC\n\n김 O\n", "utf-8")
    said = run("tag", tmp_path / "a.txt", "--kind", "conll", "--predictions", tmp_path / "p.conll")
    assert "recall      0.5000" in said


def test_numbers_of_another_column(tmp_path):
    (tmp_path / "sts.tsv").write_text("".join(STS.format(i, "a", "b") for i in range(4)), "utf-8")
    (tmp_path / "p.csv").write_text("cosine\n.1\n.2\n.4\n.3\n")
    arguments = ("--format", "korsts", "--predictions", tmp_path / "p.csv", "--prediction", "cosine")
    assert "spearman    0.8000" in run("similarity", tmp_path / "sts.tsv", *arguments)


def test_answers_are_scored_by_the_rules_of_their_format(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"paragraphs": [SQUAD]}]}))
    (tmp_path / "p.json").write_text('{"q": "한강은"}', "utf-8")
    arguments = ("answer", tmp_path / "a.json", "--predictions", tmp_path / "p.json")
    assert "f1          0.8000" in run(*arguments, "--format", "korquad")
    assert "f1          0.0000" in run(*arguments)


def test_a_module_on_stsb(tmp_path):
    tiny_module(tmp_path / "files").save(tmp_path / "module")
    rows = [
        STS.format(score, *pair) for score, pair in enumerate([("a man", "a cat"), ("paris", "the"), ("a", "runs")])
    ]
    (tmp_path / "sts.csv").write_text("".join(rows), "utf-8")
    found = json.loads(run("stsb", tmp_path / "sts.csv", "-m", tmp_path / "module", "--json"))
    assert set(found) == {"spearman", "pearson", "low", "high", "pairs"}
    assert run("stsb", tmp_path / "sts.csv", "-m", tmp_path / "module").splitlines()[-1] == "pairs    3"


def test_a_module_on_another_format(tmp_path):
    tiny_module(tmp_path / "files").save(tmp_path / "module")
    (tmp_path / "a.tsv").write_text("index\tsentence1\tb\tscore\n0\ta man\ta cat\t1\n1\tparis\tthe\t2\n", "utf-8")
    arguments = ("--format", "glue-stsb", "--pair", "b", "-m", tmp_path / "module")
    assert run("stsb", tmp_path / "a.tsv", *arguments).splitlines()[-1] == "pairs    2"


def test_a_module_and_predictions_exclude_each_other(nsmc):
    wrong = (
        ("classify", nsmc[0]),
        ("stsb", *nsmc),
        ("classify", *nsmc, "--model", "default"),
        ("stsb", nsmc[0], "--positive", "1"),
    )
    for arguments in wrong:
        said = run(*arguments, code=2)
        assert "stsb scores a module, without --predictions and what belongs to them; every other task" in said
