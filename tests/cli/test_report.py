"""wellread report, run as a person runs it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from heads import headed_module
from verbs import run_verb

from wellread.cli import report as report_verb

TSV = "text\tlabel\n" + "a man runs\tgood\na cat sleeps\tbad\n" * 10
LOG = {"step": 2, "epoch": 0, "loss": 0.5, "learning_rate": 0.1, "grad_norm": 1.0, "tokens": 7, "seconds": 0.1}
FAST = ("--rounds", 1, "--speed-examples", 3)
FIXED = ("--no-tune", "--bucket", 530_000, "--quantised-megabytes", 0.1)


def run(*arguments, code=0):
    return run_verb("report", *arguments, code=code)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two modules, the second of which lies where its run was; a run alone; a labelled file."""
    place = tmp_path_factory.mktemp("place")
    for name in ("small", "both"):
        headed_module(place / "files", "classify", labels=("bad", "good")).save(place / name)
    (place / "alone-run").mkdir()
    for name in ("both", "alone-run"):
        (place / name / "log.jsonl").write_text(json.dumps(LOG) + "\n")
    (place / "dev.tsv").write_text(TSV)
    return place


CITED = '[[cited]]\nname = "theirs"\nmegabytes = 5\nscore = 85.5\nsource = "a page"\nnote = "test split"\n'


def task_of(place):
    return "--task", "classify", "--dev", place / "dev.tsv", "--label", "label", *FAST


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


PAGES = [f"report{end}" for end in ("-speed.png", "-speed.svg", ".json", ".md", ".png", ".svg")]


def test_modules_and_fasttext(place, tmp_path):
    baseline = ("--baseline", "fasttext", "--train", place / "dev.tsv", *FIXED)
    (tmp_path / "cited.toml").write_text(CITED)
    more = ("--teacher", place / "both", "--cited", tmp_path / "cited.toml", "--compare", "FastText", place / "small")
    said = run(place / "small", *task_of(place), *baseline, *more, "-o", tmp_path / "out")
    assert names_in(tmp_path / "out") == ["curves.png", "curves.svg", *PAGES]
    rows = [line.split("|")[1].strip() for line in said.splitlines() if line.startswith("| ")]
    named = [name for name in rows if not name.startswith("-")]
    assert named == ["name", "both", "small", "FastText 0.1 MB", "theirs †", "FastText", "first", "FastText"]
    assert "share of both" in said
    assert "its speed" in said
    assert "over 3 examples, on " in said
    assert said.splitlines()[-1] == f"report: {tmp_path / 'out'}"
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert data["rows"][3]["parameters"] > 16 * 530_000
    assert data["rows"][1]["size_bytes"] == sum(
        path.stat().st_size for path in (place / "small").rglob("*.*") if path.name != "README.md"
    )
    assert [(pair["first"], pair["second"]) for pair in data["pairs"]] == [("FastText", "small")]
    assert (data["examples"], data["rounds"], data["teacher"]) == (20, 1, "both")


def test_what_is_a_module_and_a_run_counts_as_both(place, tmp_path):
    said = run(place / "both", place / "alone-run", *task_of(place), "-o", tmp_path / "out", "--json")
    assert names_in(tmp_path / "out") == ["curves.png", "curves.svg", *PAGES]
    found = json.loads(said)
    assert [row["name"] for row in found["rows"]] == ["both"]
    assert found["curves"] == {name: {"step": 2, "tokens": 14, "loss": 0.5} for name in ("both", "alone-run")}
    assert found["output"] == str(tmp_path / "out")


def test_runs_alone_need_no_task(place, tmp_path):
    said = run(place / "alone-run", "-o", tmp_path / "out")
    assert said.startswith("alone-run: step 2, tokens 14, loss 0.5000\n")
    assert names_in(tmp_path / "out") == ["curves.png", "curves.svg"]


def test_stsb_scores_plain_vectors(place, tmp_path):
    rows = (("a man", "a cat", 1), ("paris", "the", 2), ("a", "runs", 0))
    (tmp_path / "sts.csv").write_text("".join(f"main\tMSR\t2012\t1\t{score}\t{a}\t{b}\n" for a, b, score in rows))
    said = run(
        "default", place / "small", "--task", "stsb", "--dev", tmp_path / "sts.csv", *FAST, "-o", tmp_path / "out"
    )
    assert "pairs/s" in said
    assert "spearman" in said


def test_flags_that_do_not_belong_together_are_refused(place, tmp_path):
    out = ("-o", tmp_path / "out")
    assert "--task and --dev say what modules are scored on; found small; give both" in run(
        place / "small", *out, code=2
    )
    for given in (task_of(place), ("--compare", "a", "b"), ("--cited", "a.toml")):
        assert "are for modules; found training runs alone" in run(place / "alone-run", *given, *out, code=2)
    said = run(place / "small", *task_of(place), "--dim", 9, "--word-ngrams", 1, *out, code=2)
    assert "--dim, --word-ngrams would be chosen by --tune; add --no-tune, or leave them out" in said
    for half in (("--baseline", "fasttext"), ("--train", place / "dev.tsv")):
        said = run(place / "small", *task_of(place), *half, *out, code=2)
        assert "--baseline is trained on --train, and that is for nothing else; give both, or neither" in said


def test_errors_leave_no_directory(place, tmp_path):
    out = ("-o", tmp_path / "out")
    (tmp_path / "dev.tsv").write_text("text\tlabel\na\tgood\nb\tso-so\n")
    said = run(
        place / "small", "--task", "classify", "--dev", tmp_path / "dev.tsv", "--label", "label", *FAST, *out, code=3
    )
    assert "has other labels: so-so (1 of 2)" in said
    assert said.count("\n") == 1
    assert "wellread finetune" in run("default", *task_of(place), *out, code=3)
    said = run(place / "small", *task_of(place), "--compare", "small", "smal", *out, code=3)
    assert (
        "smal was asked for as a teacher or to be compared; the report has small (did you mean small?); name one"
        in said
    )
    assert not (tmp_path / "out").exists()


def test_a_directory_that_is_there_is_left_alone(place, tmp_path):
    (tmp_path / "mine").write_text("")
    said = run(place / "alone-run", "-o", tmp_path, code=3)
    assert "was to be written; found that it exists; remove it or choose another name" in said
    assert names_in(tmp_path) == ["mine"]


def test_without_matplotlib_the_table_is_written(place, tmp_path, monkeypatch):
    monkeypatch.setattr(report_verb, "find_spec", lambda name: None)
    done = CliRunner().invoke(report_verb.command, [str(place / "alone-run"), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert 'no picture was drawn: matplotlib is not installed; run: pip install "wellread[report]"' in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
    assert "alone-run" in done.stdout
