"""What a module may be: every check of the frozen data."""

from __future__ import annotations

import dataclasses

import pytest
from tiny import tiny_config

from wellread.config import ACTIVATIONS, DenseConfig, HeadConfig, SentenceConfig, TokenizerConfig
from wellread.errors import ConfigError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1; found 0"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be a whole number of at least 1; found True"),
        ({"vocab_size": 9.5}, "vocab_size must be a whole number of at least 1; found 9.5"),
        ({"hidden_act": "gleu"}, r"hidden_act was given as 'gleu'; wellread knows gelu, .*\(did you mean gelu\?\)"),
        ({"pooler": "max"}, "pooler was given as 'max'; wellread knows dense_tanh, first_token"),
        ({"num_attention_heads": 5}, "hidden_size must be a multiple of num_attention_heads; found 12 and 5"),
        ({"hidden_dropout_prob": 1.0}, r"hidden_dropout_prob must be a rate in \[0, 1\); found 1.0"),
        ({"type_vocab_size": -1}, "type_vocab_size must be 0 or more; found -1"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps must be above 0 and finite; found 0.0"),
        ({"initializer_range": float("inf")}, "initializer_range must be above 0 and finite; found inf"),
        ({"pad_token_id": 99}, "pad_token_id must be a row of the word table; found 99 of 99"),
    ],
)
def test_an_impossible_encoder_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        tiny_config(**change)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_has_its_primitive(name):
    assert tiny_config(hidden_act=name).activation in ("gelu", "gelu_tanh", "relu", "silu")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dialect": "bpe"}, "dialect was given as 'bpe'; wellread knows hf, tfhub, spm, kobert"),
        ({"dialect": "hf", "vocab_file": None}, "the hf dialect needs vocab_file; found none"),
        ({"dialect": "spm"}, "the spm dialect needs model_file; found none"),
        ({"dialect": "kobert", "vocab_file": None}, "the kobert dialect needs model_file; found none"),
        ({"dialect": "tfhub", "strip_accents": True}, "strip_accents=True, .*the tfhub dialect has its own rules"),
        ({"dialect": "tfhub", "tokenize_chinese_chars": False}, "tokenize_chinese_chars=False were given"),
    ],
)
def test_an_impossible_tokenizer_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        TokenizerConfig(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pooling": "min"}, "pooling was given as 'min'; wellread knows cls, max, mean, mean_sqrt_len_tokens, weight"),
        ({"pooling": "cls+min"}, "pooling was given as 'min'"),
        ({"pooling": ""}, "pooling was given as ''"),
        ({"pooling": "cls+pooled_output"}, r"pooled_output stands alone; found the pooling cls\+pooled_output"),
        ({"similarity_fn_name": "maxsim"}, "similarity_fn_name was given as 'maxsim'; wellread knows cosine, dot, eu"),
        ({"truncate_dim": 0}, "truncate_dim must be a whole number of at least 1; found 0"),
        ({"max_seq_length": 2}, r"max_seq_length must hold \[CLS\], a token and \[SEP\]; found 2"),
        ({"default_prompt_name": "query"}, "default_prompt_name is 'query', and there are no prompts"),
        (
            {"default_prompt_name": "query", "prompts": {"passage": "p: "}},
            "default_prompt_name was given as 'query'; wellread knows passage",
        ),
        (
            {"dense": (DenseConfig(in_features=2, out_features=3), DenseConfig(in_features=4, out_features=5))},
            "a dense map of 3 features is followed by one that takes 4",
        ),
    ],
)
def test_an_impossible_sentence_vector_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        SentenceConfig(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"in_features": 0, "out_features": 3}, "in_features must be a whole number of at least 1; found 0"),
        ({"in_features": 2, "out_features": 3, "activation": "softmax"}, "activation was given as 'softmax'"),
        (
            {"in_features": 2, "out_features": 2, "kind": "lstm"},
            "kind was given as 'lstm'; wellread knows dense, layer",
        ),
        ({"in_features": 2, "out_features": 3, "kind": "normalize"}, "a normalize keeps the width and has no activa"),
        ({"in_features": 2, "out_features": 2, "kind": "layer_norm", "bias": False}, "a layer_norm keeps the width"),
    ],
)
def test_an_impossible_linear_map_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        DenseConfig(**given)


AB = ("a", "b")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "tags"}, r"task was given as 'tags'; wellread knows classify, pair, .*\(did you mean tag\?\)"),
        ({"task": "classify"}, "a head for classify needs two or more distinct labels; found none; correct them"),
        ({"task": "pair", "labels": ("a",)}, "a head for pair needs two or more distinct labels; found 'a'; correct"),
        ({"task": "tag", "labels": ("a", "b", "a")}, "two or more distinct labels; found 'a', 'b', 'a'; correct"),
        ({"task": "tag", "labels": ("a", 1)}, "two or more distinct labels; found 'a', 1; correct"),
        ({"task": "answer", "labels": AB}, "a head for answer needs no labels; found 'a', 'b'; correct them"),
        ({"task": "similarity", "labels": AB}, "a head for similarity needs no labels; found 'a', 'b'"),
        (
            {"task": "tag", "labels": AB, "pre_classifier": True},
            "pre_classifier is for classify, pair, score, rank, multilabel; found it wi",
        ),
        ({"task": "pair", "labels": AB, "pre_activation": "tanh"}, "found tanh and False without it; leave them out"),
        (
            {"task": "pair", "labels": AB, "pre_dropout": True},
            "pre_activation and pre_dropout belong to pre_classifier; f",
        ),
        (
            {"task": "pair", "labels": AB, "pre_activation": "silu"},
            "pre_activation was given as 'silu'; wellread knows re",
        ),
        ({"task": "score"}, "a head for score needs one or more distinct labels; found none; correct them"),
        (
            {"task": "multilabel", "labels": ("a", "a")},
            "a head for multilabel needs one or more distinct labels; found",
        ),
        (
            {"task": "score", "labels": ("a",), "activation": "sigmod"},
            "activation was given as 'sigmod'; wellread knows",
        ),
        (
            {"task": "classify", "labels": AB, "activation": "tanh"},
            "heads that give numbers; found tanh and None with cl",
        ),
        (
            {"task": "pair", "labels": AB, "problem_type": "regression"},
            "found identity and 'regression' with pair; leave",
        ),
        ({"task": "rank", "labels": AB, "problem_type": "x"}, "found identity and 'x' with rank; leave them out"),
        (
            {"task": "answer", "pre_classifier": True},
            "pre_classifier is for classify, pair, score, rank, multilabel; found it with answer",
        ),
        ({"task": "answer", "dropout": 1.0}, r"dropout must be a rate in \[0, 1\); found 1.0"),
        ({"task": "answer", "dropout": True}, r"dropout must be a rate in \[0, 1\); found True"),
        ({"task": "similarity", "low": 5.0}, "low must be below high, both finite; found 5.0 and 1.0; correct one"),
        ({"task": "similarity", "high": float("inf")}, "both finite; found 0.0 and inf"),
        ({"task": "similarity", "low": float("nan")}, "both finite; found nan and 1.0"),
    ],
)
def test_an_impossible_head_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        HeadConfig(**given)


@pytest.mark.parametrize(
    ("given", "outputs"),
    [
        ({"task": "classify", "labels": AB, "pre_classifier": True}, 2),
        ({"task": "pair", "labels": ("a", "b", "c")}, 3),
        ({"task": "tag", "labels": AB}, 2),
        ({"task": "answer"}, 2),
        ({"task": "similarity", "low": -1.0, "high": 5.0}, 0),
    ],
)
def test_a_head_knows_its_logits(given, outputs):
    assert HeadConfig(**given).outputs == outputs


def test_configs_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny_config().hidden_size = 13  # type: ignore[misc]
