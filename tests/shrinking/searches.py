"""What tests of shrinking share: teachers, rows and settings that are through in a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from learn.made_lessons import made_examples, made_module, made_rows
from learn.pupils import lively

from wellread.module import Module
from wellread.shrinking.settings import ShrinkConfig

RATE = 5e-3
SETTINGS: dict[str, Any] = {
    **{"layers": "1", "widths": "8, 16", "vocabularies": "trimmed", "dtypes": "float16", "max_seq_length": 32},
    **{"candidates": 2, "eta": 3, "max_steps": 12, "save_steps": 2, "speed_texts": 16, "bf16": "false"},
    **{"pretrain_learning_rate": RATE, "distill_learning_rate": RATE, "finetune_learning_rate": RATE},
    **{"teacher_learning_rate": RATE, "teacher_epochs": 2, "finetune_epochs": 20.0, "budget": "10h"},
}
TEXTS = [str(row["text"]) for row in made_rows("classify", 120, seed=5)]


def config(**changes: Any) -> ShrinkConfig:
    return ShrinkConfig(**{**SETTINGS, **changes})


def base(directory: Path, *, layers: int = 2) -> Module:
    """Make a module without a head, of vectors that differ."""
    module = made_module(directory, num_hidden_layers=layers)
    module.checkpoint = lively(module.checkpoint)
    return module


def inputs(task: str) -> dict[str, Any]:
    """Return what a search for a task is given: texts for vectors, else labelled rows."""
    if task == "vectors":
        return {"texts": TEXTS}
    return {"train": made_examples(task, 96), "dev": made_examples(task, 40, seed=3)}
