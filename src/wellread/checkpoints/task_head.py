"""The head of a task, as config.json and sentence-transformers' files describe it: read, and written."""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from wellread.checkpoints.families.bert import TASK_HEAD
from wellread.checkpoints.family import Family, HeadClass
from wellread.config import HEADS, MULTIPLE, REGRESSION, SINGLE, EncoderConfig, HeadConfig
from wellread.dataclass import dataclass
from wellread.errors import ConfigError
from wellread.schema import read_json

CLASSES, LABELS, PROBLEM, COUNT = "architectures", "id2label", "problem_type", "num_labels"
MANY = 100_000  # labels: more are no count that can be meant
FIRST_MAP = "pre_classifier.weight"
MODEL_CONFIG = "config_sentence_transformers.json"  # its `model_type` names the class that the chain is of
LEFT_OUT = "the encoder is read without its head"
# Where a cross-encoder names the activation of its scores: sentence-transformers 5 and later, 4, and before. The first
# stands in a file of its own, whose contents come under its name.
OLD_ACTIVATION = "sbert_ce_default_activation_function"
ACTIVATION_PLACES = (MODEL_CONFIG, "sentence_transformers", OLD_ACTIVATION)
# By the last word of a path under torch.nn, which is never resolved.
ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.Softplus": "softplus",
    "torch.nn.modules.activation.Softmax": "softmax",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigHead:
    """The head that config.json describes, or why none is read."""

    head: HeadConfig | None = None
    used: Collection[str] = ()  # the keys that describe it
    ignored: Mapping[str, str] = field(default_factory=dict)
    inferred: Mapping[str, str] = field(default_factory=dict)


def head_from_config(
    family: Family, config: EncoderConfig, data: Mapping[str, Any], tensors: Collection[str], *, source: object
) -> ConfigHead:
    """Read the head off the keys `data` of a config.json; `tensors` are names, `source` is the file's.

    A pair comes back as `classify`, for Hugging Face's class is the same; what sentence-transformers marks as a
    cross-encoder as `rank`. A head that cannot be used is left out, with the reason.

    Raises: ConfigError for a rate of dropout that is none.
    """
    names = data.get(CLASSES)
    classes = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    kind = next((kind for kind in family.heads if classes == [family.head_architecture(kind)]), None)
    patterns = [pattern for pattern, why in family.ignored_tensors.items() if why == TASK_HEAD]
    of_head = sorted(name for name in tensors if any(fnmatchcase(name, pattern) for pattern in patterns))
    if kind is None:
        why = f"{CLASSES} names {', '.join(classes)}" if classes else f"config.json names no {CLASSES}"
        return ConfigHead(ignored=dict.fromkeys(of_head, f"a task's head of a kind not known here: {why}; {LEFT_OUT}"))
    labels = _labels(data) if HEADS[kind.task].logits is None else Labels()
    scored = _scored(data, labels.names) if HEADS[kind.task].on_text else Scored(task=kind.task)
    if fault := labels.fault or scored.fault or _unusable(kind, data, labels.names, of_head):
        return ConfigHead(ignored=dict.fromkeys(of_head, f"a task's head; {fault}; {LEFT_OUT}"))
    try:
        head = HeadConfig(
            task=scored.task,
            labels=labels.names,
            **kind.first_map,
            dropout=_dropout(kind, config, data),
            activation=scored.activation,
            problem_type=data.get(PROBLEM) if HEADS[scored.task].problem_type == REGRESSION else None,
        )
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    used = [key for key in (CLASSES, LABELS, PROBLEM, kind.dropout_key) if key is not None and key in data]
    used += [key for key in ACTIVATION_PLACES if key in data and HEADS[kind.task].on_text]
    inferred = {"head.labels": labels.inferred} if labels.inferred else {}
    return ConfigHead(head=head, used=used, ignored=scored.ignored, inferred=inferred)


def read_cross_encoder(directory: Path) -> dict[str, Any]:
    """Read what sentence-transformers 5 and later keep of a cross-encoder in a file of its own; nothing of others.

    Raises: CheckpointError for a file that is no JSON.
    """
    path = directory / MODEL_CONFIG
    data = read_json(path) if path.is_file() else {}
    return data if data.get("model_type") == "CrossEncoder" else {}


def head_keys(family: Family, head: HeadConfig | None) -> dict[str, Any]:
    """Return what config.json says of a head: its class, its labels, its dropout; nothing of one without tensors.

    >>> from wellread.checkpoints.families.bert import FAMILY
    >>> head_keys(FAMILY, HeadConfig(task="answer"))
    {'architectures': ['BertForQuestionAnswering']}
    """
    kind = family.head_class(head)
    if head is None or kind is None:
        return {}
    keys: dict[str, Any] = {CLASSES: [family.head_architecture(kind)]}
    if head.labels:
        keys[LABELS] = {str(i): label for i, label in enumerate(head.labels)}
        keys["label2id"] = {label: i for i, label in enumerate(head.labels)}
    problem = MULTIPLE if head.row.problem_type == MULTIPLE else _stated_problem(head)
    keys |= {PROBLEM: problem} if problem else {}
    if (head.kind or head.task) == "rank":
        path = next(path for path, name in ACTIVATIONS.items() if name == head.activation)
        keys["sentence_transformers"] = {"activation_fn": path}
    return keys | ({kind.dropout_key: head.dropout} if kind.dropout_key else {})


def head_in_config(family: Family, config: EncoderConfig, head: HeadConfig | None) -> HeadConfig | None:
    """Return a head as config.json can express it: a pair is `classify` there."""
    kind = family.head_class(head)
    if head is None or kind is None:
        return None
    name = head.kind or head.task
    task = "classify" if HEADS[name] == HEADS["classify"] else name if HEADS[name].on_text else kind.task
    dropout = head.dropout if kind.dropout_key else _dropout(kind, config, {})
    fixed: dict[str, Any] = {"task": task, "kind": None, "low": 0.0, "high": 1.0}
    return replace(head, **fixed, dropout=dropout, problem_type=_stated_problem(head))


def _stated_problem(head: HeadConfig) -> str | None:
    """Return the `problem_type` of a head that gives numbers; without one, one logit would go through a sigmoid."""
    return REGRESSION if (head.kind or head.task, head.activation) == ("score", "identity") else head.problem_type


def check_expressible(family: Family, config: EncoderConfig, head: HeadConfig | None) -> None:
    """Refuse a head that Hugging Face's classes of the family do not compute. Raises: ConfigError."""
    kind = family.head_class(head)
    if head is None or kind is None:
        return
    theirs = {name: value for name, value in kind.first_map.items() if value != getattr(head, name)}
    if theirs:
        raise ConfigError(
            f"a {family.name} module with a head for {head.task} was to be saved; found "
            f"{', '.join(f'{name} {getattr(head, name)}' for name in theirs)} where this family has "
            f"{', '.join(map(str, theirs.values()))}; make its head anew"
        )
    plain = head.activation == "identity" or (head.activation == "sigmoid" and len(head.labels) == 1)
    if (head.kind or head.task) == "score" and not plain:
        raise ConfigError(
            f"a module with a head for {head.task} was to be saved; found {len(head.labels)} outputs that go through "
            f"{head.activation}, which Hugging Face's configuration cannot tell; give it the task rank, whose files can"
        )
    if family.needs_pooler(head) and config.pooler != "dense_tanh":
        raise ConfigError(
            f"a {family.name} module with a head for {head.task} was to be saved; found the pooler {config.pooler} "
            "where Hugging Face's class has a dense map; give it one before fine-tuning"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of a head, in the order of its logits."""

    names: tuple[str, ...] = ()
    inferred: str = ""  # what they were taken to be and why, where no file states them
    fault: str = ""  # why there are none


def _labels(data: Mapping[str, Any]) -> Labels:
    """Return the labels in the order of their numbers; Hugging Face's own, of two or `num_labels`, where none stand.

    A label that is no text is shown as JSON writes it. Where two are equal, all bear Hugging Face's own names, which
    tell them apart by their numbers.
    """
    id2label = data.get(LABELS)
    if id2label is None:
        count = data.get(COUNT, 2)
        count = count if type(count) is int and 0 <= count < MANY else 2
        names = _numbered(count)
        return Labels(names=names, inferred=f"{', '.join(names)}, as no {LABELS} names them")
    numbers = [str(i) for i in range(len(id2label))] if isinstance(id2label, Mapping) else []
    if not isinstance(id2label, Mapping) or id2label.keys() != set(numbers):
        return Labels(fault=f"{LABELS} names no label for each of 0, 1, 2 ...: it is {reprlib.repr(id2label)}")
    labels = [id2label[number] for number in numbers]
    shown = tuple(map(_shown, labels))
    if twice := [label for label, count in Counter(shown).items() if count > 1]:
        names = _numbered(len(shown))
        return Labels(names=names, inferred=f"{', '.join(names)}, as {LABELS} names {reprlib.repr(twice[0])} twice")
    return Labels(names=shown)


def _shown(label: Any) -> str:
    """Show a label of any JSON type as a text; one that is not plain is cut short."""
    if isinstance(label, str):
        return label
    plain = label is None or isinstance(label, bool | int | float)
    return json.dumps(label) if plain else reprlib.repr(label)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"LABEL_{i}" for i in range(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What is made of the logits of a text."""

    task: str
    activation: str = "identity"
    ignored: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""  # why it is not known


def _scored(data: Mapping[str, Any], labels: Collection[str]) -> Scored:
    """Say what is made of the logits, as Hugging Face's pipeline or, of a cross-encoder, sentence-transformers has it.

    One logit goes through a sigmoid, unless `problem_type` says that it is a number; a cross-encoder names its own
    activation, which otherwise is a sigmoid of one logit, and none of several.
    """
    places = [place for place in ACTIVATION_PLACES if data.get(place) is not None]
    sigmoid = "sigmoid" if len(labels) == 1 else "identity"
    for place in places:
        path = data[place] if place == OLD_ACTIVATION else _member(data[place], "activation_fn")
        if path is None:
            continue
        name = next((ours for theirs, ours in ACTIVATIONS.items() if _same_class(path, theirs)), None)
        if name is not None:
            return Scored(task="rank", activation=name)
        if isinstance(path, str) and path.startswith("torch."):
            return Scored(task="rank", fault=f"its scores go through {path}, which is not computed here")
        why = f"it names {reprlib.repr(path)}, code that is never run; the usual activation, {sigmoid}, is taken"
        return Scored(task="rank", activation=sigmoid, ignored={place: why})
    if places:
        return Scored(task="rank", activation=sigmoid)
    if data.get(PROBLEM) == MULTIPLE:
        return Scored(task="multilabel")
    if data.get(PROBLEM) == REGRESSION:
        return Scored(task="score")
    return Scored(task="score", activation="sigmoid") if len(labels) == 1 else Scored(task="classify")


def _member(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _same_class(path: Any, known: str) -> bool:
    """Say whether a path names a known class of torch.nn, by the module that defines it or by torch.nn itself.

    >>> _same_class("torch.nn.Sigmoid", "torch.nn.modules.activation.Sigmoid")
    True
    """
    return path in (known, f"torch.nn.{known.rpartition('.')[2]}")


def _unusable(
    kind: HeadClass, data: Mapping[str, Any], labels: tuple[str, ...], of_head: Collection[str]
) -> str | None:
    """Say why a head cannot be used; its own faults, such as a tensor that is missing, are for others to find."""
    problem, known, on_text = data.get(PROBLEM), (SINGLE, REGRESSION, MULTIPLE), HEADS[kind.task].on_text
    if on_text and problem is not None and problem not in known:
        return f"{PROBLEM} is {reprlib.repr(problem)}, and wellread computes {', '.join(known)}"
    fewest, why = (1, "a head gives one number or more") if on_text else (2, "a choice takes two or more")
    if HEADS[kind.task].logits is None and len(labels) < fewest:
        return f"it has {len(labels)} label{'s' * (len(labels) != 1)}, and {why}"
    # DistilKoBERT's own fine-tuning had none, in a class that bore Hugging Face's name
    before = kind.rows.get(FIRST_MAP, FIRST_MAP).removesuffix("weight")
    if kind.pre_classifier and of_head and not any(name.startswith(before) for name in of_head):
        return f"it is {', '.join(of_head)} alone, and the class that {CLASSES} names has {before}* before it"
    return None


def _dropout(kind: HeadClass, config: EncoderConfig, data: Mapping[str, Any]) -> Any:
    """Return the rate before the last map: the key's, the class's own, or the encoder's."""
    rate = data.get(kind.dropout_key) if kind.dropout_key else None
    default = config.hidden_dropout_prob if kind.dropout is None else kind.dropout
    return default if rate is None else rate
