"""An encoder on NumPy in float32: what its linear maps are given, and what int8 makes of its vectors.

No framework is needed, nor a CPU that multiplies int8: products with integers are computed in float32 of the numbers
that the integers stand for, which is the kernel's arithmetic but for rounding at 1e-7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import Backend, Inputs, Outputs
from wellread.backends.int8 import chunk_width, is_down, quantise_rows
from wellread.backends.numpy import NumpyOps
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.int8_tensors import TABLE
from wellread.encoder.heads import run
from wellread.formats.int8 import Int8Matrix

Floats = NDArray[np.float32]
Watch = Callable[[str, Floats], None]  # is told the name of a linear map and its inputs [N, in], without padding

MASKED = np.float32(-1e30)
# erf to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26)
ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
ERF_STEP = 0.3275911


def gelu(x: Floats) -> Floats:
    """Return x times the share of a normal distribution below x."""
    size = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(ERF_STEP) * size)
    polynomial = np.zeros_like(t)
    for coefficient in reversed(ERF):
        polynomial = (polynomial + np.float32(coefficient)) * t
    tail = np.float32(0.5) * polynomial * np.exp(-size * size)
    return np.asarray(x * np.where(x < 0, tail, 1 - tail), np.float32)


def rounded_inputs(x: Floats, name: str, matrix: Int8Matrix) -> Floats:
    """Return the inputs of a linear map as its int8 product sees them, in units of the integers."""
    scaled = x if matrix.input_scales is None else x * matrix.input_scales
    if not is_down(name):
        return quantise_rows(scaled).floats()
    width = chunk_width(x.shape[-1])
    chunks = [quantise_rows(scaled[..., at : at + width]).floats() for at in range(0, x.shape[-1], width)]
    return np.concatenate(chunks, -1)


class SimulatedOps(NumpyOps):
    """The primitives in float32; int8 matrices among the weights are multiplied as such."""

    def __init__(self, weights: Mapping[str, Floats], matrices: Mapping[str, Int8Matrix], watch: Watch | None) -> None:
        """Take weights by name, the int8 matrices that stand for some of them, and who sees what maps are given."""
        super().__init__(weights, matrices)  # type: ignore[arg-type]
        self.watch = watch
        self.integers = {name: matrix.values * matrix.scales[:, None] for name, matrix in matrices.items()}
        self.real: NDArray[np.bool_] = np.ones((0, 0), bool)  # [B, T], the tokens of the batch that are no padding

    def linear(self, x: Any, name: str) -> Any:
        if self.watch is not None:
            tokens = x[self.real] if x.shape[:-1] == self.real.shape else x.reshape(-1, x.shape[-1])
            self.watch(name, tokens)
        matrix = self.matrices.get(f"{name}.weight")
        if matrix is None:
            return super().linear(x, name)
        product = rounded_inputs(x, name, matrix) @ self.integers[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        return product if bias is None else product + bias

    def activation(self, x: Any, kind: str) -> Any:
        return gelu(x) if kind == "gelu" else super().activation(x, kind)

    def mask_bias(self, mask: Any) -> Any:
        self.real = mask.astype(bool)
        return ((1 - mask[:, None, None, :]) * MASKED).astype(np.float32)


class Simulation(Backend):
    """A checkpoint in float32 on NumPy, with int8 matrices for some of its weights."""

    name = "numpy"
    precision = "int8"

    def __init__(
        self,
        checkpoint: Checkpoint,
        weights: Mapping[str, Floats],
        matrices: Mapping[str, Int8Matrix] | None = None,
        *,
        watch: Watch | None = None,
    ) -> None:
        """Take the checkpoint's `weights`; of a table of int8 the floats that it stands for are looked up."""
        tables = {name: matrix for name, matrix in (matrices or {}).items() if name.endswith(TABLE)}
        maps = {name: matrix for name, matrix in (matrices or {}).items() if name not in tables}
        floats = {name: matrix.product() for name, matrix in tables.items()}
        self.checkpoint = checkpoint
        self.ops = SimulatedOps({**weights, **floats}, maps, watch)

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch; outputs are float32."""
        model = self.checkpoint
        # who watches sees the last block at every position, though a sentence vector may need the first alone
        computed = outputs if self.ops.watch is None else [*outputs, *({"sequence_output"} - {*outputs})]
        with np.errstate(all="ignore"):  # what is no number is refused where it comes out
            values = run(self.ops, model.config, model.sentence, inputs, outputs=computed, head=model.head)
        return {name: values[name] for name in outputs}
