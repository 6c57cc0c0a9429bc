"""config_keys: what others leave in a config.json and beside the tensors is told, and no reason to refuse a model."""

import json
import warnings

import numpy as np
import pytest
import torch
import transformers
from tiny import PIECES, tiny_checkpoint

import wellread
from wellread.checkpoints.config_keys import BOOKKEEPING, FIXED, OTHER_TYPES, PATTERNS
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.huggingface import read_encoder
from wellread.errors import ConfigError, UnusedTensorsWarning, WeightsError
from wellread.formats.safetensors import write_safetensors

WORDS = "embeddings.word_embeddings.weight"
HEAD = {"crf.transitions": np.zeros((7, 7), np.float32)}
UNUSED = "no tensor of the encoder, nor of a head that wellread computes"


SIZES = {"vocab_size": 99, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 37, "max_position_embeddings": 41}


def arrays_of():
    return tiny_checkpoint(mlm=False).arrays()


def write_config(directory, **changes):
    (directory / "config.json").write_text(json.dumps({"model_type": "bert", **SIZES, **changes}))


@pytest.fixture
def directory(tmp_path):
    write_config(tmp_path)
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    write_safetensors(tmp_path / "model.safetensors", arrays_of())
    return tmp_path


# as configurations of transformers 2.0 to 4.57, of adapters, taggers and rerankers have them
LEFT = {
    "do_sample": False,
    "eos_token_ids": 0,
    "length_penalty": 1.0,
    "max_length": 20,
    "num_beams": 1,
    "bos_token_id": 0,
    "repetition_penalty": 1.0,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "bad_words_ids": None,
    "_num_labels": 2,
    "base_model": "bert-base-cased",
    "max_grad_norm": 1.0,
    "adam_epsilon": 1e-8,
    "pad_token": "[PAD]",
    "with_prediction_heads": True,
    "xla_device": None,
    "tokenizer_class": "BertTokenizer",
    "cls_token_id": 2,
    "sep_token_id": 3,
    "adapters": {"adapters": {}, "config_map": {}},
    "fusion_config": None,
    "pad_token_id": None,
    "gradient_checkpointing": True,
    "chunk_size_feed_forward": 64,
    "task_specific_params": {"text": {"prefix": "a"}},
    "prefix": None,
    "pruned_heads": {},
    "is_decoder": False,
    "embedding_size": 12,
    "vocab_size_or_config_json_file": 99,
    "use_memory_efficient_attention": True,
    "use_crf": True,
    "slot_loss_coef": 1.0,
    "slot_labels": ["O", "B"],
    "hidden_dropout": 0.1,
    "rope_scaling": None,
    "projection_dim": 7,
    "author": {"name": "me", "year": 2020},
}


def test_keys_that_say_nothing_of_the_arithmetic_are_ignored_with_a_reason(directory):
    expected = read_encoder(directory)
    write_config(directory, **LEFT)
    found = read_encoder(directory)
    assert found.config == expected.config
    assert found.ignored.keys() == LEFT.keys() - {
        "is_decoder",
        "pruned_heads",
        "embedding_size",
        "vocab_size_or_config_json_file",
    }
    assert found.ignored["num_beams"] == "for text generation"
    assert found.ignored["author"].startswith("unknown; nothing that wellread computes")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layernorm_eps", 1e-5),
        ("layer_norm_epsilon", 1e-5),
        ("hidden_sizes", 12),
        ("num_head", 3),
        ("rope_theta", 10000.0),
        ("rope_scaling", {"type": "linear"}),
        ("use_rotary_embeddings", True),
        ("alibi_starting_size", 512),
        ("position_biased_input", False),
        ("relative_attention", True),
        ("pos_att_type", ["c2p"]),
        ("max_relative_positions", 64),
        ("scale_attn_weights", False),
        ("feed_forward_type", "geglu"),
        ("norm_type", "rms"),
        ("num_experts", 8),
        ("sliding_window", 64),
        ("attention_window", [64]),
        ("num_hidden_groups", 2),
        ("embedding_size", 7),
        ("quantization_config", {"bits": 8}),
        ("quant_method", "gptq"),
        ("position_embedding_type", "alibi"),
        ("add_cross_attention", True),
    ],
)
def test_keys_that_may_touch_the_arithmetic_are_refused_by_name_and_value(directory, key, value):
    write_config(directory, **{key: value})
    with pytest.raises(ConfigError, match=f"found that {key} is .*name keys that may be passed over with ignore="):
        read_encoder(directory)
    assert read_encoder(directory, ignore=[key]).ignored == {key: "passed over as the caller asked"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_tells_unknown_keys_by_the_same_patterns(family):
    assert FAMILIES[family].keys.patterns == PATTERNS


def test_the_defaults_of_transformers_base_configuration_are_known():
    defaults = transformers.PretrainedConfig().to_dict()
    assert not defaults.keys() - {*BOOKKEEPING, *FIXED, "model_type"}


@pytest.mark.parametrize("model_type", OTHER_TYPES)
def test_other_types_are_refused_with_what_they_have(directory, model_type):
    write_config(directory, model_type=model_type)
    with pytest.raises(ConfigError, match=f"names the model_type '{model_type}', which has .*; wellread reads bert"):
        read_encoder(directory)


@pytest.mark.parametrize("prefix", ["", "bert.", "module.", "module.bert.", "0.auto_model.", "encoder.bert_model."])
@pytest.mark.parametrize(
    "name",
    """
    crf.transitions linear.weight mlp.dense.weight loss_fct.weight intent_classifier.linear.weight
    slot_classifier.linear.bias projection.weight sop.weight
    """.split(),
)
def test_heads_of_others_are_told_once_and_the_encoder_is_read(directory, prefix, name):
    arrays = {prefix + theirs: array for theirs, array in arrays_of().items()}
    write_safetensors(directory / "model.safetensors", arrays | {name: np.ones((7, 7), np.float32)})
    with pytest.warns(UnusedTensorsWarning, match=rf"{name} of .* is not used: .*name what .* with ignore=") as told:
        found = read_encoder(directory)
    assert len(told) == 1
    assert found.ignored == {name: UNUSED}
    np.testing.assert_array_equal(found.tensors[WORDS].read(), arrays_of()[WORDS])
    assert ("tensors" in found.inferred) == (prefix not in ("", "bert."))


@pytest.mark.parametrize("asked", ["crf.transitions", "crf.*"])
def test_tensors_are_passed_over_by_name_and_by_pattern(directory, asked):
    write_safetensors(directory / "model.safetensors", {**arrays_of(), **HEAD})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_encoder(directory, ignore=[asked])
    assert found.ignored == {"crf.transitions": "passed over as the caller asked"}


def test_a_used_tensor_cannot_be_passed_over(directory):
    assert read_encoder(directory, ignore=["embeddings.*"]).tensors.keys() == read_encoder(directory).tensors.keys()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("encoder.layer.3.output.dense.bias", r"encoder\.layer\.3\.output\.dense\.bias is surplus"),
        ("encoder.layer.0.attention.self.rotary.inv_freq", "inv_freq is surplus"),
        ("embeddings.relative_embeddings.weight", r"embeddings\.relative_embeddings\.weight is surplus"),
        ("encoder.layer.0.output.adapters.a.adapter_up.weight", "adapter_up.weight is of an adapter, which changes"),
        ("prefix_encoder.embedding.weight", "is of tuned prefixes, which changes what the encoder computes"),
        ("base_model.model.encoder.layer.0.attention.self.query.lora_A.weight", "is of an adapter, which changes"),
        ("cls.predictions.transform.dense.more", "is surplus"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "bert."])
def test_what_lies_inside_the_encoder_stays_refused(directory, prefix, name, found):
    arrays = {prefix + theirs: array for theirs, array in arrays_of().items()}
    inside = name if name.startswith(("cls", "prefix", "base")) else prefix + name
    write_safetensors(directory / "model.safetensors", arrays | {inside: np.ones(7, np.float32)})
    with pytest.raises(WeightsError, match=found):
        read_encoder(directory)
    assert read_encoder(directory, ignore=[f"*{name}"]).ignored


def test_of_two_encoders_one_is_read_where_the_other_is_passed_over(directory):
    two = {f"{tower}.{name}": array for tower in ("query", "document") for name, array in arrays_of().items()}
    write_safetensors(directory / "model.safetensors", two)
    with pytest.raises(
        WeightsError, match=rf"found {WORDS} twice, once as document\.{WORDS}; remove one, or pass over"
    ):
        read_encoder(directory)
    found = read_encoder(directory, ignore=["document.*"])
    assert len(found.ignored) == len(arrays_of())
    assert found.inferred == {"tensors": "the encoder's begin with query."}


def test_a_body_under_the_head_of_another_gives_the_vectors_of_transformers(tmp_path):
    """As JointBERT and CRF taggers save theirs: a class of their own over BertPreTrainedModel."""
    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig(**SIZES, initializer_range=0.3)).eval()
    model.save_pretrained(tmp_path)
    state = {f"bert.{name}": weight for name, weight in model.state_dict().items()}
    torch.save({**state, "crf.transitions": torch.zeros(5, 5)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    data = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**data, "architectures": ["JointBERT"], "use_crf": True}))
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    with pytest.warns(UnusedTensorsWarning, match=r"crf\.transitions of"):
        module = wellread.load(tmp_path, backend="numpy")
    packed = module.bert_pack_inputs([module.tokenize(["a man is playing"])], seq_length=9)
    with torch.no_grad():
        theirs = model(torch.tensor(packed.input_word_ids).long(), torch.tensor(packed.input_mask).long())
    np.testing.assert_allclose(module(packed)["sequence_output"][:, :4], theirs[0][:, :4].numpy(), atol=2e-5)
    assert module.info()["ignored"]["crf.transitions"] == UNUSED


def test_a_head_with_an_output_table_of_its_own_is_left_out(directory):
    arrays = tiny_checkpoint().arrays()
    decoder = {"cls.predictions.decoder.weight": arrays[WORDS] + 1}
    named = {
        name if name.startswith("cls.") else f"bert.{name}": array for name, array in {**arrays, **decoder}.items()
    }
    write_safetensors(directory / "model.safetensors", named)
    write_config(directory, tie_word_embeddings=False)
    found = read_encoder(directory)
    assert not found.has_mlm
    assert set(found.ignored) == {name for name in named if name.startswith("cls.")}
    assert set(found.ignored.values()) == {
        "of a head with an output table of its own (tie_word_embeddings is false); the encoder is read without it"
    }
    write_config(directory)
    with pytest.raises(WeightsError, match="cls.predictions.decoder.weight differs from"):
        read_encoder(directory)
