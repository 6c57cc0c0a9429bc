"""huggingface: a directory is read as data; what is not understood is refused by name."""

import contextlib
import json

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_ids import own_tokenizer
from tiny import PIECES

from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.family import to_theirs
from wellread.checkpoints.huggingface import WEIGHTS, read_encoder, read_huggingface, read_text
from wellread.checkpoints.names import shapes
from wellread.errors import CheckpointError, ConfigError, WellreadError
from wellread.formats.safetensors import write_safetensors

SIZES = {
    "bert": {
        "vocab_size": 99,
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 41,
    },
    "distilbert": {
        "vocab_size": 99,
        "dim": 12,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 37,
        "max_position_embeddings": 41,
    },
}


SIZES = {name: SIZES.get(name, SIZES["bert"]) for name in FAMILIES}


def encoder_config(family):
    table = FAMILIES[family]
    sizes = {table.keys.used[theirs]: value for theirs, value in SIZES[family].items()}
    return table.encoder_config(sizes, source="a test")


def arrays_of(family="bert"):
    config = encoder_config(family)
    rng = np.random.default_rng(0)
    ours = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes(config).items()}
    return to_theirs(FAMILIES[family], config, ours, mlm=False)


def write_config(directory, family="bert", **changes):
    data = {"model_type": family, **SIZES[family], **changes}
    (directory / "config.json").write_text(json.dumps(data))


@pytest.fixture
def directory(tmp_path):
    """A BERT with its vocabulary."""
    write_config(tmp_path)
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    write_safetensors(tmp_path / "model.safetensors", arrays_of())
    return tmp_path


@pytest.mark.parametrize("family", FAMILIES)
def test_the_defaults_are_those_of_the_family(tmp_path, family):
    write_config(tmp_path, family)
    write_safetensors(tmp_path / "model.safetensors", arrays_of(family))
    checkpoint = read_encoder(tmp_path)
    assert checkpoint.family == family
    assert checkpoint.config == encoder_config(family)
    defaults = getattr(transformers, FAMILIES[family].architecture).config_class()
    for theirs, ours in FAMILIES[family].keys.used.items():
        if theirs not in SIZES[family]:
            assert getattr(checkpoint.config, ours) == getattr(defaults, theirs)
    assert checkpoint.config.layer_norm_eps == 1e-12
    assert checkpoint.num_parameters == sum(array.size for array in arrays_of(family).values())
    assert not checkpoint.has_mlm


def test_every_key_that_is_there_is_used(directory):
    more = {
        "hidden_act": "relu",
        "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.3,
        "initializer_range": 0.5,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 7,
    }
    write_config(directory, **more)
    config = read_encoder(directory).config
    assert {key: getattr(config, key) for key in more} == more


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_config_of_before_model_types_tells_its_family_by_its_keys(tmp_path, family):
    (tmp_path / "config.json").write_text(json.dumps(SIZES[family]))
    write_safetensors(tmp_path / "model.safetensors", arrays_of(family))
    assert read_encoder(tmp_path).family == family


def test_a_config_that_lacks_keys_of_every_family_is_read_as_bert(directory):
    (directory / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="hidden_size"):
        read_encoder(directory)


def test_reasons_are_kept(directory):
    write_config(directory, transformers_version="5.0", pooler_type="first_token_transform")
    assert read_encoder(directory).ignored == {
        "transformers_version": "a note",
        "pooler_type": "a note of Google's multilingual release; its pooler is the usual one",
    }


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"hiden_size": 12}, r"hiden_size is unknown \(did you mean hidden_size\?\)"),
        (
            {"position_embedding_type": "relative_key"},
            "position_embedding_type is 'relative_key', and .* only 'absolute'",
        ),
        ({"is_decoder": True}, "is_decoder is True, and wellread computes only False"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}, and wellread computes only None"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads is"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"rotary_pct": 0.25}, "rotary_pct is 0.25, which is unknown, and by its name may touch"),
        ({"tie_word_embeddings": None}, "tie_word_embeddings is None, and wellread computes only True, False"),
        (
            {"model_type": "gpt2"},
            "names the model_type 'gpt2', which has a decoder; wellread reads bert, distilbert, .*; choose",
        ),
        ({"model_type": "distil_bert"}, r"choose a checkpoint of these \(did you mean distilbert\?\)"),
        ({"model_type": None}, "names the model_type 'None'"),
        ({"hidden_act": "mish"}, "config.json: hidden_act was given as 'mish'; wellread knows gelu"),
        ({"hidden_size": 13}, "hidden_size must be a multiple"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be a whole number of at least 1; found 0"),
        ({"pad_token_id": 99}, "pad_token_id must be a row of the word table; found 99 of 99"),
        ({"hidden_size": "12"}, "hidden_size is '12', not int"),
        ({"vocab_size": None}, "vocab_size is None, not int"),
        ({"hidden_dropout_prob": True}, "hidden_dropout_prob is True, not float"),
        ({"num_hidden_layers": 10**12}, "1000000000000 layers were asked of .*; found 55 tensors"),
    ],
)
def test_a_config_that_is_not_computed_is_refused(directory, changes, found):
    write_config(directory, **changes)
    with pytest.raises(CheckpointError, match=found):
        read_encoder(directory)


def test_infinity_is_no_size(directory):
    text = json.dumps({"model_type": "bert", **SIZES["bert"], "layer_norm_eps": 7})
    (directory / "config.json").write_text(text.replace(": 7}", ": 1e400}"))
    with pytest.raises(ConfigError, match="layer_norm_eps is inf, not float"):
        read_encoder(directory)


def test_a_missing_key_is_named(directory):
    write_config(directory)
    data = json.loads((directory / "config.json").read_text())
    del data["hidden_size"], data["num_hidden_layers"]
    (directory / "config.json").write_text(json.dumps(data))
    with pytest.raises(ConfigError, match="hidden_size is missing; num_hidden_layers is missing"):
        read_encoder(directory)


def test_the_caller_may_pass_over_keys(directory):
    write_config(directory, rope_theta=1, is_decoder=True)
    ignored = read_encoder(directory, ignore=["rope_*", "is_decoder"]).ignored
    assert ignored == dict.fromkeys(("rope_theta", "is_decoder"), "passed over as the caller asked")


def test_weights_are_taken_in_the_order_of_preference(directory):
    arrays = arrays_of()
    torch.save({name: torch.from_numpy(array + 1) for name, array in arrays.items()}, directory / "pytorch_model.bin")
    name = "embeddings.LayerNorm.bias"
    np.testing.assert_array_equal(read_encoder(directory).tensors[name].read(), arrays[name])
    (directory / "model.safetensors").unlink()
    np.testing.assert_array_equal(read_encoder(directory).tensors[name].read(), arrays[name] + 1)


def test_missing_files_are_named(directory):
    (directory / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=f"found none of {', '.join(WEIGHTS)}; fetch the whole repository"):
        read_encoder(directory)
    (directory / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json was to be read; found no such file"):
        read_huggingface(directory)


def test_without_sentence_files_the_vector_is_the_mean_over_the_whole_position_table(directory):
    source = read_huggingface(directory)
    sentence = source.checkpoint.sentence
    assert (sentence.pooling, sentence.dense, sentence.normalize, sentence.max_seq_length) == ("mean", (), False, 41)
    assert source.tokenizer.config.do_lower_case


@pytest.mark.parametrize(
    ("sentence", "tokenizer", "truncation", "expected"),
    [
        (17, 23, 29, 17),
        (None, 23, 29, 23),
        (None, None, 29, 29),
        (None, 10**30, None, 41),
        (512, 23, None, 41),
        (None, None, None, 41),
    ],
)
def test_the_sequence_length_is_the_first_that_is_said(directory, sentence, tokenizer, truncation, expected):
    pooling = {"pooling_mode_mean_tokens": True}
    modules = [
        {"idx": i, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate([("", "Transformer"), ("p", "Pooling")])
    ]
    (directory / "p").mkdir()
    (directory / "p" / "config.json").write_text(json.dumps(pooling))
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": sentence} if sentence else {}))
    (directory / "tokenizer_config.json").write_text(json.dumps({"model_max_length": tokenizer} if tokenizer else {}))
    fast = {
        "normalizer": {"type": "BertNormalizer"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "vocab": {piece: id for id, piece in enumerate(PIECES)}},
        "truncation": {"max_length": truncation, "strategy": "LongestFirst"} if truncation else None,
    }
    (directory / "tokenizer.json").write_text(json.dumps(fast))
    assert read_huggingface(directory).checkpoint.sentence.max_seq_length == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = {
    "config.json": [*FAMILIES["bert"].keys.used, *FAMILIES["bert"].keys.fixed],
    "tokenizer_config.json": ["model_max_length", "do_lower_case", "cls_token", "added_tokens_decoder", "never_split"],
    "tokenizer.json": ["normalizer", "pre_tokenizer", "model", "truncation", "added_tokens"],
    "special_tokens_map.json": ["cls_token", "additional_special_tokens"],
    "added_tokens.json": ["a"],
    "modules.json": ["idx", "path", "type"],
    "sentence_bert_config.json": ["max_seq_length"],
    "config_sentence_transformers.json": ["prompts", "default_prompt_name"],
    "p/config.json": ["pooling_mode", "pooling_mode_mean_tokens"],
}


@pytest.mark.parametrize("name", KEYS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_any_json_at_all_ends_in_a_module_or_in_one_named_error(directory, name, data):
    modules = [
        {"idx": i, "path": path, "type": kind} for i, (path, kind) in enumerate([("", "Transformer"), ("p", "Pooling")])
    ]
    (directory / "p").mkdir(exist_ok=True)
    (directory / "p" / "config.json").write_text('{"pooling_mode": "mean"}')
    (directory / "modules.json").write_text(json.dumps(modules))
    base = {"model_type": "bert", **SIZES["bert"]} if name == "config.json" else {}
    some = st.dictionaries(st.sampled_from(KEYS[name]), JSON, max_size=2).map(lambda keys: {**base, **keys})
    value = data.draw(st.lists(some, max_size=2) if name == "modules.json" else some | JSON)
    kept = (directory / name).read_bytes() if (directory / name).exists() else None
    (directory / name).write_text(json.dumps(value))
    with contextlib.suppress(WellreadError):  # and nothing else
        read_huggingface(directory)
    (directory / name).unlink()
    if kept is not None:
        (directory / name).write_bytes(kept)


def test_a_sentencepiece_model_alone_cannot_lower(tmp_path):
    own_tokenizer(tmp_path)
    assert read_text(tmp_path, "bert").tokenizer.config.dialect == "spm"
    with pytest.raises(ConfigError, match="do_lower_case is true in .*; found a SentencePiece model, whose own rules"):
        read_text(tmp_path, "bert", lower_case=True)
