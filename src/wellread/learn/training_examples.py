"""Labelled examples, held against what a task needs, and the head that they ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import HEADS, REGRESSION, HeadConfig
from wellread.data.examples import Examples, Given, LabelMap, as_examples
from wellread.errors import DataError
from wellread.learn.init import first_map
from wellread.learn.settings import FinetuneConfig
from wellread.tasks.registry import task_named
from wellread.tasks.task import Task

MATCHED = ("1", "1.0")  # the label, or the score, of pairs that belong together


def training_examples(task: str, given: Given, config: FinetuneConfig) -> Examples:
    """Return what `task` is learnt from, with all columns that it needs.

    Examples may be the path of a file. Rows in Python name their columns text, pair, label, score, tags and answers. A
    contrastive loss takes pairs; where there are labels or scores, those of 1.

    Raises: InputError for an unknown task; DataError for columns that are not there, or no examples.
    """
    row = task_named(task)
    if row.loss == "cosine" and config.loss == "contrastive":
        return _matched(_whole(row, as_examples(given, needed=row.columns), ("pairs",)))
    return _whole(row, as_examples(given, needed=row.columns), row.columns)


def dev_examples(task: str, given: Given, head: HeadConfig) -> Examples:
    """Return what `head` is to be scored on.

    Raises: DataError for columns that are not there, labels that the head does not know, tags that are no entities.
    """
    row = task_named(task)
    examples = _whole(row, as_examples(given, needed=row.columns), row.columns)
    _refuse_unknown_labels(row, examples, head.labels)
    row.check_dev(examples)
    return examples


def head_for(
    task: str, examples: Examples, checkpoint: Checkpoint, config: FinetuneConfig, labels: Sequence[str]
) -> HeadConfig:
    """Describe the head that the examples ask for; labels in the order of `labels`, of the module's head, or sorted.

    Raises: DataError for labels that `labels` does not name, or examples that all have one label or score.
    """
    row = task_named(task)
    old = checkpoint.head
    names: tuple[str, ...] = row.outputs
    numbers: dict[str, Any] = {}
    if row.labelled:
        present, _ = row.labels(examples)
        _refuse_one(present, examples, "label")
        names = tuple(labels) or LabelMap.of(present).names
        _refuse_unknown_labels(row, examples, names)
    if old is not None and set(old.labels) == set(names):
        names = old.labels
    low, high = 0.0, 1.0
    if examples.scores is not None and (row.outputs or (row.loss == "cosine" and config.loss == "cosine")):
        _refuse_one([str(score) for score in examples.scores], examples, "score")
    if row.loss == "cosine" and config.loss == "cosine":
        low, high = min(examples.scores or []), max(examples.scores or [])
    if row.outputs:
        numbers = {"problem_type": REGRESSION}
        if old is not None and old.row == HEADS[row.head] and len(old.labels) == len(names):
            names, numbers = old.labels, {"problem_type": old.problem_type, "activation": old.activation}
    return HeadConfig(
        task=task,
        labels=names,
        **first_map(checkpoint, row.head),
        dropout=config.head_dropout,
        low=low,
        high=high,
        kind=None if row.head == task else row.head,
        **numbers,
    )


def _whole(task: Task, examples: Examples, columns: Sequence[str]) -> Examples:
    """Refuse examples that lack a column, or are none. Raises: DataError."""
    lacking = [name for name in columns if getattr(examples, name) is None]
    if lacking:
        raise DataError(
            f"{' and '.join(columns)} were asked of {examples.source} for {task.name}; found no "
            f"{' and no '.join(lacking)}; name their columns, or the file's format"
        )
    if not len(examples):
        raise DataError(f"examples were asked of {examples.source} for {task.name}; found 0; give it some")
    task.check(examples)
    return examples


def _matched(examples: Examples) -> Examples:
    """Keep the pairs that belong together. Raises: DataError for less than two."""
    marks = examples.labels if examples.labels is not None else examples.scores
    rows = [row for row in range(len(examples)) if marks is None or str(marks[row]) in MATCHED]
    if len(rows) < 2:
        raise DataError(
            f"two pairs or more that belong together were asked of {examples.source}; found {len(rows)} of "
            f"{len(examples)} with the label or score 1; name another column, or none"
        )
    return replace(examples.part(rows), labels=None, scores=None, ids=None)


def _refuse_one(values: Sequence[str], examples: Examples, what: str) -> None:
    counts = Counter(values)
    if len(counts) < 2:
        raise DataError(
            f"two {what}s or more were asked of {examples.source}; found that all {len(values)} are "
            f"{next(iter(counts))}; give examples of others, or name another column"
        )


def _refuse_unknown_labels(task: Task, examples: Examples, names: Sequence[str]) -> None:
    """Refuse labels or tags that are not among `names`, with the lines where they stand. Raises: DataError."""
    if task.labelled:
        labels, lines = task.labels(examples)
        LabelMap(names=tuple(names)).ids(labels, source=examples.source, lines=lines)
