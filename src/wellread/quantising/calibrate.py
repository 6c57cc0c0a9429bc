"""Which inputs the linear maps of an encoder get from texts, and how each is best made int8 for these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.names import rows
from wellread.encoder.encoder import layer_name
from wellread.formats.int8 import Int8Matrix
from wellread.quantising.matrices import quantise_matrix
from wellread.quantising.simulate import rounded_inputs

Floats = NDArray[np.float32]

# How far the size of an input channel goes over to the weights: as a^alpha / w^(1 - alpha), of the largest input a and
# the largest weight w (Xiao et al. 2022, SmoothQuant, arXiv:2211.10438). None: inputs are taken as they are.
ALPHAS = (None, 0.3, 0.5, 0.7, 0.8, 0.9)
SMALLEST = 1e-4  # of the largest input or weight of all channels: what a channel counts for at least
ROWS_A_BATCH = 16  # inputs of each batch that alphas are tried on
ROWS = 256  # of all batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Linear maps of one input, or a table: what becomes int8, or stays as it is, together."""

    name: str
    tensors: tuple[str, ...]
    is_table: bool = False


def units_of(checkpoint: Checkpoint) -> list[Unit]:
    """List what of an encoder may become int8: the word and position tables, and the linear maps of its layers.

    What stands behind the layers (pooler, heads, steps of the sentence vector) is small, and stays.
    """
    config = checkpoint.config
    tables = [row.name for row in rows(config) if row.letters in (("V", "W"), ("P", "W"))]
    units = [Unit(name=name.removesuffix(".weight"), tensors=(name,), is_table=True) for name in tables]
    if config.has_projection:
        units.append(Unit(name="embeddings_project", tensors=("embeddings_project.weight",)))
    for layer in range(config.stored_layers):
        prefix = layer_name(config, layer)
        of_attention = tuple(f"{prefix}.attention.self.{map}.weight" for map in ("query", "key", "value"))
        units.append(Unit(name=f"{prefix}.attention.self", tensors=of_attention))
        for map in ("attention.output.dense", "intermediate.dense", "output.dense"):
            units.append(Unit(name=f"{prefix}.{map}", tensors=(f"{prefix}.{map}.weight",)))
    return units


class Inputs:
    """What one linear map was given: its channels' largest sizes and products, and a few rows."""

    def __init__(self, width: int) -> None:
        """Begin with nothing."""
        self.largest = np.zeros(width, np.float32)
        self.products = np.zeros((width, width), np.float32)
        self.count = 0
        self.sampled: list[Floats] = []

    def add(self, x: Floats) -> None:
        """Take inputs [N, in]."""
        if not len(x):
            return
        self.largest = np.maximum(self.largest, np.abs(x).max(0))
        self.products += x.T @ x
        self.count += len(x)
        self.sampled.append(x[np.unique(np.linspace(0, len(x) - 1, ROWS_A_BATCH).astype(int))])

    @property
    def gram(self) -> Floats:
        """The mean of x x' [in, in]."""
        return self.products / np.float32(max(self.count, 1))

    @property
    def rows(self) -> Floats:
        """A few inputs [N, in] of all batches."""
        sampled = np.concatenate(self.sampled)
        return sampled[np.unique(np.linspace(0, len(sampled) - 1, ROWS).astype(int))]


class Watcher:
    """Keeps the inputs of the first map of each unit: those of the others are the same."""

    def __init__(self, units: list[Unit]) -> None:
        """Wait for the maps of `units`."""
        self.names = {unit.tensors[0].removesuffix(".weight") for unit in units if not unit.is_table}
        self.inputs: dict[str, Inputs] = {}

    def __call__(self, name: str, x: Floats) -> None:
        """Take what the linear map `name` is given."""
        if name in self.names:
            self.inputs.setdefault(name, Inputs(x.shape[-1])).add(x)

    def of(self, unit: Unit) -> Inputs:
        """Return the inputs of a unit."""
        return self.inputs[unit.tensors[0].removesuffix(".weight")]


def quantise_unit(unit: Unit, weights: Mapping[str, Floats], watcher: Watcher) -> dict[str, Int8Matrix]:
    """Make the tensors of a unit int8, with the input scales that leave the least error of its outputs."""
    if unit.is_table:
        return {name: quantise_matrix(weights[name], multiplied=False) for name in unit.tensors}
    inputs = watcher.of(unit)
    gram, sample = inputs.gram, inputs.rows
    floats = {name: weights[name] for name in unit.tensors}
    tried = {alpha: _input_scales(inputs.largest, floats, alpha) for alpha in ALPHAS}
    errors = {alpha: _error(floats, sample, gram, scales) for alpha, scales in tried.items()}
    scales = tried[min(errors, key=lambda alpha: errors[alpha])]
    return {name: quantise_matrix(matrix, input_scales=scales, gram=gram) for name, matrix in floats.items()}


def _input_scales(largest: Floats, weights: Mapping[str, Floats], alpha: float | None) -> Floats | None:
    """Return what inputs are multiplied by, of mean 1 by its inverse; None for as they are."""
    if alpha is None:
        return None
    columns = np.max([np.abs(matrix).max(0) for matrix in weights.values()], axis=0)
    a, w = (np.maximum(sizes, max(SMALLEST * float(sizes.max()), 1e-12)) for sizes in (largest, columns))
    shares = a**alpha / w ** (1 - alpha)
    return np.asarray(shares.mean() / shares, np.float32)


def _error(weights: Mapping[str, Floats], sample: Floats, gram: Floats, scales: Floats | None) -> float:
    """Return the squared error of the outputs over their squares, the mean of several maps."""
    errors = []
    for name, matrix in weights.items():
        exact = sample @ matrix.T
        int8 = quantise_matrix(matrix, input_scales=scales, gram=gram, feed_back=False)
        found = rounded_inputs(sample, name.removesuffix(".weight"), int8) @ (int8.values * int8.scales[:, None]).T
        errors.append(float(np.square(found - exact).sum() / max(float(np.square(exact).sum()), 1e-30)))
    return float(np.mean(errors))
