"""The well-read student's way: a small pre-trained module learns what a fine-tuned teacher says of unlabelled text.

Turc et al. 2019 (arXiv:1908.08962), section 2: after pre-training, and before fine-tuning, the student is drawn to the
teacher's soft labels on text of the task, the transfer set. The two need have neither vocabulary nor shape in common.

Several teachers say the mean of their logits. Rows with a label of their own add its cross-entropy (Hinton et al. 2015,
arXiv:1503.02531, sections 2 and 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.config import SINGLE, HeadConfig
from wellread.data.examples import LabelMap
from wellread.encoder.heads import LOGITS_OUTPUT
from wellread.errors import ConfigError, DataError, TrainingError
from wellread.learn.distill.student import DistillInputs, Student, Teacher, text_caches, text_rows, texts_in_memory
from wellread.learn.init import first_map, with_head
from wellread.learn.rows import Rows
from wellread.learn.step import Inputs, Loss

UNLABELLED = -1


def labels_student(inputs: DistillInputs) -> Student:
    """Prepare a student to learn soft labels.

    Raises: TrainingError for a teacher that is not fine-tuned for whole texts, or no student; DataError for texts where
        the teacher judges pairs, or the other way round, and for labels that it does not know; ConfigError, as for
        teachers that do not know the same labels.
    """
    student, config = inputs.student, inputs.config
    heads = [taught_head(teacher) for teacher in inputs.teachers]
    head, columns = heads[0], label_columns(heads)
    if student is None:
        raise TrainingError(
            "the method 'labels' teaches a module that is pre-trained; found no student; name one with student= "
            "(--student), as google/bert_uncased_L-2_H-128_A-2 or one that wellread pretrain made"
        )
    texts = text_columns(inputs, head)
    labels, weight = label_ids(inputs, head, len(texts[0])), config.hard_label_weight
    checkpoint = with_head(
        student.checkpoint,
        replace(head, **first_map(student.checkpoint, head.kind or head.task)),
        max_seq_length=config.max_seq_length,
        seed=config.loop.seed,
    )
    rows = text_rows(student, texts, max_seq_length=config.max_seq_length)
    rows.warn_cut()
    caches = text_caches(inputs, [text_rows(teacher.module, texts) for teacher in inputs.teachers], LOGITS_OUTPUT)
    return Student(
        inputs=inputs,
        checkpoint=checkpoint,
        tokenizer=student.tokenizer,
        model=TorchEncoder(checkpoint).train(),
        rows=rows,
        caches=caches,
        objective=partial(soft_label_loss, columns=columns, temperature=config.temperature, hard_label_weight=weight),
        facts={
            "answers": caches[0].outputs[0].key,
            **({"further_answers": [cache.outputs[0].key for cache in caches[1:]]} if caches[1:] else {}),
            "temperature": config.temperature,
            "max_seq_length": rows.max_seq_length,
            **({} if labels is None else {"labels": hashlib.sha256(labels.tobytes()).hexdigest()}),
            **({} if labels is None else {"hard_label_weight": weight}),
        },
        pack=None if labels is None else partial(labelled_batch, all_rows=rows, labels=labels),
    )


def taught_head(teacher: Teacher) -> HeadConfig:
    """Return the head whose labels a teacher teaches. Raises: TrainingError for none, or one for another task."""
    head = teacher.module.checkpoint.head
    if head is None or head.row.problem_type != SINGLE:
        found = f"one for {head.task}" if head else "no head"
        raise TrainingError(
            f"the teacher's labels were asked for; found that it is not fine-tuned for the task: it has {found}; "
            "fine-tune it first: wellread finetune classify, or pair"
        )
    return head


def text_columns(inputs: DistillInputs, head: HeadConfig) -> list[list[str]]:
    """Return the texts of all rows, or both texts of each pair; those of labelled examples stand last.

    Raises: DataError for texts where the teacher judges pairs, or the other way round.
    """
    given = [("texts", texts_in_memory(inputs), inputs.pairs)] if inputs.texts else []
    if inputs.examples is not None:
        given.append(("labelled examples", inputs.examples.texts, inputs.examples.pairs))
    paired = head.task == "pair"
    for what, _, pairs in given:
        if (pairs is not None) != paired:
            raise DataError(
                f"the teacher is fine-tuned for {head.task}; found {what} {'without' if pairs is None else 'with'} a "
                f"second one; {'name its column (pair_column)' if paired else 'leave the second out'}"
            )
    first = [text for _, texts, _ in given for text in texts]
    return [first, [text for _, _, pairs in given for text in pairs or []]] if paired else [first]


def label_columns(heads: Sequence[HeadConfig]) -> NDArray[np.int64]:
    """Return where the logit of each label of the first head stands in each head: int64 [K, C].

    Raises: ConfigError for a head of another task, or of other labels.

    >>> heads = [HeadConfig(task="classify", labels=labels) for labels in (("no", "yes"), ("yes", "no"))]
    >>> label_columns(heads).tolist()
    [[0, 1], [1, 0]]
    """
    first = heads[0]
    for number, head in enumerate(heads[1:], 2):
        if head.task != first.task or set(head.labels) != set(first.labels):
            raise ConfigError(
                f"teachers that give one text the same labels were expected; found that the first is fine-tuned for "
                f"{first.task} with {', '.join(first.labels)}, and number {number} for {head.task} with "
                f"{', '.join(head.labels)}; leave one out, or fine-tune it on the same labels"
            )
    return np.array([[head.labels.index(label) for label in first.labels] for head in heads])


def label_ids(inputs: DistillInputs, head: HeadConfig, count: int) -> NDArray[np.int64] | None:
    """Return the label of each of `count` rows, the labelled ones last, UNLABELLED of the others; None for none at all.

    Raises: DataError for examples without labels, or with others than the head's; ConfigError for labels that would
        count for nothing, or a weight of labels where there are none.
    """
    examples, weight = inputs.examples, inputs.config.hard_label_weight
    if (examples is None) != (weight == 0):
        found = f"{'no' if examples is None else len(examples)} labelled examples and hard_label_weight {weight:g}"
        raise ConfigError(
            f"labels are learned from labelled examples with a weight; found {found}; give both, or neither (texts "
            "need no labels)"
        )
    if examples is None:
        return None
    if examples.labels is None:
        raise DataError(f"labels were asked of {examples.source}; found none; name their column, or the file's format")
    if examples.soft_labels is not None:
        raise DataError(
            f"a label of each row was asked of {examples.source}; found the shares of several; learn them with "
            "wellread finetune, or name the column of the true labels"
        )
    ids = LabelMap(names=head.labels).ids(examples.labels, source=examples.source, lines=examples.lines)
    return np.concatenate([np.full(count - len(ids), UNLABELLED), ids])


def labelled_batch(
    rows: NDArray[np.int64], epoch: int, *, all_rows: Rows, labels: NDArray[np.int64]
) -> Mapping[str, NDArray[Any]]:
    """Return the batch of some rows, and their `labels` [B]."""
    return {**all_rows.pack(rows), "labels": labels[rows]}


def soft_label_loss(
    model: TorchEncoder,
    inputs: Inputs,
    *,
    columns: NDArray[np.int64],
    temperature: float,
    hard_label_weight: float = 0.0,
) -> Loss:
    """Sum the divergences KL(teacher | student) of logits [B, C] at a temperature, times its square.

    Their gradient is that of the paper's cross-entropy with soft labels; they end at 0 where the two agree. Of K
    teachers the logits [B, K * C] are brought to one order of labels by `columns` [K, C], and their mean is taken.
    Where there are `labels`, their cross-entropy is added, times its weight.
    """
    logits = model(inputs, [LOGITS_OUTPUT])[LOGITS_OUTPUT]
    assert isinstance(logits, Tensor)
    ours = (logits.float() / temperature).log_softmax(-1)
    theirs = (mean_logits(inputs["theirs"].float(), columns) / temperature).log_softmax(-1)
    total = functional.kl_div(ours, theirs, reduction="sum", log_target=True) * temperature**2
    if "labels" in inputs:
        hard = functional.cross_entropy(logits.float(), inputs["labels"], ignore_index=UNLABELLED, reduction="sum")
        total = total + hard_label_weight * hard
    return Loss(total=total, count=len(ours))


def mean_logits(theirs: Tensor, columns: NDArray[np.int64]) -> Tensor:
    """Return the mean [B, C] of the logits of K teachers [B, K * C], whose labels stand as `columns` [K, C] says."""
    count, width = columns.shape
    places = columns + width * np.arange(count)[:, None]
    return theirs[:, torch.from_numpy(places.ravel()).to(theirs.device)].unflatten(1, (count, width)).mean(1)
