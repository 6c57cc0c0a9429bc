"""Checkpoints with int8 matrices, made without calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.quantising.matrices import quantise_matrix

TABLES = ("embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight")


def with_int8(checkpoint: Checkpoint, *, input_scales: bool = True) -> Checkpoint:
    """Quantise the tables and every linear map of the layers; the inner layer's outputs, say, have input scales."""
    rng = np.random.default_rng(0)
    matrices = {}
    for name, tensor in checkpoint.tensors.items():
        if len(tensor.shape) == 2 and (name in TABLES or name.startswith("encoder.layer.")):
            of_query = ".self." in name  # three maps of one input
            scaled = input_scales and (of_query or ".intermediate." in name)
            scales = np.exp(np.random.default_rng(1).normal(0, 0.5, tensor.shape[1]) if scaled else rng.normal(0, 1, 1))
            matrices[name] = quantise_matrix(
                np.asarray(tensor.read(), np.float32),
                input_scales=scales.astype(np.float32) if scaled else None,
                multiplied=name not in TABLES,
            )
    return replace(checkpoint, tensors={**checkpoint.tensors, **in_memory(matrices)})
