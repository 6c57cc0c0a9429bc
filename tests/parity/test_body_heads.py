"""The heads of every family beside BERT and DistilBERT against transformers: read, computed, written, read back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from bodies import batch, body
from keras_tools import KERAS_WARNS
from near import NEEDS_NATIVE, exact
from tiny import PIECES

import wellread
from wellread.backends.backend import BACKENDS, load_backend
from wellread.checkpoints.huggingface import read_encoder
from wellread.encoder.heads import task_logits
from wellread.errors import ConfigError, WeightsError
from wellread.formats.safetensors import read_safetensors, write_safetensors

pytestmark = KERAS_WARNS
TEXT, TOKEN, SPAN = "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"
LABELS = {"id2label": {0: "no", 1: "yes", 2: "모름"}, "label2id": {"no": 0, "yes": 1, "모름": 2}}
FAMILIES = ("roberta", "electra", "albert", "mpnet")
CASES = [(name, kind) for name in FAMILIES for kind in (TEXT, TOKEN, SPAN)]
MORE = [("xlm-roberta", TEXT), ("camembert", TEXT)]
ON_BACKENDS = [(backend, *case) for backend in ("numpy", "openvino", "torch") for case in CASES]
ON_BACKENDS += [("numpy", *case) for case in MORE]
OTHERS = [backend for backend in BACKENDS if backend not in ("numpy", "openvino", "torch", "native")]
ON_BACKENDS += [(backend, "electra", TEXT) for backend in OTHERS]
ON_BACKENDS += [pytest.param("native", "electra, wider", TEXT, marks=NEEDS_NATIVE)]
# What stands before the last map of a text's head: whether, its activation, and whether dropout is before it.
FIRST_MAPS = {"electra": (True, "gelu", True), "electra, wider": (True, "gelu", True), "albert": (False, "relu", False)}


def labelled(kind):
    return {} if kind == SPAN else LABELS


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Return a model of transformers, and what is read of the directory that it writes; each is made once."""
    made = {}

    def once(name, kind):
        if (name, kind) not in made:
            directory = tmp_path_factory.mktemp("head")
            model = body(name, kind, labelled(kind))
            model.save_pretrained(directory)
            (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
            (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
            made[name, kind] = model, read_encoder(directory), directory
        return made[name, kind]

    return once


def logits_of(model):
    inputs = batch(model)
    given = {"input_ids": inputs["input_word_ids"], "attention_mask": inputs["input_mask"]}
    if hasattr(model.config, "type_vocab_size"):
        given["token_type_ids"] = inputs["input_type_ids"]
    with torch.no_grad():
        out = model(**{name: torch.from_numpy(array).long() for name, array in given.items()})
    return out.logits.numpy() if "logits" in out else torch.stack([out.start_logits, out.end_logits], -1).numpy()


def assert_near(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize(("backend", "name", "kind"), ON_BACKENDS)
def test_the_logits_are_those_of_transformers(read, backend, name, kind):
    model, checkpoint, _ = read(name, kind)
    assert checkpoint.head.task == {TEXT: "classify", TOKEN: "tag", SPAN: "answer"}[kind]
    first = FIRST_MAPS.get(name, (True, "tanh", True)) if kind == TEXT else (False, "relu", False)
    assert checkpoint.head.first_map == first
    assert checkpoint.head.labels == (() if kind == SPAN else ("no", "yes", "모름"))
    running = load_backend(backend, checkpoint, precision=exact(backend))
    assert_near(running.run(batch(model), ["logits"])["logits"], logits_of(model))


@pytest.mark.parametrize(("name", "kind"), CASES + MORE)
def test_a_head_is_written_as_transformers_has_it(read, tmp_path, name, kind):
    model, checkpoint, directory = read(name, kind)
    written = sorted(value.detach().numpy().tobytes() for value in model.parameters())
    assert sorted(array.tobytes() for array in checkpoint.arrays().values()) == written
    wellread.load(directory, backend="numpy").save(tmp_path / "ours")
    again, report = type(model).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert_near(logits_of(again.eval()), logits_of(model))
    assert again.config.id2label == model.config.id2label
    assert again.config.architectures == [type(model).__name__]
    saved = wellread.load(tmp_path / "ours").checkpoint
    assert (saved.head, saved.config) == (checkpoint.head, checkpoint.config)


@pytest.mark.parametrize(
    ("name", "kind", "keys", "dropout"),
    [
        ("roberta", TEXT, {"classifier_dropout": 0.3}, 0.3),
        ("roberta", TOKEN, {"hidden_dropout_prob": 0.4}, 0.4),
        ("electra", TEXT, {"classifier_dropout": 0.3}, 0.3),
        ("electra", TOKEN, {"classifier_dropout": 0.3}, 0.3),
        ("albert", TEXT, {"classifier_dropout_prob": 0.3}, 0.3),
        ("albert", TOKEN, {"hidden_dropout_prob": 0.4}, 0.1),
        ("mpnet", TEXT, {"hidden_dropout_prob": 0.4}, 0.4),
        ("mpnet", TOKEN, {"hidden_dropout_prob": 0.4}, 0.4),
    ],
)
def test_the_dropout_is_the_one_of_the_class(tmp_path, name, kind, keys, dropout):
    model = body(name, kind, keys)
    model.save_pretrained(tmp_path)
    assert read_encoder(tmp_path).head.dropout == dropout
    layers = [part for path, part in model.named_modules() if "encoder" not in path and "embeddings" not in path]
    assert {part.p for part in layers if isinstance(part, torch.nn.Dropout)} == {dropout}


class Steps:
    """Ops that write down what they are asked for."""

    def dropout(self, x, rate):
        return [*x, f"dropout {rate}"]

    def linear(self, x, name):
        return [*x, name]

    def activation(self, x, kind):
        return [*x, kind]


@pytest.mark.parametrize("name", FAMILIES)
def test_dropout_stands_where_the_class_has_it(read, name):
    _, checkpoint, _ = read(name, TEXT)
    first = {"albert": [], "electra": ["dropout 0.1", "pre_classifier", "gelu"]}
    first = first.get(name, ["dropout 0.1", "pre_classifier", "tanh"])
    assert task_logits(Steps(), checkpoint.head, []) == [*first, "dropout 0.1", "classifier"]


def test_a_flat_head_under_the_name_of_a_deep_one_is_left_out(read, tmp_path):
    directory = read("roberta", TOKEN)[-1]
    keys = json.loads((directory / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**keys, "architectures": ["RobertaForSequenceClassification"]}))
    arrays = {name: tensor.read() for name, tensor in read_safetensors(directory / "model.safetensors").items()}
    write_safetensors(tmp_path / "model.safetensors", arrays)
    found = read_encoder(tmp_path)
    assert found.head is None
    why = (
        "it is classifier.bias, classifier.weight alone, and the class that architectures names has classifier.dense.*"
    )
    assert why in found.ignored["classifier.weight"]


def test_a_deep_head_that_lacks_a_tensor_is_refused(read, tmp_path):
    directory = read("electra", TEXT)[-1]
    (tmp_path / "config.json").write_bytes((directory / "config.json").read_bytes())
    arrays = {name: tensor.read() for name, tensor in read_safetensors(directory / "model.safetensors").items()}
    del arrays["classifier.out_proj.bias"]
    write_safetensors(tmp_path / "model.safetensors", arrays)
    with pytest.raises(WeightsError, match=r"classifier\.out_proj\.bias is missing"):
        read_encoder(tmp_path)


def test_a_head_of_another_family_is_not_saved(read, tmp_path):
    _, checkpoint, directory = read("roberta", TEXT)
    module = wellread.load(directory, backend="numpy")
    module.checkpoint = replace(checkpoint, head=replace(checkpoint.head, pre_activation="gelu"))
    with pytest.raises(
        ConfigError, match="for classify was to be saved; found pre_activation gelu where this family has"
    ):
        module.save(tmp_path / "ours")
