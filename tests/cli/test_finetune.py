"""wellread finetune, run as a person runs it."""

from __future__ import annotations

import json
import shutil

import pytest
from learn.made_lessons import made_module, made_rows
from verbs import run_verb

import wellread
from wellread.learn.checkpoints import checkpoints

FLAGS = "--max-seq-length 12 --learning-rate 5e-3 --num-train-epochs 2 --bf16 false --backend torch".split()


def run(*arguments, code=0):
    return run_verb("finetune", *arguments, code=code)


@pytest.fixture
def module(tmp_path):
    made_module(tmp_path / "files").save(tmp_path / "module")
    return "-m", tmp_path / "module", "-o", tmp_path / "out", *FLAGS


@pytest.fixture
def reviews(tmp_path):
    """A file in the form of NSMC."""
    labels = {"animal": 1, "person": 0}
    lines = [f"{i}\t{row['text']}\t{labels[row['label']]}\n" for i, row in enumerate(made_rows("classify", 128))]
    (tmp_path / "train.tsv").write_text("".join(["id\tdocument\tlabel\n", *lines]))
    return tmp_path / "train.tsv"


def test_a_module_is_made_and_scored(module, reviews, tmp_path):
    said = run("classify", reviews, "--format", "nsmc", "--dev", reviews, *module).splitlines()
    assert said[:2] == [f"module: {tmp_path / 'out'}", f"log: {tmp_path / 'out-run' / 'log.jsonl'}"]
    assert [line.split(":")[0] for line in said[2:]] == ["loss", "accuracy", "macro_f1", "matthews"]
    made = wellread.load(tmp_path / "out")
    assert made.checkpoint.head.labels == ("0", "1")
    assert made.provenance["settings"]["loop"]["num_train_epochs"] == 2
    assert str(tmp_path) not in (tmp_path / "out" / "wellread.json").read_text()
    assert "classify" in (tmp_path / "out" / "README.md").read_text()


def test_columns_and_labels_are_flags_and_json_is_printed(module, reviews, tmp_path):
    columns = ("--text", "document", "--label", "label", "--labels", "1,0", "--run-dir", tmp_path / "elsewhere")
    said = json.loads(run("classify", reviews, *columns, *module, "--dtype", "float16", "--json"))
    assert said.pop("loss") > 0
    assert said == {"output": str(tmp_path / "out"), "scores": {}}
    made = wellread.load(tmp_path / "out")
    assert made.checkpoint.head.labels == ("1", "0")
    assert made.info()["stored_as"] == ["float16"]
    assert (tmp_path / "elsewhere" / "log.jsonl").exists()


def test_a_run_goes_on(module, reviews, tmp_path):
    arguments = ("classify", reviews, "--format", "nsmc", *module, "--save-steps", "3")
    run(*arguments)
    whole = wellread.load(tmp_path / "out").checkpoint.arrays()
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(max(checkpoints(tmp_path / "out-run")))  # the run was killed before its last checkpoint
    assert "found checkpoint-6 of another; resume it with" in run(*arguments, code=3)
    run(*arguments, "--resume")
    assert "found that it exists" in run(*arguments, "--resume", code=3)
    run(*arguments, "--overwrite")  # a run of its own again, to the same module
    again = wellread.load(tmp_path / "out").checkpoint.arrays()
    assert all((array == again[name]).all() for name, array in whole.items())


def test_tags_of_conll_are_learnt(module, tmp_path):
    rows = [zip(row["text"], row["tags"], strict=True) for row in made_rows("tag", 48)]
    (tmp_path / "train.conll").write_text("\n\n".join("\n".join(map("\t".join, row)) for row in rows))
    run("tag", tmp_path / "train.conll", *module)
    assert wellread.load(tmp_path / "out").checkpoint.head.labels == ("B-LC", "B-PS", "O")


def test_answers_of_korquad_are_compared_by_its_rules(module, tmp_path):
    qas = [
        {"context": row["pair"], "qas": [{"id": str(i), "question": row["text"], "answers": row["answers"]}]}
        for i, row in enumerate(made_rows("answer", 48))
    ]
    (tmp_path / "train.json").write_text(json.dumps({"data": [{"paragraphs": qas}]}))
    said = run("answer", tmp_path / "train.json", "--format", "korquad", "--dev", tmp_path / "train.json", *module)
    assert "exact_match: " in said
    assert wellread.load(tmp_path / "out").provenance["settings"]["rules"] == "korquad"


def test_an_output_that_exists_is_refused_before_any_work(module, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").touch()
    said = run("classify", tmp_path / "none.tsv", *module, code=3)
    assert said.startswith(f"wellread: {tmp_path / 'out'} was to be written; found that it exists;")
    assert not (tmp_path / "out-run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--label", "lable"), "a column lable was asked of "),
        (("--pair", "document"), "labels were asked of "),
        (("--label", "label", "--labels", "0,2"), "the labels 0, 2 were asked of "),
        (
            ("--label", "label", "--max-seq-length", "99"),
            "rows of max_seq_length 99 were asked for; the position table",
        ),
        (
            ("--label", "label", "--keep-best"),
            "the best of several evaluations was asked for; found no examples",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_line(module, reviews, tmp_path, flags, message):
    said = run("classify", reviews, "--text", "document", *module, *flags, code=3)
    assert said.startswith(f"wellread: {message}")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_task_is_refused(module, reviews):
    assert "'classfy' is not one of 'classify', 'pair', 'similarity'" in run("classfy", reviews, *module, code=2)
