"""Labelled examples to rows of tokens and targets."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import HEAD_TASKS, HeadConfig
from wellread.data.examples import Examples, Given, LabelMap, as_examples
from wellread.data.tables import at
from wellread.encoder.heads import LOGITS_OUTPUT
from wellread.errors import DataError, InputError, nearest
from wellread.learn.init import has_pre_classifier
from wellread.learn.rows import Rows
from wellread.learn.settings import FinetuneConfig
from wellread.learn.step import Inputs, Loss, tensors
from wellread.metrics.entities import entities
from wellread.tasks.tags import IGNORED
from wellread.text.batch import Ragged, Template

NEEDED = {
    "classify": ("labels",),
    "pair": ("pairs", "labels"),
    "similarity": ("pairs", "scores"),
    "tag": ("tags", "spans"),
    "answer": ("pairs", "answers"),
}
MATCHED = ("1", "1.0")  # the label, or the score, of pairs that belong together


def lessons(task: str, given: Given, config: FinetuneConfig) -> Examples:
    """Return what `task` is learnt from, with all columns that it needs.

    Examples may be the path of a file. Rows in Python name their columns text, pair, label, score, tags and answers. A
    contrastive loss takes pairs; where there are labels or scores, those of 1.

    Raises: InputError for an unknown task; DataError for columns that are not there, or no examples.
    """
    if task not in HEAD_TASKS:
        raise InputError(
            f"the task {task!r} was asked for; modules are fine-tuned for {', '.join(HEAD_TASKS)}; name one of them"
            f"{nearest(task, HEAD_TASKS)}"
        )
    examples = as_examples(given)
    if task == "similarity" and config.loss == "contrastive":
        return _matched(_whole(task, examples, ("pairs",)))
    return _whole(task, examples, NEEDED[task])


def dev_lessons(task: str, given: Given, head: HeadConfig) -> Examples:
    """Return what `head` is to be scored on.

    Raises: DataError for columns that are not there, labels that the head does not know, tags that are no entities.
    """
    examples = _whole(task, as_examples(given), NEEDED[task])
    _refuse_unknown_labels(examples, head.labels)
    if examples.tags is not None and task == "tag":
        for row in examples.tags:
            entities(row)  # these alone can be scored
    return examples


def head_for(
    task: str, examples: Examples, checkpoint: Checkpoint, config: FinetuneConfig, labels: Sequence[str]
) -> HeadConfig:
    """Describe the head that the examples ask for; labels in the order of `labels`, of the module's head, or sorted.

    Raises: DataError for labels that `labels` does not name, or examples that all have one label or score.
    """
    seen = _labels_of(task, examples)
    names: tuple[str, ...] = ()
    if seen:
        _refuse_one(seen, examples, "label")
        names = tuple(labels) or LabelMap.of(seen).names
        _refuse_unknown_labels(examples, names)
    if checkpoint.head is not None and set(checkpoint.head.labels) == set(names):
        names = checkpoint.head.labels
    low, high = 0.0, 1.0
    if task == "similarity" and config.loss == "cosine":
        scores = examples.scores or []
        _refuse_one([str(score) for score in scores], examples, "score")
        low, high = min(scores), max(scores)
    return HeadConfig(
        task=task,
        labels=names,
        pre_classifier=has_pre_classifier(checkpoint, task),
        dropout=config.head_dropout,
        low=low,
        high=high,
    )


def _whole(task: str, examples: Examples, needed: Sequence[str]) -> Examples:
    lacking = [name for name in needed if getattr(examples, name) is None]
    if lacking:
        raise DataError(
            f"{' and '.join(needed)} were asked of {examples.source} for {task}; found no {' and no '.join(lacking)}; "
            "name their columns, or the file's format"
        )
    if not len(examples):
        raise DataError(f"examples were asked of {examples.source} for {task}; found 0; give it some")
    if task == "answer":
        _refuse_lost_answers(examples)
    return examples


def _refuse_lost_answers(examples: Examples) -> None:
    """Refuse answers that do not stand where they are said to. Files were held to that when they were read."""
    rows = zip(examples.pairs or [], examples.answers or [], strict=True)
    lost = [not all(context.startswith(answer.text, answer.start) for answer in row) for context, row in rows]
    if any(lost):
        raise DataError(
            f"answers that stand at their start in the context were asked of {examples.source}; found {sum(lost)} of "
            f"{len(lost)} rows that have others, {at(examples.lines, lost)}; mend where they start"
        )


def _matched(examples: Examples) -> Examples:
    """Keep the pairs that belong together. Raises: DataError for less than two."""
    said = examples.labels if examples.labels is not None else examples.scores
    kept = [row for row in range(len(examples)) if said is None or str(said[row]) in MATCHED]
    if len(kept) < 2:
        raise DataError(
            f"two pairs or more that belong together were asked of {examples.source}; found {len(kept)} of "
            f"{len(examples)} with the label or score 1; name another column, or none"
        )
    assert examples.pairs is not None
    return replace(
        examples,
        lines=[examples.lines[row] for row in kept],
        texts=[examples.texts[row] for row in kept],
        pairs=[examples.pairs[row] for row in kept],
        labels=None,
        scores=None,
        ids=None,
    )


def _labels_of(task: str, examples: Examples) -> list[str]:
    if task == "tag":
        return [tag for row in examples.tags or [] for tag in row]
    return (examples.labels or []) if task in ("classify", "pair") else []


def _refuse_one(seen: Sequence[str], examples: Examples, what: str) -> None:
    counts = Counter(seen)
    if len(counts) < 2:
        raise DataError(
            f"two {what}s or more were asked of {examples.source}; found that all {len(seen)} are "
            f"{next(iter(counts))}; give examples of others, or name another column"
        )


def _refuse_unknown_labels(examples: Examples, names: Sequence[str]) -> None:
    """Refuse labels or tags that are not among `names`, with the lines where they stand. Raises: DataError."""
    if not names:
        return
    if examples.tags is not None:
        seen = [tag for row in examples.tags for tag in row]
        lines = [line for line, row in zip(examples.lines, examples.tags, strict=True) for _ in row]
    else:
        seen, lines = examples.labels or [], list(examples.lines)
    LabelMap(names=tuple(names)).ids(seen, source=examples.source, lines=lines)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledTask:
    """Answer rows by the logits of the model's head."""

    model: TorchEncoder
    rows: Rows
    targets: NDArray[np.int64] | Ragged  # [N], [N, 2] (first and last position of a span), or one a piece of the text
    losing: Callable[[Tensor, Inputs], Loss]  # from logits and inputs, `targets` among them
    settings: Mapping[str, Any]  # what the result depends on beside the data

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, special ones included."""
        return self.rows.lengths

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest, and put their targets beside them."""
        inputs = tensors(self.rows.pack(rows))
        if isinstance(self.targets, Ragged):
            targets = beside_pieces(self.targets.take(rows), inputs["input_mask"].shape[1], self.rows.template)
        else:
            targets = self.targets[rows]
        return {**inputs, "targets": torch.from_numpy(targets)}

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the losses of the logits."""
        logits = self.model(inputs, [LOGITS_OUTPUT])[LOGITS_OUTPUT]
        assert isinstance(logits, Tensor)
        return self.losing(logits.float(), inputs)

    def identity(self) -> dict[str, Any]:
        """Name the data by their hash, and what else the result depends on."""
        targets = self.targets.values if isinstance(self.targets, Ragged) else self.targets
        return {"data": self.rows.digest(), "targets": hexdigest(targets), **self.settings}


def hexdigest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def beside_pieces(targets: Ragged, width: int, template: Template) -> NDArray[np.int64]:
    """Put targets of pieces where the pieces stand in packed rows of `width`: int64 [B, width].

    >>> from wellread.text.vocabulary import SpecialTokens
    >>> template = Template.of("bert", SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4))
    >>> beside_pieces(Ragged.from_rows([[7, -100, 8], [9]]), 4, template).tolist()
    [[-100, 7, -100, -100], [-100, 9, -100, -100]]
    """
    made = np.full((len(targets), width), IGNORED, np.int64)
    for row, given in enumerate(targets):
        kept = given[: template.room(width)]
        made[row, template.first_column : template.first_column + len(kept)] = kept
    return made


def label_loss(logits: Tensor, inputs: Inputs) -> Loss:
    """Sum the cross-entropy of labels over rows [B, C], or over the pieces [B, T, C] that have one."""
    targets = inputs["targets"]
    total = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return Loss(total=total, count=(targets != IGNORED).sum())


def span_loss(logits: Tensor, inputs: Inputs) -> Loss:
    """Sum the cross-entropy of where spans begin and end, their mean, over rows [B, T, 2]; padding is no place.

    Devlin et al. 2018, section 4.2.
    """
    places = logits.masked_fill(inputs["input_mask"][:, :, None] == 0, float("-inf"))
    total = functional.cross_entropy(places.transpose(1, 2).flatten(0, 1), inputs["targets"].flatten(), reduction="sum")
    return Loss(total=total / 2, count=len(logits))
