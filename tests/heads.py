"""Tiny modules with a head of a task, drawn at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tiny import tiny_checkpoint, tiny_config, tiny_tokenizer

from wellread.checkpoints.checkpoint import in_memory
from wellread.checkpoints.names import head_shapes
from wellread.config import EncoderConfig, HeadConfig, SentenceConfig
from wellread.module import Module

LABELS = {"classify": ("bad", "fair", "good"), "pair": ("no", "yes"), "tag": ("O", "B-LC", "I-LC", "B-PS", "I-PS")}
LABELS |= {"score": ("score",), "rank": ("score",), "multilabel": ("toxic", "insult", "threat")}


def headed_module(
    directory: Path, task: str, *, backend: str = "numpy", config: EncoderConfig | None = None, **head: Any
) -> Module:
    """Make a module of a task; `config` and fields of the head may be given."""
    config = config or tiny_config()
    chosen = HeadConfig(task=task, **{"labels": LABELS.get(task, ()), **head})
    checkpoint = tiny_checkpoint(config, SentenceConfig(max_seq_length=24), mlm=False)
    rng = np.random.default_rng(5)
    arrays = checkpoint.arrays()
    arrays |= {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in head_shapes(config, chosen).items()}
    # small biases and norms near 1, so that texts differ in what is said of them
    arrays = {name: _lively(name, array) for name, array in arrays.items()}
    checkpoint = replace(checkpoint, head=chosen, tensors=in_memory(arrays))
    return Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(directory), backend=backend)


def _lively(name: str, array: np.ndarray) -> np.ndarray:
    if name.endswith("LayerNorm.weight"):
        return 1 + array
    return array * np.float32(0.1) if name.endswith(".bias") else array
