"""Weights to begin with, drawn as BERT's are (Devlin et al. 2018, google-research/bert)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def drawn(
    wanted: Mapping[str, tuple[int, ...]], deviation: float, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Draw tensors of the wanted shapes: normal and cut at two deviations; LayerNorm is one and zero, biases are zero.

    >>> made = drawn({"pooler.dense.bias": (2,), "pooler.dense.weight": (2, 3)}, 0.02, np.random.default_rng(0))
    >>> made["pooler.dense.bias"].tolist(), bool((np.abs(made["pooler.dense.weight"]) <= 0.04).all())
    ([0.0, 0.0], True)
    """
    made = {}
    for name, shape in wanted.items():
        if name.endswith("LayerNorm.weight"):
            made[name] = np.ones(shape, np.float32)
        elif name.endswith("bias"):
            made[name] = np.zeros(shape, np.float32)
        else:
            made[name] = np.clip(rng.standard_normal(shape, np.float32), -2, 2) * np.float32(deviation)
    return made
