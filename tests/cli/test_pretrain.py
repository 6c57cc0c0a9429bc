"""wellread pretrain, run as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tiny import PIECES, tiny_module
from verbs import run_verb

import wellread

TEXT = "a man is playing the guitar .\nthe cat sleeps !\nA woman runs , paris\n" * 8
QUICK = "--max-steps 2 --save-steps 0 --bf16 false --max-seq-length 16 --tokens-per-batch 64".split()
SHAPE = {"vocab_size": 99, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 3}
SHAPE |= {"intermediate_size": 17, "max_position_embeddings": 20}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    (tmp_path / "config.json").write_text(json.dumps(SHAPE))
    return tmp_path


def run(*arguments, code=0):
    return run_verb("pretrain", "a.txt", "-o", "out", *QUICK, *arguments, code=code)


def test_a_fresh_module_of_a_configuration(place):
    said = run("--config", "config.json", "--vocab", "vocab.txt", "--lower-case", "--dev", "a.txt")
    assert said.splitlines()[:2] == ["module: out", "log: out-run/log.jsonl"]
    assert [line.partition(":")[0] for line in said.splitlines()[2:]] == [
        "loss",
        "masked_perplexity",
        "masked_accuracy",
    ]
    module = wellread.load(place / "out")
    assert module.tokenizer.config.do_lower_case
    assert module.checkpoint.config.hidden_size == 12
    assert module.provenance["settings"]["loop"]["max_steps"] == 2


def test_a_module_goes_on_and_json_is_printed(place):
    tiny_module(place / "files").save(place / "saved")
    said = json.loads(run("-m", "saved", "--json", "--run-dir", "elsewhere"))
    assert said.pop("loss") > 0
    assert said == {"output": "out"}
    assert (place / "elsewhere" / "log.jsonl").is_file()
    assert (place / "out" / "README.md").read_text().startswith("---")
    assert wellread.load(place / "out").provenance["from"]["handle"] == "saved"


def test_a_table_and_standard_input(place):
    """The same texts give the same module, whatever they stand in."""
    (place / "a.csv").write_text("n,words\n" + "".join(f'7,"{line}"\n' for line in TEXT.splitlines()))
    fresh = ["--config", "config.json", "--train-vocab", "wordpiece", "--vocab-size", "60"]
    for name, file in (("a", "a.txt"), ("b", "a.csv")):
        run_verb("pretrain", file, "-o", name, *QUICK, *fresh)
    stdin = ["-", "--kind", "csv", "--text", "words", "-o", "c"]
    command = [sys.executable, "-m", "wellread.cli.main", "pretrain", *stdin, *QUICK, *fresh]
    with (place / "a.csv").open("rb") as file:
        subprocess.run(command, check=True, stdin=file, env={"PATH": "", "OMP_NUM_THREADS": "1"})
    weights = [wellread.load(place / name).checkpoint.arrays() for name in "abc"]
    assert all((weights[0][key] == other[key]).all() for other in weights[1:] for key in weights[0])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--shape L-2_H-128", "--shape takes one of --vocab and --train-vocab; found 0"),
        ("--config c --vocab v --train-vocab wordpiece", "--config takes one of --vocab and --train-vocab; found 2"),
        ("--shape s --config c --vocab v", "give one of --model, --shape and --config; found 2"),
        ("--shape s --vocab v -m default", "give one of --model, --shape and --config; found 2"),
        ("", "name what is to be trained: --model, --shape or --config; found none; for the English default, --model"),
        ("--vocab v", "--vocab is for --shape and --config; a --model has its own vocabulary"),
    ],
)
def test_beginnings_that_are_none(place, flags, said):
    assert f"Error: {said}" in run(*flags.split(), code=2)


def test_errors_are_one_line(place):
    said = run("--shape", "L-2_H-12", "--vocab", "vocab.txt", code=3)
    assert said.startswith("wellread: the shape 'L-2_H-12' was asked for; it is none of L-2_H-128, ")
    assert said.count("\n") == 1
    (place / "a.txt").write_text("\n")
    said = run("--config", "config.json", "--vocab", "vocab.txt", code=3)
    assert said.startswith("wellread: texts to learn from were asked of a.txt; found 1 texts and in them no token")
