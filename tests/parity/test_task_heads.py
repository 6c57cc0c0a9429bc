"""Against transformers: its fine-tuned models are read with their heads and give their numbers; ours open in it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from headed import FAMILIES, headed_checkpoint
from tiny import tiny_inputs, tiny_tokenizer

from wellread.backends.backend import load_backend
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.directory import read_directory
from wellread.checkpoints.huggingface import read_encoder, read_huggingface
from wellread.checkpoints.native import write_native

SIZES = {
    "bert": {"hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 37},
    "distilbert": {"dim": 12, "n_layers": 3, "n_heads": 4, "hidden_dim": 37},
}
NAMES = {"bert": "Bert", "distilbert": "DistilBert"}
TEXT = "ForSequenceClassification"
CLASSES = {"classify": TEXT, "tag": "ForTokenClassification", "answer": "ForQuestionAnswering"}
CLASSES |= dict.fromkeys(("score", "multilabel"), TEXT)
ONE = {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}}
KEYS = {"score": {**ONE, "problem_type": "regression"}, "multilabel": {"problem_type": "multi_label_classification"}}
BACKENDS = {"numpy": "f64", "openvino": "f32", "torch": "f32"}
LABELS = {0: "neg", 1: "neu", 2: "긍정"}
CASES = [(family, task) for family in FAMILIES for task in CLASSES]


def make(family, task, **keys):
    torch.manual_seed(0)
    labels = {} if task == "answer" else {"id2label": LABELS, "label2id": {v: k for k, v in LABELS.items()}}
    sizes = {"vocab_size": 99, "max_position_embeddings": 41, **SIZES[family]}
    keys = {**sizes, **labels, **KEYS.get(task, {}), **keys}
    config = getattr(transformers, f"{NAMES[family]}Config")(**keys)
    model = getattr(transformers, NAMES[family] + CLASSES[task])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


def logits_of(model):
    """Run a model of transformers; begins and ends of spans side by side, as ours."""
    inputs = tiny_inputs()
    given = {"input_ids": inputs["input_word_ids"], "attention_mask": inputs["input_mask"]}
    if model.config.model_type == "bert":
        given["token_type_ids"] = inputs["input_type_ids"]
    with torch.no_grad():
        out = model(**{name: torch.from_numpy(array).long() for name, array in given.items()})
    return out.logits.numpy() if "logits" in out else torch.stack([out.start_logits, out.end_logits], -1).numpy()


def assert_near(ours, theirs):
    """Compare the rows that are not masked everywhere, where transformers attends otherwise."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours[:2], theirs[:2], rtol=0, atol=1e-5 * max(1, np.abs(theirs[:2]).max()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("family", "task"), CASES)
def test_the_logits_are_those_of_transformers(tmp_path, family, task, backend):
    model = make(family, task)
    model.save_pretrained(tmp_path)
    checkpoint = read_encoder(tmp_path)
    head = checkpoint.head
    labels = {"answer": (), "score": ("LABEL_0",)}.get(task, tuple(LABELS.values()))
    assert (head.task, head.labels) == (task, labels)
    assert head.pre_classifier == (family == "distilbert" and CLASSES[task] == TEXT)
    running = load_backend(backend, checkpoint, precision=BACKENDS[backend])
    assert_near(running.run(tiny_inputs(), ["logits"])["logits"], logits_of(model))


@pytest.mark.parametrize(("family", "task"), CASES)
def test_every_tensor_of_the_head_is_read_as_it_was_saved(tmp_path, family, task):
    model = make(family, task)
    model.save_pretrained(tmp_path)
    checkpoint = read_encoder(tmp_path)
    written = sorted(value.detach().numpy().tobytes() for value in model.parameters())
    assert sorted(array.tobytes() for array in checkpoint.arrays().values()) == written
    assert checkpoint.ignored.keys().isdisjoint({"architectures", "id2label", "problem_type"})
    assert not checkpoint.inferred


@pytest.mark.parametrize(
    ("family", "task", "keys", "dropout"),
    [
        ("bert", "classify", {"classifier_dropout": 0.3}, 0.3),
        ("bert", "classify", {"hidden_dropout_prob": 0.4}, 0.4),
        ("bert", "tag", {"classifier_dropout": 0.3}, 0.3),
        ("bert", "tag", {"hidden_dropout_prob": 0.4}, 0.4),
        ("bert", "answer", {"hidden_dropout_prob": 0.4}, 0.0),
        ("distilbert", "classify", {"seq_classif_dropout": 0.3, "dropout": 0.4}, 0.3),
        ("distilbert", "tag", {"seq_classif_dropout": 0.3, "dropout": 0.4}, 0.4),
        ("distilbert", "answer", {"qa_dropout": 0.3, "dropout": 0.4}, 0.3),
    ],
)
def test_the_dropout_is_the_one_of_the_class(tmp_path, family, task, keys, dropout):
    model = make(family, task, **keys)
    model.save_pretrained(tmp_path)
    head = read_encoder(tmp_path).head
    assert head.dropout == dropout
    layers = [part.p for name, part in model.named_children() if "dropout" in name]
    assert layers == ([dropout] if (family, task) != ("bert", "answer") else [])


def test_two_labels_that_transformers_leaves_unsaid_have_its_names(tmp_path):
    labels = {0: "LABEL_0", 1: "LABEL_1"}
    make("bert", "classify", id2label=labels).save_pretrained(tmp_path)
    assert "id2label" not in json.loads((tmp_path / "config.json").read_text())
    checkpoint = read_encoder(tmp_path)
    assert checkpoint.head.labels == ("LABEL_0", "LABEL_1")
    assert checkpoint.inferred == {"head.labels": "LABEL_0, LABEL_1, as no id2label names them"}


@pytest.mark.parametrize(
    ("architecture", "keys", "why"),
    [
        ("BertForTokenClassification", {"num_labels": 1}, "it has 1 label, and a choice takes two or more"),
        ("BertForMultipleChoice", {}, "not known here: architectures names BertForMultipleChoice"),
        ("DistilBertForMultipleChoice", {}, "not known here: architectures names DistilBertForMultipleChoice"),
    ],
)
def test_a_head_that_is_not_computed_is_left_out_by_name(tmp_path, architecture, keys, why):
    kind = getattr(transformers, architecture)
    family = kind.config_class.model_type
    sizes = {"vocab_size": 99, "max_position_embeddings": 41, **SIZES[family]}
    kind(kind.config_class(**sizes, **keys)).save_pretrained(tmp_path)
    checkpoint = read_encoder(tmp_path)
    left = {name: reason for name, reason in checkpoint.ignored.items() if "classifier." in name}
    assert left.keys() >= {"classifier.weight", "classifier.bias"}
    assert all(why in reason and reason.endswith("the encoder is read without its head") for reason in left.values())
    assert checkpoint.head is None
    assert not any("classifier" in name for name in checkpoint.tensors)


def test_next_sentence_has_no_head_of_ours(tmp_path):
    sizes = {"vocab_size": 99, "max_position_embeddings": 41, **SIZES["bert"]}
    transformers.BertForNextSentencePrediction(transformers.BertConfig(**sizes)).save_pretrained(tmp_path)
    checkpoint = read_encoder(tmp_path)
    assert checkpoint.head is None
    assert checkpoint.ignored["cls.seq_relationship.bias"] == "the next-sentence head, which no output needs"


# -- ours in transformers --------------------------------------------------------------------------------------------


def written(checkpoint: Checkpoint, place):
    write_native(place / "ours", checkpoint, tiny_tokenizer(place / "text"), provenance={})
    return place / "ours"


@pytest.mark.parametrize("task", ["classify", "pair", "tag", "answer", "score", "rank", "multilabel"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_wellread_saves_opens_as_the_right_class(tmp_path, family, task):
    checkpoint = headed_checkpoint(task, family, dropout=0.3)
    saved = written(checkpoint, tmp_path)
    auto = "AutoModel" + CLASSES.get(task, TEXT)
    model, report = getattr(transformers, auto).from_pretrained(saved, output_loading_info=True)
    assert type(model).__name__ == model.config.architectures[0]
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]
    pooler = family == "bert" and task in ("tag", "answer")  # classes without pooler
    assert all(key.startswith("bert.pooler.") and pooler for key in report["unexpected_keys"])
    reference = load_backend("numpy", checkpoint).run(tiny_inputs(), ["logits"])["logits"]
    assert_near(reference, logits_of(model.eval()))
    if task != "answer":
        assert model.config.id2label == dict(enumerate(checkpoint.head.labels))
        assert model.config.label2id == {label: i for i, label in enumerate(checkpoint.head.labels)}
    problems = {"score": "regression", "multilabel": "multi_label_classification"}
    assert model.config.problem_type == problems.get(task)
    said = {"bert": {"classify": "classifier_dropout", "pair": "classifier_dropout", "tag": "classifier_dropout"}}
    said["distilbert"] = {"classify": "seq_classif_dropout", "pair": "seq_classif_dropout", "answer": "qa_dropout"}
    if task in said[family]:
        assert getattr(model.config, said[family][task]) == 0.3


@pytest.mark.parametrize("task", ["classify", "tag", "answer", "score", "rank", "multilabel"])
@pytest.mark.parametrize("family", FAMILIES)
def test_without_our_own_file_it_reads_back_as_hugging_faces(tmp_path, family, task):
    checkpoint = headed_checkpoint(task, family)
    saved = written(checkpoint, tmp_path)
    native = read_directory(saved).checkpoint.head
    (saved / "wellread.json").unlink()
    found = read_huggingface(saved).checkpoint.head
    assert native == checkpoint.head
    assert (found.task, found.labels, found.pre_classifier) == (task, native.labels, native.pre_classifier)
    assert found.activation == native.activation
    assert found.dropout == (0.0 if (family, task) == ("bert", "answer") else 0.1)
