"""task_heads: what config.json tells of a head is read and written; what it cannot tell is said or refused."""

import json
import re
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from headed import FAMILIES, family_config, head_of

from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.families import FAMILIES as TABLES
from wellread.checkpoints.family import to_ours, to_theirs
from wellread.checkpoints.huggingface import read_encoder
from wellread.checkpoints.names import head_shapes, shapes
from wellread.checkpoints.task_head import LEFT_OUT, check_expressible, head_from_config, head_in_config, head_keys
from wellread.config import HeadConfig
from wellread.errors import ConfigError, WeightsError
from wellread.formats.safetensors import write_safetensors

TASKS = ("classify", "pair", "tag", "answer", "score", "rank", "multilabel")
CLASSES = {"classify": "ForSequenceClassification", "tag": "ForTokenClassification", "answer": "ForQuestionAnswering"}
SBERT = "sbert_ce_default_activation_function"
BERT, TOLD = "BertForSequenceClassification", {"0": "no", "1": "yes"}


def drawn(config, head):
    rng = np.random.default_rng(0)
    wanted = shapes(config) | head_shapes(config, head)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in wanted.items()}


def write(place, head, family="bert", *, without=(), more=None, **keys):
    """Write what Hugging Face's class of a head holds, some of it left out or changed."""
    config = family_config(family)
    table = TABLES[family]
    said = {theirs: getattr(config, ours) for theirs, ours in table.keys.used.items()}
    data = {"model_type": family, **said, **head_keys(table, head), **keys}
    (place / "config.json").write_text(json.dumps({key: value for key, value in data.items() if value != "gone"}))
    arrays = to_theirs(table, config, drawn(config, head), mlm=False, head=head)
    kept = {name: array for name, array in arrays.items() if name not in without}
    write_safetensors(place / "model.safetensors", {**kept, **(more or {})})
    return place


def told(data, *, found=("classifier.weight", "classifier.bias"), family="bert"):
    return head_from_config(TABLES[family], family_config(family), data, found, source="config.json")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_read_back(tmp_path, family, task):
    head = head_of(task, family, dropout=0.25)
    checkpoint = read_encoder(write(tmp_path, head, family))
    assert checkpoint.head == head_in_config(TABLES[family], checkpoint.config, head)
    assert checkpoint.head.task == ("classify" if task == "pair" else task)
    assert checkpoint.head.labels == head.labels
    for name, array in drawn(checkpoint.config, head).items():
        np.testing.assert_array_equal(checkpoint.tensors[name].read(), array)
    assert checkpoint.ignored == ({} if task == "answer" else {"label2id": "id2label tells the labels"})


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_names_of_heads_go_there_and_back(family, task):
    config, head, table = family_config(family), head_of(task, family), TABLES[family]
    arrays = drawn(config, head)
    written = to_theirs(table, config, arrays, mlm=False, head=head)
    assert {name for name in written if not name.startswith(table.prefix)} == head_shapes(config, head).keys()
    back = to_ours(table, config, in_memory(written), source="memory", head=head)
    assert back.tensors.keys() == arrays.keys()
    assert back.ignored == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_without_tensors_says_nothing(family):
    table = TABLES[family]
    for head in (None, head_of("similarity")):
        assert head_keys(table, head) == {}
        assert head_in_config(table, family_config(family), head) is None
    assert BERT not in json.dumps(head_keys(table, None))


def test_the_keys_of_a_classifier():
    assert head_keys(TABLES["bert"], HeadConfig(task="pair", labels=("no", "yes"), dropout=0.3)) == {
        "architectures": [BERT],
        "id2label": TOLD,
        "label2id": {"no": 0, "yes": 1},
        "classifier_dropout": 0.3,
    }


def test_labels_stand_in_the_order_of_their_numbers():
    many = {str(i): f"l{i}" for i in reversed(range(12))}
    assert told({"architectures": [BERT], "id2label": many}).head.labels == tuple(f"l{i}" for i in range(12))


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        ({}, ("LABEL_0", "LABEL_1")),
        ({"num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"num_labels": "3"}, ("LABEL_0", "LABEL_1")),
        ({"num_labels": 10**12}, ("LABEL_0", "LABEL_1")),
    ],
)
def test_labels_that_are_not_named_are_inferred(data, labels):
    found = told({"architectures": [BERT], **data})
    assert found.head.labels == labels
    assert found.inferred == {"head.labels": f"{', '.join(labels)}, as no id2label names them"}


@pytest.mark.parametrize(
    "labels", [["no", "yes"], "no", 7, {"0": "no", "2": "yes"}, {"a": "no", "b": "yes"}, {"1": "no", "2": "yes"}, []]
)
def test_labels_that_are_none_leave_the_head_out(labels):
    found = told({"architectures": [BERT], "id2label": labels})
    why = "a task's head; id2label names no label for each of 0, 1, 2 ...: it is "
    assert found.head is None
    assert found.ignored.keys() == {"classifier.weight", "classifier.bias"}
    assert all(reason.startswith(why) and reason.endswith(LEFT_OUT) for reason in found.ignored.values())


def test_labels_of_any_type_are_shown_as_json_writes_them():
    labels = {"0": 0, "1": None, "2": True, "3": 4.5, "4": "모름", "5": ["a"]}
    found = told({"architectures": [BERT], "id2label": labels})
    assert found.head.labels == ("0", "null", "true", "4.5", "모름", "['a']")
    assert found.inferred == {}
    deep = reduce(lambda inner, _: [inner], range(900), "a")
    assert told({"architectures": [BERT], "id2label": {"0": deep, "1": "b"}}).head.labels[1] == "b"
    assert told({"architectures": [BERT], "id2label": None}).head.labels == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize(("labels", "twice"), [({"0": "a", "1": "a"}, "'a'"), ({"0": 7, "1": "b", "2": "7"}, "'7'")])
def test_equal_labels_are_told_apart_by_their_numbers(labels, twice):
    found = told({"architectures": [BERT], "id2label": labels})
    names = tuple(f"LABEL_{i}" for i in range(len(labels)))
    assert found.head.labels == names
    assert found.inferred == {"head.labels": f"{', '.join(names)}, as id2label names {twice} twice"}


def test_a_rate_that_is_none_is_refused_with_the_files_name():
    with pytest.raises(ConfigError, match=r"^config\.json: dropout must be a rate in \[0, 1\); found '0.1'"):
        told({"architectures": [BERT], "id2label": TOLD, "classifier_dropout": "0.1"})


@pytest.mark.parametrize("classes", [None, [], "BertForSequenceClassification", [7], {}])
def test_without_a_class_nobody_knows_what_a_classifier_judges(classes):
    found = told({"architectures": classes, "id2label": TOLD})
    why = "a task's head of a kind not known here: config.json names no architectures; the encoder is read without its"
    assert found.head is None
    assert found.ignored == dict.fromkeys(["classifier.bias", "classifier.weight"], f"{why} head")


def test_of_two_classes_neither_is_taken():
    found = told({"architectures": [BERT, "BertForTokenClassification"], "id2label": TOLD})
    assert found.head is None
    assert f"architectures names {BERT}, BertForTokenClassification" in found.ignored["classifier.bias"]


def test_a_bare_encoder_has_nothing_to_leave_out():
    for data in ({}, {"architectures": ["BertModel"]}, {"architectures": ["BertForMaskedLM"]}):
        found = told(data, found=["pooler.dense.bias"])
        assert (found.head, found.ignored) == (None, {})


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"problem_type": "ranking"}, "problem_type is 'ranking', and wellread computes single_label_"),
        ({"problem_type": ["x"]}, r"problem_type is \['x'\], and"),
        ({"id2label": {}}, "it has 0 labels, and a head gives one number or more"),
        (
            {"architectures": ["BertForTokenClassification"], "id2label": {"0": "O"}},
            "it has 1 label, and a choice takes",
        ),
        (
            {SBERT: "torch.nn.modules.activation.GELU"},
            "its scores go through torch.nn.modules.activation.GELU, which is",
        ),
    ],
)
def test_what_is_not_computed_is_left_out(keys, why):
    found = told({"architectures": [BERT], "id2label": TOLD, **keys})
    assert found.head is None
    assert found.ignored.keys() == {"classifier.weight", "classifier.bias"}
    assert re.search(why, found.ignored["classifier.bias"])


def test_a_stated_problem_of_one_label_is_used():
    found = told({"architectures": [BERT], "id2label": TOLD, "problem_type": "single_label_classification"})
    assert found.head.labels == ("no", "yes")
    assert {"architectures", "id2label", "problem_type"} <= set(found.used)


ONE = {"0": "LABEL_0"}
SIGMOID, IDENTITY = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"


@pytest.mark.parametrize(
    ("keys", "task", "activation"),
    [
        ({"id2label": ONE}, "score", "sigmoid"),
        ({"id2label": ONE, "problem_type": "single_label_classification"}, "score", "sigmoid"),
        ({"id2label": ONE, "problem_type": "regression"}, "score", "identity"),
        ({"problem_type": "regression"}, "score", "identity"),
        ({"id2label": ONE, "problem_type": "multi_label_classification"}, "multilabel", "identity"),
        ({"problem_type": "multi_label_classification"}, "multilabel", "identity"),
        ({"id2label": ONE, SBERT: IDENTITY}, "rank", "identity"),
        ({"id2label": ONE, SBERT: None}, "score", "sigmoid"),
        ({"id2label": ONE, SBERT: "torch.nn.Tanh"}, "rank", "tanh"),
        (
            {"id2label": ONE, "sentence_transformers": {"activation_fn": IDENTITY, "version": "4.1.0"}},
            "rank",
            "identity",
        ),
        ({"id2label": ONE, "sentence_transformers": {"version": "4.1.0"}}, "rank", "sigmoid"),
        ({"id2label": ONE, "sentence_transformers": {"activation_fn": SIGMOID}, SBERT: IDENTITY}, "rank", "sigmoid"),
        ({SBERT: SIGMOID}, "rank", "sigmoid"),
        ({"sentence_transformers": {}}, "rank", "identity"),
        ({"id2label": ONE, SBERT: IDENTITY, "problem_type": "regression"}, "rank", "identity"),
    ],
)
def test_what_is_made_of_the_logits(keys, task, activation):
    found = told({"architectures": [BERT], "id2label": TOLD, **keys})
    assert (found.head.task, found.head.activation) == (task, activation)
    assert found.head.problem_type == (keys.get("problem_type") if task in ("score", "rank") else None)
    assert found.ignored == {}
    assert {"architectures", *keys} - {"sentence_transformers", SBERT} <= set(found.used)


def test_the_keys_of_numbers_and_of_label_sets():
    head = HeadConfig(task="rank", labels=("score",), activation="tanh", problem_type="regression")
    keys = head_keys(TABLES["bert"], head)
    assert keys["sentence_transformers"] == {"activation_fn": "torch.nn.modules.activation.Tanh"}
    assert (keys["architectures"], keys["problem_type"]) == ([BERT], "regression")
    score = HeadConfig(task="score", labels=("a",))
    assert head_keys(TABLES["bert"], score)["problem_type"] == "regression"
    assert "problem_type" not in head_keys(TABLES["bert"], replace(score, activation="sigmoid"))
    several = HeadConfig(task="multilabel", labels=("a", "b"))
    assert head_keys(TABLES["bert"], several)["problem_type"] == "multi_label_classification"
    assert "sentence_transformers" not in head_keys(TABLES["bert"], several)


@pytest.mark.parametrize(("labels", "activation"), [(("a", "b"), "sigmoid"), (("a",), "tanh")])
def test_an_activation_that_no_file_tells_is_refused(labels, activation):
    head = HeadConfig(task="score", labels=labels, activation=activation)
    found = f"found {len(labels)} outputs that go through {activation}, which Hugging Face's configuration cannot tell"
    with pytest.raises(ConfigError, match=found):
        check_expressible(TABLES["bert"], family_config("bert"), head)
    check_expressible(TABLES["bert"], family_config("bert"), replace(head, task="rank"))


def test_an_activation_that_is_code_is_never_run():
    found = told({"architectures": [BERT], "id2label": ONE, SBERT: "own.activations.Squash"})
    assert (found.head.task, found.head.activation) == ("rank", "sigmoid")
    why = "it names 'own.activations.Squash', code that is never run; the usual activation, sigmoid, is taken"
    assert found.ignored == {SBERT: why}


def test_a_task_of_tokens_has_no_activation():
    found = told({"architectures": ["BertForTokenClassification"], "id2label": TOLD, SBERT: SIGMOID})
    assert (found.head.task, found.head.activation) == ("tag", "identity")
    assert SBERT not in found.used


@pytest.mark.parametrize("held", [["classifier.bias", "classifier.weight"], ["label_classifier.linear.weight"]])
def test_a_classifier_of_before_is_left_out_of_distilbert(held):
    found = told({"architectures": [f"Distil{BERT}"], "id2label": TOLD}, found=held, family="distilbert")
    assert found.head is None
    assert found.ignored == dict.fromkeys(
        held,
        f"a task's head; it is {', '.join(held)} alone, and the class that architectures names has pre_classifier.* "
        "before it; the encoder is read without its head",
    )


@pytest.mark.parametrize(
    ("family", "task", "name"),
    [
        ("bert", "classify", "classifier.weight"),
        ("bert", "classify", "pooler.dense.weight"),
        ("bert", "tag", "classifier.bias"),
        ("bert", "answer", "qa_outputs.bias"),
        ("distilbert", "classify", "pre_classifier.bias"),
        ("distilbert", "answer", "qa_outputs.weight"),
    ],
)
def test_a_head_that_lacks_a_tensor_is_refused(tmp_path, family, task, name):
    place = write(tmp_path, head_of(task, family), family, without=[name, f"{family}.{name}"])
    with pytest.raises(WeightsError, match=re.escape(f"found that {name} is missing; correct config.json")):
        read_encoder(place)


@pytest.mark.parametrize("task", ["classify", "tag", "answer"])
def test_a_head_of_another_shape_is_refused(tmp_path, task):
    name = "qa_outputs.weight" if task == "answer" else "classifier.weight"
    place = write(tmp_path, head_of(task), more={name: np.zeros((3, 12), np.float32)})
    with pytest.raises(WeightsError, match=rf"{name} has shape \[3, 12\] where the configuration says \[[25], 12\]"):
        read_encoder(place)


def test_a_bert_whose_class_needs_no_pooler_is_read_without(tmp_path):
    lost = ["bert.pooler.dense.weight", "bert.pooler.dense.bias"]
    checkpoint = read_encoder(write(tmp_path, head_of("tag"), without=lost))
    assert (checkpoint.config.pooler, checkpoint.head.task) == ("first_token", "tag")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(WeightsError, match=r"pooler\.dense\.bias is missing; pooler\.dense\.weight is missing"):
        read_encoder(write(other, head_of("classify"), without=lost))


def test_the_caller_may_leave_the_head_out(tmp_path):
    place = write(tmp_path, head_of("classify"), without=["classifier.bias"])
    checkpoint = read_encoder(place, ignore=["architectures"])
    assert checkpoint.head is None
    assert "config.json names no architectures" in checkpoint.ignored["classifier.weight"]


def test_a_classifier_beside_the_head_of_words_keeps_both(tmp_path):
    config = family_config("bert")
    words = {name: np.zeros(shape, np.float32) for name, shape in shapes(config, mlm=True).items() if "cls." in name}
    checkpoint = read_encoder(write(tmp_path, head_of("tag"), more=words))
    assert checkpoint.has_mlm
    assert checkpoint.head == head_of("tag")
