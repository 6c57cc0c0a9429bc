"""Every family beside BERT and DistilBERT against transformers: read, computed on every backend, written, read back."""

import json

import numpy as np
import pytest
import torch
import transformers
from bodies import BODIES, NATIVE_BODIES, SIZES, batch, body, outputs
from keras_tools import KERAS_WARNS
from near import NEEDS_NATIVE, exact
from tiny import PIECES, tiny_tokenizer

import wellread
from wellread.backends.backend import BACKENDS, load_backend
from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.family import to_ours
from wellread.checkpoints.huggingface import read_encoder
from wellread.checkpoints.names import shapes
from wellread.encoder.encoder import relative_position_buckets
from wellread.errors import ConfigError, InputError, WeightsError
from wellread.module import Module

pytestmark = KERAS_WARNS
CLASSES = ["Model", "ForMaskedLM"]
CASES = [(name, kind) for name in BODIES for kind in CLASSES]
WHOLE = ("roberta", "electra", "albert", "mpnet")  # what the others change is tested on one backend
ON_BACKENDS = [("numpy", *case) for case in CASES]
ON_BACKENDS += [(name, body, "ForMaskedLM") for name in BACKENDS if name not in ("numpy", "native") for body in WHOLE]
ON_BACKENDS += [pytest.param("native", body, "ForMaskedLM", marks=NEEDS_NATIVE) for body in NATIVE_BODIES]


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        ours, other = np.asarray(found[name]), np.asarray(value)
        assert ours.shape == other.shape
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-5 * max(1, np.abs(other).max()), err_msg=name)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Return a model of transformers, and what is read of the directory that it writes; each is made once."""
    made = {}

    def once(name, kind):
        if (name, kind) not in made:
            directory = tmp_path_factory.mktemp("body")
            model = body(name, kind)
            model.save_pretrained(directory)
            made[name, kind] = model, read_encoder(directory), directory
        return made[name, kind]

    return once


@pytest.mark.parametrize(("backend", "name", "kind"), ON_BACKENDS)
def test_every_output_is_that_of_transformers(read, backend, name, kind):
    model, checkpoint, _ = read(name, kind)
    inputs = batch(model)
    expected = outputs(model, inputs)
    runner = load_backend(backend, checkpoint, precision=exact(backend))
    assert_close(runner.run(inputs, list(expected)), expected)
    alone = runner.run(inputs, ["pooled_output", "cls_output"])  # position 0 alone in the last block
    assert_close(alone, {"pooled_output": expected["pooled_output"], "cls_output": expected["sequence_output"][:, 0]})


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_is_saved_opens_in_transformers_with_the_same_outputs(read, tmp_path, name, kind):
    model, _, directory = read(name, kind)
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')  # as KLUE-RoBERTa's
    module = wellread.load(directory, backend="numpy")
    module.save(tmp_path / "ours")
    again = type(model).from_pretrained(tmp_path / "ours").eval()
    for tensor, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[tensor], weight)
    ours, theirs = again.config, model.config
    assert ours.model_type == theirs.model_type
    for key in ("pad_token_id", "layer_norm_eps", "hidden_act", "type_vocab_size", "embedding_size"):
        assert getattr(ours, key, None) == getattr(theirs, key, None)
    assert_close(outputs(again, batch(model)), outputs(model, batch(model)))
    saved = wellread.load(tmp_path / "ours")
    assert saved.checkpoint.config == module.checkpoint.config
    assert saved.checkpoint.family == module.checkpoint.family == model.config.model_type


@pytest.mark.parametrize("name", BODIES)
def test_both_kinds_of_names_are_read(read, name):
    model, checkpoint, _ = read(name, "ForMaskedLM")
    prefix = f"{model.base_model_prefix}."
    stored = {key: value for key, value in model.state_dict().items() if key.startswith(prefix)}
    plain = in_memory({key.removeprefix(prefix): value.numpy() for key, value in stored.items()})
    mapped = to_ours(FAMILIES[checkpoint.family], checkpoint.config, plain, source="memory")
    assert mapped.tensors.keys() == shapes(checkpoint.config).keys()


@pytest.mark.parametrize("name", BODIES)
def test_the_untied_head_is_refused(read, name):
    model, checkpoint, _ = read(name, "ForMaskedLM")
    stored = {key: value.numpy() for key, value in model.state_dict().items()}
    family = FAMILIES[checkpoint.family]
    table = next(copy for copy, ours in family.copies.items() if ours.endswith("word_embeddings.weight"))
    with pytest.raises(WeightsError, match=f"{table} differs from .*, of which it must be a copy"):
        to_ours(family, checkpoint.config, in_memory({**stored, table: stored[table] + 1}), source="memory")


def test_the_buckets_of_positions_are_those_of_transformers():
    places = torch.arange(600)
    theirs = transformers.models.mpnet.modeling_mpnet.MPNetEncoder.relative_position_bucket(
        places[None] - places[:, None], num_buckets=32
    )
    assert np.array_equal(relative_position_buckets(600, 32), theirs.numpy())


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta", "camembert", "mpnet"])
def test_a_table_of_514_rows_holds_512_tokens(name):
    sizes = {**SIZES, "max_position_embeddings": 514}
    assert FAMILIES[name].encoder_config(sizes, source="a test").max_length == 512


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("albert", "num_hidden_groups", 2),
        ("albert", "inner_group_num", 2),
        ("mpnet", "relative_attention_num_buckets", 64),
    ],
)
def test_what_no_layer_here_computes_is_refused(read, tmp_path, name, key, value):
    _, _, directory = read(name, "Model")
    data = json.loads((directory / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**data, key: value}))
    with pytest.raises(ConfigError, match=f"{key} is {value}, and wellread computes only"):
        read_encoder(tmp_path)


@pytest.mark.parametrize(
    ("name", "tensor", "why"),
    [
        ("electra", "discriminator_predictions.dense.weight", "the discriminator's head"),
        ("albert", "sop_classifier.classifier.weight", "the head of sentence order"),
    ],
)
def test_heads_that_no_output_needs_are_left_out_by_name(name, tensor, why):
    model = body(name, "ForPreTraining")
    family = FAMILIES[name]
    keys = {ours: getattr(model.config, theirs) for theirs, ours in family.keys.used.items()}
    stored = in_memory({key: value.numpy() for key, value in model.state_dict().items()})
    mapped = to_ours(family, family.encoder_config(keys, source="a test"), stored, source="memory")
    assert mapped.ignored[tensor].startswith(why)


def test_types_are_needed_where_they_tell_anything_and_known_where_they_are_given(read, tmp_path):
    model, checkpoint, _ = read("roberta", "Model")
    module = Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(tmp_path), backend="numpy")
    inputs = {name: array for name, array in batch(model).items() if name in ("input_word_ids", "input_mask")}
    zeros = np.zeros_like(inputs["input_mask"])
    two, three = module(inputs), module({**inputs, "input_type_ids": zeros})
    assert np.array_equal(two["sequence_output"], three["sequence_output"])
    with pytest.raises(InputError, match="input_type_ids must lie in 0 to 0, the rows of the type table; found 1"):
        module({**inputs, "input_type_ids": zeros + 1})
