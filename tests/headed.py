"""Tiny checkpoints under the head of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from tiny import tiny_checkpoint, tiny_config

from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import head_shapes
from wellread.config import HEADS, REGRESSION, EncoderConfig, HeadConfig, SentenceConfig

LABELS = ("no", "yes", "모름", "d", "e")  # C 5
TASKS = ("classify", "pair", "tag", "answer", "similarity", "score", "rank", "multilabel")
FAMILIES = ("bert", "distilbert")


def head_of(task: str, family: str = "bert", **changes: Any) -> HeadConfig:
    """Make the head that a fine-tuned module of the family has."""
    labels = LABELS if HEADS[task].logits is None else ()
    before = family == "distilbert" and HEADS[task].on_text
    given: dict[str, Any] = {"task": task, "labels": labels, "pre_classifier": before}
    if HEADS[task].problem_type == REGRESSION:
        given |= {"labels": ("score",), "activation": "sigmoid" if task == "rank" else "identity"}
    return HeadConfig(**{**given, **changes})


def family_config(family: str, **changes: Any) -> EncoderConfig:
    fixed = {"type_vocab_size": 0, "pooler": "first_token"} if family == "distilbert" else {}
    return tiny_config(**{**fixed, **changes})


def headed(checkpoint: Checkpoint, head: HeadConfig, *, seed: int = 5) -> Checkpoint:
    """Put a head with drawn weights on a checkpoint."""
    rng = np.random.default_rng(seed)
    wanted = head_shapes(checkpoint.config, head)
    arrays = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in wanted.items()}
    return replace(checkpoint, head=head, tensors={**checkpoint.tensors, **in_memory(arrays)})


def headed_checkpoint(
    task: str, family: str = "bert", *, mlm: bool = False, sizes: Mapping[str, int] | None = None, **head: Any
) -> Checkpoint:
    sentence = SentenceConfig(max_seq_length=32)
    config = family_config(family, **(sizes or {}))
    return headed(tiny_checkpoint(config, sentence, mlm=mlm), head_of(task, family, **head))
