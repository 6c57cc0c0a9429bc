"""The Keras 3 backend: the primitives over `keras.ops`, on whichever of TensorFlow, JAX and PyTorch Keras runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from wellread.backends.backend import Backend, Inputs, Outputs, convert_outputs
from wellread.checkpoints.checkpoint import Array, Checkpoint
from wellread.encoder.heads import run

Tensor = Any  # of the framework behind Keras

MASKED = -1e30  # swallows any score whole; see the NumPy backend

ACTIVATIONS = {
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu_tanh": lambda x: ops.gelu(x, approximate=True),
    "relu": ops.relu,
    "silu": ops.silu,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "leaky_relu": lambda x: ops.leaky_relu(x, negative_slope=0.01),
    "elu": ops.elu,
    "softplus": ops.softplus,
    "mish": lambda x: x * ops.tanh(ops.softplus(x)),
    "selu": ops.selu,
    "relu6": ops.relu6,
    "softsign": ops.softsign,
    "hardtanh": ops.hard_tanh,
    "hardswish": ops.hard_silu,
}


def is_kernel(name: str, shape: Sequence[int]) -> bool:
    """Say whether a tensor is a dense map, which Keras keeps as [in, out]: the transpose of ours.

    >>> is_kernel("pooler.dense.weight", (12, 12)), is_kernel("embeddings.word_embeddings.weight", (99, 12))
    (True, False)
    """
    return len(shape) == 2 and not name.startswith("embeddings.")


def transposed(name: str, array: Array) -> NDArray[np.float32]:
    """Turn a tensor of ours into Keras' layout, or back: float32."""
    return np.ascontiguousarray(array.T if is_kernel(name, array.shape) else array, np.float32)


class KerasOps:
    """The primitives over `weights`; with `seeds` they train, and dropout draws from them.

    Scores are added up in float32, for a mask must swallow them whole; the rest runs in whatever the weights are cast
    to.
    """

    def __init__(self, weights: Mapping[str, Tensor], *, seeds: keras.random.SeedGenerator | None = None) -> None:
        """Take weights by name, dense maps as [in, out]."""
        self.weights = weights
        self.seeds = seeds

    def embedding(self, ids: Tensor, name: str) -> Tensor:
        return ops.take(self.weights[name], ids, axis=0)

    def positions(self, ids: Tensor, name: str, offset: int) -> Tensor:
        if not offset:
            return ops.convert_to_tensor(self.weights[name])[: ops.shape(ids)[1]]
        real = ops.cast(ids != offset - 1, "int32")
        return ops.take(self.weights[name], ops.cumsum(real, 1) * real + (offset - 1), axis=0)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.add(a, b)

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        return keras.random.dropout(x, rate, seed=self.seeds) if self.seeds is not None and rate else x

    def linear(self, x: Tensor, name: str) -> Tensor:
        product = ops.matmul(x, self.weights[f"{name}.weight"])
        bias = f"{name}.bias"
        return ops.add(product, self.weights[bias]) if bias in self.weights else product

    def logits(self, x: Tensor, table: str, bias: str) -> Tensor:
        return ops.add(ops.matmul(x, ops.transpose(self.weights[table])), self.weights[bias])

    def layer_norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        mean, variance = ops.moments(ops.cast(x, "float32"), axes=-1, keepdims=True)
        scaled = (ops.cast(x, "float32") - mean) * ops.rsqrt(variance + eps)
        return ops.add(
            ops.multiply(ops.cast(scaled, x.dtype), self.weights[f"{name}.weight"]), self.weights[f"{name}.bias"]
        )

    def activation(self, x: Tensor, kind: str) -> Tensor:
        return ACTIVATIONS[kind](x)

    def mask_bias(self, mask: Tensor) -> Tensor:
        return (1 - ops.cast(mask, "float32")[:, None, None, :]) * MASKED

    def relative_bias(self, bias: Tensor, queries: Tensor, buckets: NDArray[np.int32], name: str) -> Tensor:
        chosen = ops.convert_to_tensor(np.ascontiguousarray(buckets))[: ops.shape(queries)[1], : ops.shape(bias)[-1]]
        values = ops.take(self.weights[name], chosen, axis=0)  # [Tq, T, H]
        return bias + ops.cast(ops.transpose(values, (2, 0, 1)), "float32")

    def attention(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, *, heads: int, rate: float, name: str
    ) -> Tensor:
        width = query.shape[-1] // heads
        q, k, v = (
            ops.transpose(ops.reshape(x, (*ops.shape(x)[:2], heads, width)), (0, 2, 1, 3)) for x in (query, key, value)
        )
        scores = ops.matmul(q / math.sqrt(width), ops.transpose(k, (0, 1, 3, 2)))
        scores = ops.cast(scores, "float32") + bias
        # of one key Keras warns, as if it were a mistake
        weights = ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
        mixed = ops.matmul(self.dropout(ops.cast(weights, v.dtype), rate), v)
        return ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), ops.shape(query))

    def first(self, x: Tensor) -> Tensor:
        return x[:, :1]

    def squeeze(self, x: Tensor) -> Tensor:
        return x[:, 0]

    def gather_rows(self, x: Tensor, positions: Tensor) -> Tensor:
        return ops.take_along_axis(x, positions[:, :, None], axis=1)

    def ramp(self, mask: Tensor) -> Tensor:
        return mask * ops.arange(1, ops.shape(mask)[1] + 1, dtype=mask.dtype)

    def argmax(self, numbers: Tensor) -> Tensor:
        return ops.argmax(numbers, axis=1)[:, None]

    def mean(self, x: Tensor, weights: Tensor, *, root: bool = False) -> Tensor:
        shares = ops.cast(weights, x.dtype)[:, :, None]
        total = ops.maximum(ops.sum(shares, axis=1), 1e-9)
        return ops.sum(x * shares, axis=1) / (ops.sqrt(total) if root else total)

    def max(self, x: Tensor, mask: Tensor) -> Tensor:
        inside = ops.cast(mask, x.dtype)[:, :, None]
        return ops.max(x * inside + (1 - inside) * MASKED, axis=1) * ops.max(inside, axis=1)

    def concat(self, vectors: Sequence[Tensor]) -> Tensor:
        return ops.concatenate(list(vectors), axis=-1)

    def normalize(self, x: Tensor) -> Tensor:
        return x / ops.maximum(ops.norm(x, axis=-1, keepdims=True), 1e-12)


class KerasBackend(Backend):
    """A checkpoint on Keras."""

    name = "keras"
    precision = "f32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Copy every tensor into a variable that no training changes."""
        self.checkpoint = checkpoint
        arrays = {name: transposed(name, array) for name, array in checkpoint.arrays().items()}
        self.ops = KerasOps(
            {name: keras.Variable(array, dtype="float32", trainable=False) for name, array in arrays.items()}
        )

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch; outputs are float32."""
        tensors = {name: ops.convert_to_tensor(np.asarray(array, np.int32)) for name, array in inputs.items()}
        model = self.checkpoint
        computed = run(self.ops, model.config, model.sentence, tensors, outputs=outputs, head=model.head)
        return convert_outputs(computed, lambda x: np.asarray(ops.convert_to_numpy(x), np.float32))


def load(checkpoint: Checkpoint, *, precision: str) -> Backend:
    """Prepare a checkpoint."""
    return KerasBackend(checkpoint)
