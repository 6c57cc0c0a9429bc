"""The head of a fine-tuned model as Hugging Face's config.json tells it: read, written, held against wellread's."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from wellread.config import EncoderConfig, HeadConfig
from wellread.errors import ConfigError
from wellread.weights.families.bert import TASK_HEAD
from wellread.weights.families.family import Family, HeadClass

CLASSES, LABELS, PROBLEM, COUNT = "architectures", "id2label", "problem_type", "num_labels"
SINGLE = "single_label_classification"  # of Hugging Face's kinds of problem the one with one label a row
MANY = 100_000  # labels: more are no count that can be meant
BEFORE = "pre_classifier."  # DistilKoBERT's own fine-tuning had none, in a class that bore Hugging Face's name
LEFT_OUT = "the encoder is read without its head"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldHead:
    """The head that config.json tells, or why none is read."""

    head: HeadConfig | None = None
    used: Collection[str] = ()  # the keys that tell it
    ignored: Mapping[str, str] = field(default_factory=dict)
    inferred: Mapping[str, str] = field(default_factory=dict)


def told_head(
    family: Family, config: EncoderConfig, data: Mapping[str, Any], found: Collection[str], *, source: object
) -> ToldHead:
    """Read the head off the keys `data` of a config.json; `found` names the tensors, `source` the file.

    A pair is told as `classify`, for Hugging Face's class is the same.

    Raises: ConfigError for labels or a rate of dropout that are none.
    """
    named = data.get(CLASSES)
    classes = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    kind = next((kind for kind in family.heads if classes == [kind.architecture]), None)
    held = _of_heads(family, found)
    if kind is None:
        told = f"{CLASSES} names {', '.join(classes)}" if classes else f"config.json names no {CLASSES}"
        return ToldHead(ignored=dict.fromkeys(held, f"a task's head of a kind not known here: {told}; {LEFT_OUT}"))
    labels = () if kind.task == "answer" else _labels(data, source=source)
    if why := _unusable(kind, data, labels, held):
        return ToldHead(ignored=dict.fromkeys(held, f"a task's head; {why}; {LEFT_OUT}"))
    head = _made(kind, labels, _dropout(kind, config, data), source=source)
    used = [key for key in (CLASSES, LABELS, PROBLEM, kind.dropout_key) if key is not None and key in data]
    if kind.task == "answer" or LABELS in data:
        return ToldHead(head=head, used=used)
    return ToldHead(head=head, used=used, inferred={"head.labels": f"{', '.join(labels)}, as no {LABELS} names them"})


def head_keys(family: Family, head: HeadConfig | None) -> dict[str, Any]:
    """Return what config.json tells of a head: its class, its labels, its dropout; nothing of one without tensors.

    >>> from wellread.weights.families.bert import FAMILY
    >>> head_keys(FAMILY, HeadConfig(task="answer"))
    {'architectures': ['BertForQuestionAnswering']}
    """
    kind = family.head_class(head)
    if head is None or kind is None:
        return {}
    keys: dict[str, Any] = {CLASSES: [kind.architecture]}
    if head.labels:
        keys[LABELS] = {str(i): label for i, label in enumerate(head.labels)}
        keys["label2id"] = {label: i for i, label in enumerate(head.labels)}
    return keys | ({kind.dropout_key: head.dropout} if kind.dropout_key else {})


def as_told(family: Family, config: EncoderConfig, head: HeadConfig | None) -> HeadConfig | None:
    """Return what is left of a head once it went through config.json: a pair is told as `classify`."""
    kind = family.head_class(head)
    if head is None or kind is None:
        return None
    dropout = head.dropout if kind.dropout_key else _dropout(kind, config, {})
    return HeadConfig(task=kind.task, labels=head.labels, pre_classifier=head.pre_classifier, dropout=dropout)


def check_expressible(family: Family, config: EncoderConfig, head: HeadConfig | None) -> None:
    """Refuse a head that Hugging Face's classes of the family do not compute. Raises: ConfigError."""
    kind = family.head_class(head)
    if head is None or kind is None:
        return
    if head.pre_classifier != kind.pre_classifier:
        raise ConfigError(
            f"a {family.name} module with a head for {head.task} was to be saved; found pre_classifier "
            f"{head.pre_classifier} where this family has {kind.pre_classifier}; make its head anew"
        )
    if family.needs_pooler(head) and config.pooler != "dense_tanh":
        raise ConfigError(
            f"a {family.name} module with a head for {head.task} was to be saved; found the pooler {config.pooler} "
            "where Hugging Face's class has a dense map; give it one before fine-tuning"
        )


def _of_heads(family: Family, found: Collection[str]) -> list[str]:
    """List the tensors that a task's head may be of."""
    patterns = [pattern for pattern, why in family.ignored_tensors.items() if why == TASK_HEAD]
    return sorted(name for name in found if any(fnmatchcase(name, pattern) for pattern in patterns))


def _labels(data: Mapping[str, Any], *, source: object) -> tuple[str, ...]:
    """Return the labels in the order of their numbers; Hugging Face's own, of two or `num_labels`, where none stand."""
    if LABELS not in data:
        count = data.get(COUNT, 2)
        return tuple(f"LABEL_{i}" for i in range(count if type(count) is int and 0 <= count < MANY else 2))
    given = data[LABELS]
    numbers = [str(i) for i in range(len(given))] if isinstance(given, Mapping) else []
    if (
        not isinstance(given, Mapping)
        or given.keys() != set(numbers)
        or not all(type(x) is str for x in given.values())
    ):
        raise ConfigError(
            f"{LABELS} of {source} must name a label for each of 0, 1, 2 ...; found {reprlib.repr(given)}; correct the "
            f"file, or take {CLASSES} out of it to read the encoder alone"
        )
    return tuple(given[number] for number in numbers)


def _unusable(kind: HeadClass, data: Mapping[str, Any], labels: tuple[str, ...], held: Collection[str]) -> str | None:
    """Say why a head cannot be used; its own faults, such as a tensor that is missing, are for others to find."""
    problem = data.get(PROBLEM)
    if kind.task == "classify" and problem not in (None, SINGLE):
        return f"{PROBLEM} is {reprlib.repr(problem)}, and wellread computes {SINGLE}"
    if kind.task != "answer" and len(labels) < 2:
        return f"it has {len(labels)} label{'s' * (len(labels) != 1)}, and a choice takes two or more"
    if kind.pre_classifier and held and not any(name.startswith(BEFORE) for name in held):
        return f"it is {', '.join(held)} alone, and the class that {CLASSES} names has {BEFORE}* before it"
    return None


def _dropout(kind: HeadClass, config: EncoderConfig, data: Mapping[str, Any]) -> Any:
    """Return the rate before the last map: the key's, the class's own, or the encoder's."""
    said = data.get(kind.dropout_key) if kind.dropout_key else None
    own = config.hidden_dropout_prob if kind.dropout is None else kind.dropout
    return own if said is None else said


def _made(kind: HeadClass, labels: tuple[str, ...], dropout: Any, *, source: object) -> HeadConfig:
    try:
        return HeadConfig(task=kind.task, labels=labels, pre_classifier=kind.pre_classifier, dropout=dropout)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
