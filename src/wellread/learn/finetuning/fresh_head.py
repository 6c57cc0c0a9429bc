"""A checkpoint made ready to be fine-tuned: with the head of its task, drawn anew or kept, and without the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wellread.config import EncoderConfig, HeadConfig
from wellread.errors import ConfigError
from wellread.learn.initial import drawn
from wellread.weights.checkpoint import Checkpoint, in_memory
from wellread.weights.names import head_shapes, sentence_shapes, shapes

WHOLE_TEXT = ("classify", "pair")  # one head for both; a configuration of Hugging Face does not say which it is
DROPPED = "fine-tuning keeps one head, that of the task"


def is_continued(old: HeadConfig | None, new: HeadConfig) -> bool:
    """Say whether the weights of a module's head answer what the new one is to answer.

    >>> is_continued(HeadConfig(task="classify", labels=("0", "1")), HeadConfig(task="pair", labels=("0", "1")))
    True
    """
    if old is None or not new.outputs:
        return False
    same = old.task == new.task or {old.task, new.task} <= {*WHOLE_TEXT}
    return same and old.labels == new.labels and old.pre_classifier == new.pre_classifier


def with_head(checkpoint: Checkpoint, head: HeadConfig, *, max_seq_length: int, seed: int) -> Checkpoint:
    """Put `head` on a checkpoint, with the old weights if `is_continued`, else drawn from `seed`.

    A family with a pooler that has none gets a fresh one for a task that judges whole texts, as in Hugging Face's
    classes. The head of the masked language model goes; the maps of the sentence vector stay.

    Raises: ConfigError for a `max_seq_length` beyond the position table.
    """
    limit = checkpoint.config.max_position_embeddings
    if max_seq_length > limit:
        raise ConfigError(
            f"rows of max_seq_length {max_seq_length} were asked for; the position table has {limit}; ask for less"
        )
    config = _judging(checkpoint, head)
    sentence = replace(checkpoint.sentence, max_seq_length=max_seq_length)
    if config.pooler != checkpoint.config.pooler and sentence.pooling == "pooled_output":
        sentence = replace(sentence, pooling="cls")  # what it was before there was a pooler
    ours = head_shapes(config, head)
    wanted = shapes(config) | sentence_shapes(sentence) | ours
    passed_over = set() if is_continued(checkpoint.head, head) else ours.keys()
    kept = {name: checkpoint.tensors[name] for name in wanted if name in checkpoint.tensors and name not in passed_over}
    fresh = {name: shape for name, shape in wanted.items() if name not in kept}
    tensors = kept | in_memory(drawn(fresh, config.initializer_range, np.random.default_rng(seed)))
    return Checkpoint(
        family=checkpoint.family,
        config=config,
        sentence=sentence,
        head=head,
        tensors={name: tensors[name] for name in wanted},
        ignored={**checkpoint.ignored, **({"cls.predictions": DROPPED} if checkpoint.has_mlm else {})},
        inferred=checkpoint.inferred,
    )


def has_pre_classifier(checkpoint: Checkpoint, task: str) -> bool:
    """Say whether a head has a map of its own before the classifier: where the family knows no pooler."""
    return task in WHOLE_TEXT and checkpoint.family == "distilbert"


def _judging(checkpoint: Checkpoint, head: HeadConfig) -> EncoderConfig:
    needs_pooler = head.task in WHOLE_TEXT and not head.pre_classifier
    return replace(checkpoint.config, pooler="dense_tanh") if needs_pooler else checkpoint.config
