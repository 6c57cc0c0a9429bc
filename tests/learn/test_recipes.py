"""The recipes that ship with wellread: what they say, and each of them from the command to a module with a card."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from learn.pupils import METHODS, TEXTS, headed, lively, student_for
from tiny import tiny_checkpoint, tiny_config, tiny_tokenizer

import wellread
from wellread.cli.main import group
from wellread.config import HeadConfig, SentenceConfig
from wellread.data.corpus import read_lines, read_sentences
from wellread.errors import ConfigError, DataError
from wellread.learn.distill.distill import distill
from wellread.learn.settings import (
    RECIPES,
    DistillConfig,
    FinetuneConfig,
    TextConfig,
    VectorsConfig,
    read_finetune_recipe,
    read_recipe,
)
from wellread.module import Module

torch.set_num_threads(1)
SMALL = "--max-seq-length 16 --min-tokens 0 --per-device-train-batch-size 16 --gradient-accumulation-steps 1".split()
SMALL += "--bf16 false --num-train-epochs 2 --logging-steps 1".split()
SHAPE = "--num-hidden-layers 2 --hidden-size 8 --num-attention-heads 2".split()
OWN = {  # of each recipe, beside SMALL
    "default": SHAPE,
    "distilbert": [],
    "distilkobert": [],
    "leaf": SHAPE,
    "minilm": [*SHAPE, "--relation-heads", "4"],
    "well-read": [],
}


def teacher(name: str, place) -> Module:
    """Make a teacher of 12 layers that a recipe can take."""
    checkpoint = tiny_checkpoint(
        tiny_config(num_hidden_layers=12), SentenceConfig(normalize=True, max_seq_length=32), seed=3
    )
    if name == "well-read":
        checkpoint = headed(checkpoint, HeadConfig(task="classify", labels=("bad", "good")))
    return Module(checkpoint=lively(checkpoint), tokenizer=tiny_tokenizer(place))


def test_every_kind_of_file_gives_the_sentences_of_its_texts(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(TEXTS), "utf-8")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"n": 1, "said": text}) + "\n" for text in TEXTS), "utf-8")
    for options in ({}, {"limit": 5, "clauses": 0.5, "seed": 3}):
        expected = read_sentences([tmp_path / "a.txt"], **options)
        assert read_sentences([tmp_path / "a.jsonl"], **options) == expected


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_makes_a_module_with_a_card(tmp_path, name):
    """Whatever file its texts stand in: tables and lines in turn."""
    teacher(name, tmp_path / "files").save(tmp_path / "saved")
    path = tmp_path / f"texts.{('jsonl', 'txt')[RECIPES.index(name) % 2]}"
    lines = TEXTS if path.suffix == ".txt" else [json.dumps({"n": 1, "said": text}) for text in TEXTS]
    path.write_text("\n".join(lines), "utf-8")
    arguments = [str(path), "-m", str(tmp_path / "saved"), "-o", str(tmp_path / "out"), "--json"]
    if name == "well-read":
        student_for("labels", tmp_path / "student files").save(tmp_path / "student")
        arguments += ["--student", str(tmp_path / "student")]
    done = CliRunner().invoke(
        group, ["distill", *arguments, "--recipe", name, *SMALL, *OWN[name]], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    last = json.loads((tmp_path / "out-run" / "log.jsonl").read_text().splitlines()[-1])
    assert said == {"output": str(tmp_path / "out"), "loss": last["loss"]}
    made = wellread.load(tmp_path / "out")
    told = made.provenance
    assert (told["made_by"], told["recipe"], len(told["teacher"]["sha256"])) == ("wellread distill", name, 64)
    assert told["settings"]["method"] == read_recipe(name).distill.method
    assert told["settings"]["max_seq_length"] == made.max_seq_length == 16
    shape = made.checkpoint.config
    for size in ("num_hidden_layers", "hidden_size", "num_attention_heads"):
        assert told["settings"][size] == getattr(shape, size)
    assert told["text"]["split"] is read_recipe(name).text.split
    assert name in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert str(tmp_path) not in (tmp_path / "out" / "wellread.json").read_text("utf-8")
    assert {path.name for path in (tmp_path / "out-run").iterdir()} >= {"log.jsonl", "teacher"}
    layers = {"distilbert": 6, "distilkobert": 3, "well-read": 1}.get(name, 2)
    assert made.checkpoint.config.num_hidden_layers == layers
    if name == "well-read":
        assert made.checkpoint.head.labels == ("bad", "good")
        assert told["student"]["handle"] == "student"


def test_the_settings_are_those_of_the_documents():
    english, korean = read_recipe("distilbert").distill, read_recipe("distilkobert").distill
    assert (english.layers.chosen, korean.layers.chosen) == ([0, 2, 4, 7, 9, 11], [0, 4, 8])
    weights = [(c.layers.kl_weight, c.layers.mlm_weight, c.layers.cosine_weight) for c in (english, korean)]
    assert weights == [(5.0, 2.0, 1.0), (0.33, 0.33, 0.33)]
    rows = [c.loop.per_device_train_batch_size * c.loop.gradient_accumulation_steps for c in (english, korean)]
    assert rows == [128, 6400]
    for config in (english, korean):
        loop = config.loop
        assert (config.temperature, config.min_tokens, config.layers.kl_positions) == (2.0, 12, "all")
        assert (loop.learning_rate, loop.adam_beta2, loop.adam_epsilon) == (5e-4, 0.98, 1e-6)
        assert (loop.warmup_ratio, loop.lr_scheduler_type, loop.max_grad_norm, loop.seed) == (0.05, "linear", 5.0, 56)
        assert config.layers.freeze_positions
    assert not korean.layers.vocab_transform
    assert {name: read_recipe(name).distill.method for name in RECIPES} == {
        "default": "vectors",
        "distilbert": "layers",
        "distilkobert": "layers",
        "leaf": "vectors",
        "minilm": "relations",
        "well-read": "labels",
    }


# -- texts -------------------------------------------------------------------------------------------------------------


def test_pairs_are_read_from_their_columns(tmp_path):
    (tmp_path / "a.tsv").write_text("one\ttwo\tlabel\nthe cat\truns\t1\n a man\t\t0\nparis\tfrance\t0\n", "utf-8")
    texts, pairs = read_lines([tmp_path / "a.tsv"], column="one", pair_column="two")
    assert (texts, pairs) == (["the cat", "paris"], ["runs", "france"])
    assert read_lines([tmp_path / "a.tsv"], column="two")[1] is None


def test_a_limit_draws_whole_lines_that_depend_on_the_seed_alone(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"Line {i}. It stays whole.\n" for i in range(50)), "utf-8")
    first = read_lines([tmp_path / "a.txt"], limit=9, seed=1)[0]
    assert len(first) == 9
    assert first == read_lines([tmp_path / "a.txt"], limit=9, seed=1)[0]
    assert first != read_lines([tmp_path / "a.txt"], limit=9, seed=2)[0]
    assert len(read_lines([tmp_path / "a.txt"])[0]) == 50


def test_bad_pairs_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("the cat runs\n")
    with pytest.raises(
        DataError, match=r"a column other was asked of .*a.txt; it has text; name one of them with pair_column="
    ):
        read_lines([tmp_path / "a.txt"], pair_column="other")
    (tmp_path / "b.tsv").write_text("text\tlabel\nthe cat\t1\n")
    with pytest.raises(
        DataError, match="a column other was asked of .*; it has text, label; name one of them with pair_column="
    ):
        read_lines([tmp_path / "b.tsv"], pair_column="other")
    (tmp_path / "c.txt").write_text("\n")
    with pytest.raises(DataError, match="texts were asked of 1 files; found none; check them"):
        read_lines([tmp_path / "c.txt"])
    with pytest.raises(ConfigError, match="pairs of the column 'other' were asked for; .* set split to false"):
        distill(
            teacher("", tmp_path / "t"),
            [tmp_path / "b.tsv"],
            output_dir=tmp_path / "r",
            text=TextConfig(pair_column="other"),
        )


def test_pairs_come_from_files_to_the_student(tmp_path):
    rows = [f"{a}\t{b}" for a, b in zip(TEXTS, reversed(TEXTS), strict=True)]
    (tmp_path / "a.tsv").write_text("\n".join(["text\tother", *rows]), "utf-8")
    judge = headed(tiny_checkpoint(), HeadConfig(task="pair", labels=("0", "1")))
    made = distill(
        Module(checkpoint=judge, tokenizer=tiny_tokenizer(tmp_path / "t")),
        [tmp_path / "a.tsv"],
        student=student_for("labels", tmp_path / "s"),
        output_dir=tmp_path / "run",
        config=replace(METHODS["labels"], max_seq_length=32),
        text=TextConfig(split=False, limit=40, pair_column="other"),
    )
    assert made.provenance["texts"] == 40
    assert made.checkpoint.head.task == "pair"
    assert "recipe" not in made.provenance


def test_files_of_token_methods_are_not_read_into_memory(tmp_path, monkeypatch):
    """Unless a sample is asked for, or another column."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), "utf-8")
    monkeypatch.setattr("wellread.learn.distill.transfer_set.read_lines", lambda *a, **k: pytest.fail("read"))
    files, text = [tmp_path / "texts.txt"], TextConfig(split=False, limit=0)
    options = {"output_dir": str(tmp_path / "run"), "config": METHODS["relations"]}
    distill(teacher("", tmp_path / "t"), files, text=text, **options)
    with pytest.raises(pytest.fail.Exception, match="read"):
        distill(teacher("", tmp_path / "t"), files, text=replace(text, limit=7), **options)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"method": "layer"},
            r"method was asked for; found 'layer' \(did you mean layers\?\); it is one of layers, labels",
        ),
        ({"temperature": 0.0}, "temperature must be above 0; found 0.0; raise it"),
        (
            {"vectors": VectorsConfig(contrastive_temperature=-1.0)},
            "contrastive_temperature must be above 0; found -1.0",
        ),
    ],
)
def test_settings_that_no_student_can_be_made_with_are_refused(changes, found):
    with pytest.raises(ConfigError, match=found):
        DistillConfig(**changes)


def test_fine_tuning_takes_a_recipe_too(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("[finetune]\nmax_seq_length = 64\n[finetune.loop]\nlearning_rate = 1e-3\n")
    config = read_finetune_recipe(str(path))
    assert (config.max_seq_length, config.loop.learning_rate) == (64, 1e-3)
    assert config == replace(FinetuneConfig(), max_seq_length=64, loop=replace(config.loop, learning_rate=1e-3))
    path.write_text("[finetune]\nlearning_rate = 1e-3\n")
    with pytest.raises(ConfigError, match=r"finetune\.learning_rate \(it belongs in \[finetune\.loop\]\)"):
        read_finetune_recipe(path)
    with pytest.raises(ConfigError, match=r"the recipe '.*none.toml' was asked for; it is no TOML file"):
        read_finetune_recipe(tmp_path / "none.toml")
