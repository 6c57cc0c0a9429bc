"""Untrained modules: shapes by name and by file, how weights are drawn, the head of word scores."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny import tiny_checkpoint, tiny_config, tiny_tokenizer

from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.names import head_shapes, shapes
from wellread.config import DenseConfig, HeadConfig, SentenceConfig
from wellread.errors import ConfigError, InputError
from wellread.learn.init import from_scratch, named_shapes, shape_named, shape_of_file, with_mlm_head


def test_there_are_24_shapes_of_the_small_berts():
    assert len(named_shapes()) == 24
    shape = shape_named("L-10_H-768")
    assert (shape.num_hidden_layers, shape.hidden_size, shape.num_attention_heads) == (10, 768, 12)
    assert (shape.intermediate_size, shape.max_position_embeddings, shape.pooler) == (3072, 512, "dense_tanh")


def test_an_unknown_shape_is_told_with_the_nearest():
    message = r"the shape 'L2_H-128' was asked for; it is none of L-2_H-128, .*config.json \(did you mean L-2_H-128\?\)"
    with pytest.raises(ConfigError, match=message):
        shape_named("L2_H-128")


CONFIG = {"vocab_size": 99, "max_position_embeddings": 41}
BERT = {"hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 37}
DISTILBERT = {"model_type": "distilbert", "dim": 12, "n_layers": 3, "n_heads": 4, "hidden_dim": 37}


@pytest.mark.parametrize(("keys", "types"), [(BERT, 2), (DISTILBERT, 0)], ids=["bert", "distilbert"])
def test_a_shape_of_a_file(tmp_path, keys, types):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, **keys}))
    expected = tiny_config(type_vocab_size=types, pooler="dense_tanh" if types else "first_token")
    assert shape_of_file(tmp_path / "config.json") == expected
    module = from_scratch(expected, tiny_tokenizer(tmp_path / "files"))
    module.save(tmp_path / "saved")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (
            {**CONFIG, **BERT, "model_type": "bertt"},
            r"names the model_type 'bertt'; wellread trains bert, distilbert, .*; .*",
        ),
        ({**CONFIG, **BERT, "hiden": 1}, "hiden is unknown"),
        (CONFIG, "hidden_size is missing"),
    ],
)
def test_a_file_that_describes_no_shape(tmp_path, keys, found):
    (tmp_path / "config.json").write_text(json.dumps(keys))
    with pytest.raises(ConfigError, match=found):
        shape_of_file(tmp_path / "config.json")


def test_weights_are_drawn_as_bert_draws_them(tmp_path):
    config = tiny_config(hidden_size=120, intermediate_size=370)
    arrays = from_scratch(config, tiny_tokenizer(tmp_path), seed=1).checkpoint.arrays()
    assert {name: array.shape for name, array in arrays.items()} == shapes(config, mlm=True)
    for name, array in arrays.items():
        if name.endswith("LayerNorm.weight"):
            assert (array == 1).all()
        elif name.endswith("bias"):
            assert (array == 0).all()
        else:
            assert np.abs(array).max() <= 0.04 + 1e-9
            assert abs(array.std() / 0.02 - 0.96) < 0.1  # clipped at two deviations
    again = from_scratch(config, tiny_tokenizer(tmp_path), seed=1).checkpoint.arrays()
    other = from_scratch(config, tiny_tokenizer(tmp_path), seed=2).checkpoint.arrays()
    name = "embeddings.word_embeddings.weight"
    assert np.array_equal(arrays[name], again[name])
    assert not np.array_equal(arrays[name], other[name])


def test_the_padding_is_the_tokenizers_and_the_length_fits(tmp_path):
    module = from_scratch(tiny_config(pad_token_id=7), tiny_tokenizer(tmp_path), max_seq_length=128)
    assert module.checkpoint.config.pad_token_id == 0
    assert module.max_seq_length == 41


def test_a_vocabulary_larger_than_the_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="found 99 pieces and 98 rows; take the vocabulary that belongs to"):
        from_scratch(tiny_config(vocab_size=98), tiny_tokenizer(tmp_path))


def test_a_head_that_is_there_is_kept():
    checkpoint = tiny_checkpoint()
    assert with_mlm_head(checkpoint, seed=0) is checkpoint


def test_a_fresh_head_leaves_the_rest():
    sentence = SentenceConfig(dense=(DenseConfig(in_features=12, out_features=5),))
    checkpoint = tiny_checkpoint(sentence=sentence, mlm=False)
    made = with_mlm_head(checkpoint, seed=0)
    before, after = checkpoint.arrays(), made.arrays()
    assert all(after[name] is array for name, array in before.items())
    fresh = after.keys() - before.keys()
    assert fresh == shapes(made.config, mlm=True).keys() - shapes(made.config).keys()
    assert (after["cls.predictions.transform.LayerNorm.weight"] == 1).all()
    assert 0 < after["cls.predictions.transform.dense.weight"].std() < 0.02
    assert not any(after[name].any() for name in fresh if name.endswith("bias"))


def test_a_tasks_head_is_dropped_and_that_is_told():
    checkpoint = tiny_checkpoint(mlm=False)
    head = HeadConfig(task="classify", labels=("no", "yes"))
    own = in_memory({name: np.ones(shape, "f4") for name, shape in head_shapes(checkpoint.config, head).items()})
    made = with_mlm_head(replace(checkpoint, head=head, tensors={**checkpoint.tensors, **own}), seed=0)
    assert made.head is None
    assert made.tensors.keys() == shapes(made.config, mlm=True).keys()
    assert made.ignored == {"classifier": "a task's head says nothing of words; fine-tune the module again"}
