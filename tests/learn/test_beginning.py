"""What an untrained module is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import tiny_tokenizer

from wellread.errors import ConfigError, InputError
from wellread.learn.pretrain import new_module
from wellread.learn.settings import LoopConfig, PretrainConfig

CONFIG = {"vocab_size": 103, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4}
CONFIG |= {"intermediate_size": 37, "max_position_embeddings": 41}


@pytest.fixture
def vocab(tmp_path):
    tiny_tokenizer(tmp_path)
    return str(tmp_path / "vocab.txt")


@pytest.fixture
def config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path / "config.json"


def made(tmp_path, texts=(), seed=0, **given):
    settings = PretrainConfig(max_seq_length=16, loop=LoopConfig(seed=seed))
    return new_module(texts, cache=tmp_path / "run", settings=settings, **given)


def test_a_named_shape_has_the_vocabularys_size(tmp_path, vocab):
    module = made(tmp_path, shape="L-2_H-128", vocab=vocab, lower_case=True)
    assert module.checkpoint.config.vocab_size == 99
    assert module.tokenizer.config.do_lower_case
    assert module.max_seq_length == 16
    assert module.checkpoint.has_mlm


def test_a_configuration_says_its_own_size(tmp_path, vocab, config):
    assert made(tmp_path, config=config, vocab=vocab).checkpoint.config.vocab_size == 103
    config.write_text(json.dumps({**CONFIG, "vocab_size": 98}))
    with pytest.raises(InputError, match="found 99 pieces and 98 rows"):
        made(tmp_path, config=config, vocab=vocab)


def test_the_seed_decides_the_weights(tmp_path, vocab, config):
    first, other = (made(tmp_path, config=config, vocab=vocab, seed=seed).checkpoint.arrays() for seed in (0, 1))
    assert (first["pooler.dense.weight"] != other["pooler.dense.weight"]).any()


def test_a_vocabulary_is_trained_from_the_column_of_the_texts(tmp_path, config):
    (tmp_path / "a.tsv").write_text("said\n" + "kano kano\nKano\n")
    given = {"config": config, "train_vocab": "wordpiece", "vocab_size": 16, "lower_case": True}
    settings = PretrainConfig(max_seq_length=16)
    module = new_module([tmp_path / "a.tsv"], cache=tmp_path, settings=settings, column="said", **given)
    assert "kano" in module.tokenizer.vocabulary.pieces
    assert module.tokenizer.config.do_lower_case


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"vocab": "v"}, "needs shape or config; found neither; give one of them"),
        ({"shape": "s", "config": "c", "vocab": "v"}, "needs shape or config; found shape and config; give one"),
        ({"shape": "s"}, "needs vocab or train_vocab; found neither"),
        ({"shape": "s", "vocab": "v", "train_vocab": "t"}, "needs vocab or train_vocab; found vocab and train_vocab"),
    ],
)
def test_one_shape_and_one_vocabulary(given, found):
    with pytest.raises(ConfigError, match=f"^a new module {found}"):
        new_module([], cache=Path(), settings=PretrainConfig(), **given)
