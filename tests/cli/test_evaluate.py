"""wellread evaluate, run as a person runs it."""

from __future__ import annotations

import json

import pytest
from heads import headed_module
from tiny import tiny_module
from verbs import run_verb

NSMC = 'id\tdocument\tlabel\n1\t"""좋다\t1\n2\t\t0\n3\t나쁘다\t0\n4\t"끝\t1\n'
STS = "main\tMSRvid\t2012\t1\t{}\t{}\t{}\n"
SQUAD = {
    "context": "한강은 길다.",
    "qas": [{"id": "q", "question": "?", "answers": [{"text": "한강", "answer_start": 0}]}],
}


def run(*arguments, code=0):
    return run_verb("evaluate", *arguments, code=code)


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


def test_flags_that_do_not_belong_together_are_refused(nsmc):
    wrong = (
        (("stsb", *nsmc), "predictions are scored without a module; found --predictions"),
        (("classify", *nsmc, "--model", "default"), "predictions are scored without a module; found --model"),
        (("stsb", nsmc[0], "--positive", "1"), "stsb scores a module; found --positive"),
        (("mlm", nsmc[0], "--label", "label"), "mlm scores a module; found --label"),
        (("classify", nsmc[0], "--labels", "0,1"), "classify scores a module; found --labels"),
    )
    for arguments, said in wrong:
        assert said in run(*arguments, code=2)


def test_a_module_on_its_own_task(tmp_path):
    headed_module(tmp_path / "files", "classify").save(tmp_path / "module")
    (tmp_path / "dev.csv").write_text("text,label\na man,bad\nthe cat,good\nparis,good\n", "utf-8")
    arguments = (tmp_path / "dev.csv", "--label", "label", "-m", tmp_path / "module", "--backend", "numpy")
    said = run("classify", *arguments, "--positive", "good").splitlines()
    assert [line.split()[0] for line in said] == ["accuracy", "macro_f1", "matthews", "f1", "examples"]
    assert json.loads(run("classify", *arguments, "--json"))["examples"] == 3
    (tmp_path / "dev.csv").write_text("text,label\na man,bat\nthe cat,good\n", "utf-8")
    message = run("classify", *arguments, code=3)
    assert "tells bad, fair, good apart" in message
    assert "other labels: bat (1 of 2) (did you mean bad?)" in message


def test_a_module_for_another_task_is_refused_before_the_file_is_read(tmp_path):
    headed_module(tmp_path / "files", "classify").save(tmp_path / "module")
    message = run("tag", tmp_path / "missing.conll", "-m", tmp_path / "module", code=3)
    assert "a score for tag was asked for; this module is fine-tuned for classify" in message


def test_answers_of_a_module_by_the_rules_of_their_format(tmp_path):
    headed_module(tmp_path / "files", "answer").save(tmp_path / "module")
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"paragraphs": [SQUAD]}]}))
    arguments = ("answer", tmp_path / "a.json", "-m", tmp_path / "module", "--backend", "numpy")
    assert run(*arguments, "--format", "korquad").splitlines()[-1] == "examples    1"
    assert json.loads(run(*arguments, "--json"))["task"] == "answer"


def test_masked_words(tmp_path):
    tiny_module(tmp_path / "files").save(tmp_path / "module")
    (tmp_path / "a.txt").write_text("a man is playing the guitar .\nparis , france !\n")
    (tmp_path / "a.csv").write_text('a,b\na man is playing the guitar .,1\n"paris , france !",2\n')
    said = run("mlm", tmp_path / "a.txt", "-m", tmp_path / "module")
    assert [line.split()[0] for line in said.splitlines()] == ["perplexity", "accuracy", "examples"]
    assert said == run("mlm", tmp_path / "a.csv", "--text", "a", "-m", tmp_path / "module")
