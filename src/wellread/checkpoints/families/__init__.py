"""The families of checkpoints. Each file here is one table, under the name FAMILY, or several alike, under FAMILIES."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellread.checkpoints.family import Family

_FILES = [
    importlib.import_module(f"wellread.checkpoints.families.{file.stem}")
    for file in sorted(Path(__file__).parent.glob("[!_]*.py"))
]
# model_type in config.json -> its family, BERT's own two first
FAMILIES: dict[str, Family] = {
    family.name: family
    for file in sorted(_FILES, key=lambda file: file.__name__.rpartition(".")[2] not in ("bert", "distilbert"))
    for family in (file.FAMILIES if hasattr(file, "FAMILIES") else [file.FAMILY])
}


def family_of(shape: Mapping[str, Any]) -> str:
    """Name the family of a shape that no file names one for: of those whose constants it has, the one with most.

    >>> family_of({"type_vocab_size": 0, "pooler": "first_token", "layer_norm_eps": 1e-12})
    'distilbert'
    """
    fitting = [family for family in FAMILIES.values() if shape.items() >= family.constants.items()]
    return max(fitting, key=lambda family: len(family.constants)).name
