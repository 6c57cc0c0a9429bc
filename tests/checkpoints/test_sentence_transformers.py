"""sentence_transformers: its files are read in both forms, and what wellread does not compute is refused by name."""

import json

import numpy as np
import pytest
import torch

from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.sentence_steps import check_sentence, read_steps, step_tensors
from wellread.checkpoints.sentence_transformers import read_sentence_files, write_sentence_files
from wellread.config import DenseConfig, EncoderConfig, SentenceConfig
from wellread.errors import CheckpointError, ConfigError, WeightsError
from wellread.formats.safetensors import write_safetensors

ENCODER = EncoderConfig(
    vocab_size=99,
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=37,
    max_position_embeddings=41,
)
TANH = "torch.nn.modules.activation.Tanh"
MAP = {"in_features": 12, "out_features": 7, "activation_function": TANH}
WEIGHTS = {"weight": np.arange(84, dtype=np.float32).reshape(7, 12), "bias": np.ones(7, np.float32)}


def write(path, data):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))


def write_modules(directory, *chain):
    """Write modules.json for pairs of kind and folder."""
    write(
        directory / "modules.json",
        [
            {"idx": i, "path": path, "type": kind if "." in kind else f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(chain)
        ],
    )


@pytest.fixture
def directory(tmp_path):
    """Mean pooling, one map with tanh, normalisation."""
    write_modules(
        tmp_path, ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")
    )
    write(tmp_path / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    write(tmp_path / "2_Dense" / "config.json", MAP)
    write_safetensors(tmp_path / "2_Dense" / "model.safetensors", {f"linear.{k}": v for k, v in WEIGHTS.items()})
    return tmp_path


def test_a_directory_without_modules_has_none(tmp_path):
    assert read_sentence_files(tmp_path) is None


def test_the_whole_chain_is_read(directory):
    write(directory / "sentence_bert_config.json", {"max_seq_length": 23, "do_lower_case": False})
    prompts = {
        "prompts": {"query": "q: "},
        "default_prompt_name": "query",
        "__version__": {},
        "similarity_fn_name": "dot",
    }
    write(directory / "config_sentence_transformers.json", prompts)
    files = read_sentence_files(directory)
    assert (files.pooling, files.normalize, files.max_seq_length) == ("mean", True, 23)
    assert files.dense == (DenseConfig(in_features=12, out_features=7, activation="tanh"),)
    assert (files.prompts, files.default_prompt_name) == ({"query": "q: "}, "query")
    assert files.similarity_fn_name == "dot"
    assert files.ignored == {"__version__": "a note"}
    np.testing.assert_array_equal(files.tensors["sentence.0.weight"].read(), WEIGHTS["weight"])
    np.testing.assert_array_equal(files.tensors["sentence.0.bias"].read(), WEIGHTS["bias"])


def test_modules_that_begin_with_no_encoder_go_by_their_index(directory):
    entries = json.loads((directory / "modules.json").read_text())
    write(directory / "modules.json", entries[::-1])
    assert read_sentence_files(directory).normalize


def test_a_map_of_torch_is_read(directory):
    (directory / "2_Dense" / "model.safetensors").unlink()
    tensors = {f"linear.{name}": torch.from_numpy(array) for name, array in WEIGHTS.items()}
    torch.save(tensors, directory / "2_Dense" / "pytorch_model.bin")
    np.testing.assert_array_equal(step_tensors(directory / "2_Dense", "Dense")["weight"].read(), WEIGHTS["weight"])


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "cls", "embedding_dimension": 12, "include_prompt": True}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False}, "cls"),
        ({"word_embedding_dimension": 12, "pooling_mode_mean_tokens": True, "pooling_mode_lasttoken": False}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls+mean"),
        ({"pooling_mode_lasttoken": True, "pooling_mode_weightedmean_tokens": True}, "weightedmean+lasttoken"),
        ({"pooling_mode": ["mean", "cls"]}, "mean+cls"),
        ({"pooling_mode": "cls", "pooling_mode_mean_tokens": True}, "cls"),  # the new key holds
        ({"pooling_mode_mean_tokens": False}, "mean"),  # sentence-transformers' default
    ],
)
def test_pooling_is_read_in_both_forms(directory, config, pooling):
    write(directory / "1_Pooling" / "config.json", config)
    assert read_sentence_files(directory).pooling == pooling


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({}, "1_Pooling must choose of cls, max, mean, mean_sqrt_len_tokens, .*; found None; use another model"),
        ({"pooling_mode": "min"}, r"must choose of cls, .*; found \['min'\]"),
        ({"pooling_mode": ["cls", 7]}, r"found \['cls', 7\]"),
        ({"pooling_mode": []}, r"found \[\]"),
        ({"pooling_mode": "mean", "include_prompt": "no"}, "include_prompt is 'no', not bool"),
        ({"pooling_mode_median_tokens": True}, "pooling_mode_median_tokens is unknown"),
        ({"pooling_mode": "mean", "zzz": 1}, "zzz is unknown"),
    ],
)
def test_another_pooling_is_refused(directory, config, found):
    write(directory / "1_Pooling" / "config.json", config)
    with pytest.raises(ConfigError, match=found):
        read_sentence_files(directory)


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ([], "found none; wellread computes no other chain"),
        ([("Transformer", "")], "must chain Transformer, Pooling, .*; found Transformer; wellread computes no other"),
        ([("Transformer", ""), ("Dense", "1"), ("Pooling", "2")], "found Transformer, Dense, Pooling;"),
        ([("Transformer", ""), ("Pooling", "1"), ("Pooling", "2")], "found Transformer, Pooling, Pooling;"),
        (
            [("Transformer", ""), ("LSTM", "1")],
            r"names the module LSTM \(sentence_transformers.models.LSTM\); of sentence-transformers' modules wellread "
            "computes Transformer, Pooling, Dense, Layer",
        ),
        ([("sentence_transformers.models.StaticEmbedding", "")], "names the module StaticEmbedding"),
        ([("custom_st.Transformer", "")], "'custom_st.Transformer'; it is no class of sentence-transformers but code"),
        ([("Transformer", ""), ("mycode.Pooling", "1")], "'mycode.Pooling'; it is no class .* wellread never runs"),
        ([("Transformer", ""), ("sentence_transformers.models.Pooling.x.Pooling", "1")], "names the module Pooling"),
        (
            [("Transformer", ""), ("Pooling", "../1")],
            r"names the folder '\.\./1'; a module lies beside it; correct the path",
        ),
        ([("Transformer", ""), ("Pooling", "..")], "names the folder '..'"),
        ([("Transformer", ""), ("Pooling", "a\\b")], "a module lies beside it"),
        ([("Transformer", ""), ("Pooling", "/etc")], "a module lies beside it"),
        ([("Transformer", ""), ("Pooling", 7)], "names the folder 7"),
        ([("Transformer", ""), ("Pooling", "gone")], r"gone/config\.json was to be read; found no such file"),
        ([("Transformer", ""), ("Pooling", "x" * 5000)], "found no such file .File name too long"),
    ],
)
def test_another_chain_is_refused(directory, chain, found):
    write_modules(directory, *chain)
    with pytest.raises(CheckpointError, match=found):
        read_sentence_files(directory)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", "none; wellread"),
        ("[7]", "'int' object has no attribute"),
        ("7", "'int' object is not iterable"),
        ('[{"idx": 0}]', "KeyError"),
        ('[{"idx": 0, "path": "", "type": 7}]', "AttributeError"),
        ('[{"idx": 0}, {"idx": "1"}]', "TypeError"),
        ("[" * 100_000, "nested too deep"),
        ("[", "Expecting value"),
    ],
)
def test_damaged_modules_are_refused(directory, text, found):
    (directory / "modules.json").write_text(text)
    with pytest.raises(ConfigError, match=found):
        read_sentence_files(directory)


@pytest.mark.parametrize(
    ("name", "config", "found"),
    [
        (
            "2_Dense",
            {**MAP, "activation_function": "torch.nn.modules.activation.Softmax"},
            "names the activation .*Softmax'; wellread computes Identity, Tanh, ReLU, .* of torch.nn; use another",
        ),
        ("2_Dense", {**MAP, "activation_function": ["a"]}, r"names the activation \['a'\]"),
        ("2_Dense", {**MAP, "activation_function": "mycode.Tanh"}, "names the activation 'mycode.Tanh'"),
        ("2_Dense", {**MAP, "activation_function": None}, "names the activation None"),
        ("2_Dense", {**MAP, "use_residual": 1}, r"dense\.0\.residual is 1, not bool"),
        ("2_Dense", {**MAP, "module_input_name": "token_embeddings"}, "module_input_name is 'token_embeddings'"),
        ("2_Dense", {"in_features": 12}, "out_features is missing"),
        ("2_Dense", {**MAP, "activation_functon": TANH}, r"unknown \(did you mean activation_function\?\)"),
        ("2_Dense", {**MAP, "out_features": "7"}, r"dense\.0\.out_features is '7', not int"),
        ("2_Dense", {**MAP, "bias": 1}, r"dense\.0\.bias is 1, not bool"),
        ("2_Dense", {**MAP, "out_features": 0}, "out_features must be a whole number of at least 1; found 0"),
        ("3_Normalize", {"module_input_name": "token_embeddings"}, "module_input_name is 'token_embeddings'"),
        ("", {}, ""),
    ],
)
def test_another_map_is_refused(directory, name, config, found):
    if not name:
        (directory / "2_Dense" / "config.json").unlink()
        found = r"2_Dense/config\.json was to be read; found no such file"
    else:
        write(directory / name / "config.json", config)
    with pytest.raises(CheckpointError, match=found):
        read_sentence_files(directory)


@pytest.mark.parametrize(
    ("name", "config", "found"),
    [
        ("sentence_bert_config.json", {"do_lower_case": "yes"}, "do_lower_case is 'yes', not bool"),
        ("sentence_bert_config.json", {"model_args": 7}, "model_args of .* must be an object; found 7"),
        (
            "sentence_bert_config.json",
            {"model_args": {"load_in_8bit": True}},
            "model_args must .*load_in_8bit is True, wh",
        ),
        (
            "sentence_bert_config.json",
            {"config_args": {"num_hidden_layers": 1}},
            "config_args must .*num_hidden_layers",
        ),
        ("sentence_bert_config.json", {"tokenizer_args": {"do_lower_case": True}}, "tokenizer_args must .*do_lower"),
        ("sentence_bert_config.json", {"query_expansion": {"length": 32}}, "query_expansion is {'length': 32}"),
        ("sentence_bert_config.json", {"max_seq_length": "128"}, "max_seq_length is '128', not int | None"),
        (
            "sentence_distilbert_config.json",
            {"max_length": 128},
            r"max_length is unknown \(did you mean max_seq_length\?\)",
        ),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task is 'fill-mask'"),
        ("config_sentence_transformers.json", {"prompts": {"a": 1}}, r"prompts\.a is 1, not str"),
        ("config_sentence_transformers.json", {"prompts": None}, "prompts is None, not Mapping"),
        ("config_sentence_transformers.json", {"truncate_dim": "7"}, "truncate_dim is '7', not int"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "model_type is 'SparseEncoder'"),
    ],
)
def test_other_settings_are_refused(directory, name, config, found):
    write(directory / name, config)
    with pytest.raises(ConfigError, match=found):
        read_sentence_files(directory)


def test_strange_tensors_beside_a_map_are_refused(directory):
    write_safetensors(
        directory / "2_Dense" / "model.safetensors", {"linear.weight": np.zeros((7, 12)), "residual": np.zeros(3)}
    )
    with pytest.raises(WeightsError, match=r"must hold linear\.weight and linear\.bias; found residual; remove them"):
        read_sentence_files(directory)


def test_every_fault_of_the_maps_is_listed():
    sentence = SentenceConfig(dense=(DenseConfig(in_features=12, out_features=7),), max_seq_length=41)
    tensors = in_memory(
        {"sentence.0.weight": np.zeros((12, 7), np.float32), "sentence.1.bias": np.zeros(7, np.float32)}
    )
    with pytest.raises(WeightsError) as error:
        check_sentence(sentence, ENCODER, tensors, source="x")
    assert str(error.value) == (
        "the linear maps of x must fit their configuration; found that sentence.0.bias is missing; "
        "sentence.0.weight has shape [12, 7] where the configuration says [7, 12]; "
        "sentence.1.bias is surplus (did you mean sentence.0.bias?); fetch them again"
    )


def test_a_vector_that_does_not_fit_its_encoder_is_refused():
    first = SentenceConfig(dense=(DenseConfig(in_features=13, out_features=7),), max_seq_length=41)
    with pytest.raises(ConfigError, match="the first linear map of x must take the encoder's 12 features; it takes 13"):
        check_sentence(first, ENCODER, {}, source="x")
    with pytest.raises(
        ConfigError, match="max_seq_length of x must be at most the 41 rows of the position table; found 42"
    ):
        check_sentence(SentenceConfig(max_seq_length=42), ENCODER, {}, source="x")


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("maps", [0, 1, 2])
def test_what_is_written_is_read_back(tmp_path, pooling, normalize, maps):
    dense = (
        DenseConfig(in_features=12, out_features=7, activation="tanh"),
        DenseConfig(in_features=7, out_features=5, bias=False),
    )[:maps]
    sentence = SentenceConfig(
        pooling=pooling,
        dense=dense,
        normalize=normalize,
        max_seq_length=23,
        prompts={"query": "질문: "},
        default_prompt_name="query",
    )
    arrays = {"sentence.0.weight": WEIGHTS["weight"], "sentence.0.bias": WEIGHTS["bias"]} if maps else {}
    arrays |= {"sentence.1.weight": np.ones((5, 7), np.float32)} if maps == 2 else {}
    write_sentence_files(tmp_path, sentence, arrays, width=12)
    files = read_sentence_files(tmp_path)
    names = ("pooling", "dense", "normalize", "max_seq_length", "prompts", "default_prompt_name")
    assert {name: getattr(files, name) for name in names} == {name: getattr(sentence, name) for name in names}
    assert {name: tensor.read().tolist() for name, tensor in files.tensors.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }


def test_a_pooled_output_has_no_name_there(tmp_path):
    sentence = SentenceConfig(pooling="pooled_output", dense=(DenseConfig(in_features=12, out_features=7),))
    write_sentence_files(tmp_path, sentence, {f"sentence.0.{k}": v for k, v in WEIGHTS.items()}, width=12)
    assert read_sentence_files(tmp_path) is None
    assert read_steps(tmp_path, sentence).keys() == {"sentence.0.weight", "sentence.0.bias"}
