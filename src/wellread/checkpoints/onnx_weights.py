"""The weights of our own ONNX exports: which constants of a graph are a module's tensors; no graph is run.

A matrix [out, in] that inputs are multiplied by lies there transposed, under its name and `.T`; int8 matrices have
their scales beside them, as in `int8_tensors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.families import FAMILIES
from wellread.checkpoints.int8_tensors import INPUT_SCALE, SCALE, WEIGHT, join_scales
from wellread.checkpoints.names import head_shapes, mismatches, shapes
from wellread.checkpoints.task_head import head_in_config
from wellread.config import HeadConfig
from wellread.errors import ConfigError, WeightsError, nearest
from wellread.formats.arrays import StoredTensor
from wellread.formats.onnx_file import read_onnx
from wellread.schema import account_for, read_json

TRANSPOSED = ".T"  # behind the name of a tensor
MLM_BIAS = "cls.predictions.bias"  # there with the masked-language-model head


def read_onnx_encoder(directory: Path, path: Path, *, pooler: str, head: HeadConfig | None) -> Checkpoint:
    """Read the encoder and head that the graph `path` computes, of the shape that `config.json` tells.

    Raises: CheckpointError, ConfigError, WeightsError.
    """
    source = directory / "config.json"
    data = read_json(source)
    model_type = str(data.get("model_type"))
    if model_type not in FAMILIES:
        raise ConfigError(
            f"{source} names the model_type {model_type!r}; wellread reads {', '.join(FAMILIES)}; export the module "
            f"again{nearest(model_type, FAMILIES)}"
        )
    family = FAMILIES[model_type]
    keys = account_for(data, family.keys, source=source)
    config = replace(family.encoder_config(keys.used, source=source), pooler=pooler)
    constants = read_onnx(path).tensors
    expected = shapes(config, mlm=MLM_BIAS in constants) | head_shapes(config, head)
    tensors = _tensors(constants, expected, source=path)
    if faults := mismatches(expected, tensors):
        raise WeightsError(
            f"{path} must hold the tensors of its config.json; found that {'; '.join(faults)}; export the module again"
        )
    return Checkpoint(
        family=family.name,
        config=config,
        head=head_in_config(family, config, head),
        tensors=tensors,
        ignored=keys.ignored,
    )


def _tensors(
    constants: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]], *, source: Path
) -> dict[str, StoredTensor]:
    """Choose the module's tensors among a graph's constants, and give them their layout."""
    named = {name.removesuffix(TRANSPOSED): _upright(tensor, name) for name, tensor in constants.items()}
    scales = [f"{name.removesuffix(WEIGHT)}{ending}" for name in expected for ending in (SCALE, INPUT_SCALE)]
    return join_scales({name: named[name] for name in [*expected, *scales] if name in named}, source=source)


def _upright(tensor: StoredTensor, name: str) -> StoredTensor:
    """Transpose a matrix that lies transposed."""
    if not name.endswith(TRANSPOSED) or len(tensor.shape) != 2:
        return tensor
    return StoredTensor(
        shape=tensor.shape[::-1], dtype=tensor.dtype, read=lambda: np.ascontiguousarray(tensor.read().T)
    )
