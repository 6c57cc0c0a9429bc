"""What tests of distillation share: texts, a teacher, settings that train in a second, and the weights of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import tiny_checkpoint, tiny_config, tiny_tokenizer

from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import head_shapes
from wellread.config import HeadConfig, SentenceConfig
from wellread.learn.distill import teacher as teachers
from wellread.learn.distill.distill import distill
from wellread.learn.settings import DistillConfig, LayersConfig, LoopConfig, RelationsConfig
from wellread.module import Module

RNG = np.random.default_rng(0)
WORDS = "a man woman cat is playing the guitar flute runs sleeps paris france of".split()
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(4, 9))) for _ in range(60)]
LOOP = LoopConfig(
    num_train_epochs=3, per_device_train_batch_size=16, learning_rate=5e-3, save_steps=4, logging_steps=1, bf16="false"
)
SETTINGS = DistillConfig(
    num_hidden_layers=2,
    hidden_size=8,
    num_attention_heads=2,
    max_seq_length=16,
    layers=LayersConfig(teacher_layers="0, 2", mask_sets=2),
    relations=RelationsConfig(relation_heads=4),
    loop=LOOP,
)
METHODS = {name: replace(SETTINGS, method=name) for name in ("layers", "labels", "relations", "vectors")}


def lively(checkpoint: Checkpoint) -> Checkpoint:
    """Scale LayerNorm up, so that texts differ in their vectors by more than half precision hides."""
    arrays = {name: array + name.endswith("LayerNorm.weight") for name, array in checkpoint.arrays().items()}
    return replace(checkpoint, tensors=in_memory({name: np.float32(array) for name, array in arrays.items()}))


def headed(checkpoint: Checkpoint, head: HeadConfig) -> Checkpoint:
    """Put a head of random weights on a checkpoint, in the place of that for masked words."""
    rng = np.random.default_rng(9)
    drawn = {n: rng.normal(0, 0.5, s).astype(np.float32) for n, s in head_shapes(checkpoint.config, head).items()}
    kept = {name: tensor for name, tensor in checkpoint.tensors.items() if not name.startswith("cls.")}
    return replace(checkpoint, head=head, tensors={**kept, **in_memory(drawn)})


def teacher_for(method: str, place: Path, *, task: str = "classify") -> Module:
    """Make a teacher that a method can learn from."""
    checkpoint = lively(tiny_checkpoint(sentence=SentenceConfig(normalize=True, max_seq_length=32)))
    if method == "labels":
        checkpoint = headed(checkpoint, HeadConfig(task=task, labels=("bad", "good", "so so")))
    return Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(place))


def student_for(method: str, place: Path) -> Module | None:
    """Make the pre-trained student of a method that needs one."""
    if method != "labels":
        return None
    config = tiny_config(hidden_size=8, num_attention_heads=2, num_hidden_layers=1, pooler="first_token")
    return Module(checkpoint=tiny_checkpoint(config, seed=4), tokenizer=tiny_tokenizer(place))


def run(method: str, place: Path, *, resume: Any = None, config: DistillConfig | None = None) -> dict[str, Any]:
    """Distil in `place`; return the student's weights."""
    made = distill(
        teacher_for(method, place / "teacher"),
        TEXTS,
        output_dir=place / "run",
        config=config or METHODS[method],
        student=student_for(method, place / "student"),
        resume_from_checkpoint=resume,
    )
    return made.checkpoint.arrays()


@contextmanager
def small_shards(rows: int = 64) -> Iterator[None]:
    """Let a set of outputs be many shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teachers, "SHARD", rows)
        yield


@contextmanager
def watched(name: str, seen: Callable[[Any], None]) -> Iterator[None]:
    """Call `seen` with the arguments of a function of `teacher`, or of a method of its outputs, which does its work."""
    home = teachers if hasattr(teachers, name) else teachers.TeacherOutput
    work = getattr(home, name)

    def instead(*given: Any) -> Any:
        seen(given)
        return work(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, name, instead)
        yield
