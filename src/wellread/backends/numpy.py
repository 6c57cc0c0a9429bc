"""The NumPy backend: float64, plain, slow; the reference that every other backend is tested against.

In the precision "int8" products with int8 matrices are those of the kernel, to the integer; all else stays float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import SELU, Backend, Inputs, Outputs
from wellread.backends.int8 import chunk_width, int8_product, is_down
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.heads import run
from wellread.formats.int8 import Int8Matrix

Array = NDArray[np.float64]
IntArray = NDArray[np.integer]

# Added where a key is masked. TF Hub adds -1e9 to float32 scores, which swallows them whole; in float64 it takes more.
MASKED = -1e30

_erf = np.frompyfunc(math.erf, 1, 1)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": lambda x: 0.5 * x * (1 + np.asarray(_erf(x / math.sqrt(2)), np.float64)),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x * 0.5 * (1 + np.tanh(0.5 * x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "selu": lambda x: SELU[0] * np.where(x < 0, SELU[1] * np.expm1(np.minimum(x, 0)), x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hardtanh": lambda x: np.clip(x, -1, 1),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}


class NumpyOps:
    """The primitives in float64. Dropout is the identity."""

    def __init__(self, weights: Mapping[str, Array], matrices: Mapping[str, Int8Matrix] | None = None) -> None:
        """Take weights by name, and the int8 matrices that are to be multiplied as such."""
        self.weights = weights
        self.matrices = matrices or {}

    def embedding(self, ids: IntArray, name: str) -> Array:
        return self.weights[name][ids]

    def positions(self, ids: IntArray, name: str, offset: int) -> Array:
        if not offset:
            return self.weights[name][: ids.shape[1]]
        real = ids != offset - 1
        return self.weights[name][np.cumsum(real, 1) * real + (offset - 1)]

    def add(self, a: Array, b: Array) -> Array:
        return a + b

    def dropout(self, x: Array, rate: float) -> Array:
        return x

    def linear(self, x: Array, name: str) -> Array:
        matrix = self.matrices.get(f"{name}.weight")
        if matrix is None:
            product = x @ self.weights[f"{name}.weight"].T
        else:
            product = int8_product(x, matrix, width=chunk_width(x.shape[-1]) if is_down(name) else None)
        bias = self.weights.get(f"{name}.bias")
        return product if bias is None else product + bias

    def logits(self, x: Array, table: str, bias: str) -> Array:
        return x @ self.weights[table].T + self.weights[bias]

    def layer_norm(self, x: Array, name: str, eps: float) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def activation(self, x: Array, kind: str) -> Array:
        return ACTIVATIONS[kind](x)

    def mask_bias(self, mask: IntArray) -> Array:
        return (1 - mask[:, None, None, :].astype(np.float64)) * MASKED

    def relative_bias(self, bias: Array, queries: Array, buckets: NDArray[np.int32], name: str) -> Array:
        chosen = self.weights[name][buckets[: queries.shape[1], : bias.shape[-1]]]  # [Tq, T, H]
        return bias + chosen.transpose(2, 0, 1)

    def attention(
        self, query: Array, key: Array, value: Array, bias: Array, *, heads: int, rate: float, name: str
    ) -> Array:
        width = query.shape[-1] // heads
        # [B, T, D] to [B, H, T, K]
        q, k, v = (x.reshape(*x.shape[:2], heads, width).swapaxes(1, 2) for x in (query, key, value))
        scores = q @ k.swapaxes(-1, -2) / math.sqrt(width) + bias
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = weights / weights.sum(-1, keepdims=True) @ v
        return mixed.swapaxes(1, 2).reshape(query.shape)

    def first(self, x: Array) -> Array:
        return x[:, :1]

    def squeeze(self, x: Array) -> Array:
        return x[:, 0]

    def gather_rows(self, x: Array, positions: IntArray) -> Array:
        return x[np.arange(len(x))[:, None], positions]

    def ramp(self, mask: IntArray) -> IntArray:
        return mask * np.arange(1, mask.shape[1] + 1)

    def argmax(self, numbers: IntArray) -> IntArray:
        return numbers.argmax(1)[:, None]

    def mean(self, x: Array, weights: IntArray, *, root: bool = False) -> Array:
        shares = weights[:, :, None].astype(np.float64)
        total = np.maximum(shares.sum(1), 1e-9)
        return (x * shares).sum(1) / (np.sqrt(total) if root else total)

    def max(self, x: Array, mask: IntArray) -> Array:
        inside = mask[:, :, None].astype(np.float64)
        return (x * inside + (1 - inside) * MASKED).max(1) * inside.max(1)

    def concat(self, vectors: Sequence[Array]) -> Array:
        return np.concatenate(vectors, -1)

    def normalize(self, x: Array) -> Array:
        return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


class NumpyBackend(Backend):
    """A checkpoint on NumPy."""

    name = "numpy"

    def __init__(self, checkpoint: Checkpoint, precision: str = "f64") -> None:
        """Read every tensor into float64."""
        self.checkpoint = checkpoint
        self.precision = precision
        matrices = (
            {name: tensor.int8() for name, tensor in checkpoint.tensors.items() if tensor.int8 is not None}
            if precision == "int8"
            else {}
        )
        arrays = {name: array.astype(np.float64) for name, array in checkpoint.arrays().items()}
        self.ops = NumpyOps(arrays, matrices)

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch; outputs are float64."""
        model = self.checkpoint
        configs = (model.config, model.sentence)
        return run(self.ops, *configs, inputs, outputs=outputs, head=model.head)  # type: ignore[arg-type]


def load(checkpoint: Checkpoint, *, precision: str) -> Backend:
    """Prepare a checkpoint in `precision`."""
    return NumpyBackend(checkpoint, precision)
