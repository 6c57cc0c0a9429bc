"""The TensorFlow backend: variables under TF Hub's names and in its layouts, which a SavedModel takes as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wellread.backends.backend import Backend, Inputs, Outputs, convert_outputs
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.tf_variables import TFHUB, to_layout
from wellread.encoder.heads import run

MASKED = -1e9  # as TF Hub's modules; in float32 it swallows any score whole
FEW = 16  # rows: a table so small is looked up by a product, where an id outside gives zeros, as in TF Hub's modules

ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu": tf.nn.gelu,
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.01),
    "elu": tf.nn.elu,
    "softplus": tf.nn.softplus,
    "mish": lambda x: x * tf.tanh(tf.nn.softplus(x)),
    "selu": tf.nn.selu,
    "relu6": tf.nn.relu6,
    "softsign": tf.nn.softsign,
    "hardtanh": lambda x: tf.clip_by_value(x, -1, 1),
    "hardswish": lambda x: x * tf.nn.relu6(x + 3) / 6,
}


class TensorFlowOps:
    """The primitives over variables. Kernels are [in, out], or split by heads: [D, H, K] and [H, K, D]."""

    def __init__(self, variables: Mapping[str, tf.Variable], *, training: bool = False) -> None:
        """Take variables by our names of their tensors; drop out while `training`."""
        self.variables = variables
        self.training = training

    def embedding(self, ids: tf.Tensor, name: str) -> tf.Tensor:
        table = self.variables[name]
        if table.shape[0] > FEW:
            return tf.gather(table, ids)
        rows = tf.one_hot(tf.reshape(ids, [-1]), table.shape[0], dtype=table.dtype)
        return _like(ids, tf.matmul(rows, table), axes=2)

    def positions(self, ids: tf.Tensor, name: str, offset: int) -> tf.Tensor:
        if not offset:
            return self.variables[name][: tf.shape(ids)[1]]
        real = tf.cast(ids != offset - 1, tf.int32)
        return tf.gather(self.variables[name], tf.cumsum(real, 1) * real + (offset - 1))

    def add(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return a + b

    def dropout(self, x: tf.Tensor, rate: float) -> tf.Tensor:
        return tf.nn.dropout(x, rate) if self.training and rate else x

    def linear(self, x: tf.Tensor, name: str) -> tf.Tensor:
        kernel = tf.reshape(self.variables[f"{name}.weight"], [x.shape[-1], -1])
        product = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), kernel)  # of two matrices: with more axes it is slower
        bias = self.variables.get(f"{name}.bias")
        if bias is not None:
            product = tf.nn.bias_add(product, tf.reshape(bias, [-1]))
        return _like(x, product, axes=x.shape.rank - 1)

    def logits(self, x: tf.Tensor, table: str, bias: str) -> tf.Tensor:
        flat = tf.reshape(x, [-1, x.shape[-1]])
        product = tf.matmul(flat, self.variables[table], transpose_b=True)
        return _like(x, tf.nn.bias_add(product, self.variables[bias]), axes=2)

    def layer_norm(self, x: tf.Tensor, name: str, eps: float) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        scale, shift = self.variables[f"{name}.weight"], self.variables[f"{name}.bias"]
        return tf.nn.batch_normalization(x, mean, variance, shift, scale, eps)

    def activation(self, x: tf.Tensor, kind: str) -> tf.Tensor:
        return ACTIVATIONS[kind](x)

    def mask_bias(self, mask: tf.Tensor) -> tf.Tensor:
        return (1 - tf.cast(mask[:, None, None, :], tf.float32)) * MASKED

    def relative_bias(self, bias: tf.Tensor, queries: tf.Tensor, buckets: NDArray[np.int32], name: str) -> tf.Tensor:
        chosen = tf.constant(buckets)[: tf.shape(queries)[1], : tf.shape(bias)[-1]]
        return bias + tf.transpose(tf.gather(self.variables[name], chosen), [2, 0, 1])

    def attention(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, bias: tf.Tensor, *, heads: int, rate: float, name: str
    ) -> tf.Tensor:
        width = query.shape[-1] // heads
        q, k, v = (
            tf.transpose(tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1], heads, width]), [0, 2, 1, 3])
            for x in (query, key, value)
        )
        scores = tf.matmul(q * (1 / math.sqrt(width)), k, transpose_b=True) + bias
        mixed = tf.matmul(self.dropout(tf.nn.softmax(scores), rate), v)
        return _like(query, tf.transpose(mixed, [0, 2, 1, 3]), axes=2, width=query.shape[-1])

    def first(self, x: tf.Tensor) -> tf.Tensor:
        return x[:, :1]

    def squeeze(self, x: tf.Tensor) -> tf.Tensor:
        return tf.squeeze(x, 1)

    def gather_rows(self, x: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        return tf.gather(x, positions, batch_dims=1)

    def ramp(self, mask: tf.Tensor) -> tf.Tensor:
        return mask * tf.range(1, tf.shape(mask)[1] + 1, dtype=mask.dtype)

    def argmax(self, numbers: tf.Tensor) -> tf.Tensor:
        return tf.argmax(numbers, 1, tf.int32)[:, None]

    def mean(self, x: tf.Tensor, weights: tf.Tensor, *, root: bool = False) -> tf.Tensor:
        shares = tf.cast(weights[:, :, None], x.dtype)
        total = tf.maximum(tf.reduce_sum(shares, 1), 1e-9)
        return tf.reduce_sum(x * shares, 1) / (tf.sqrt(total) if root else total)

    def max(self, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        inside = tf.cast(mask[:, :, None], x.dtype)
        return tf.reduce_max(x * inside + (1 - inside) * MASKED, 1) * tf.reduce_max(inside, 1)

    def concat(self, vectors: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.concat(list(vectors), -1)

    def normalize(self, x: tf.Tensor) -> tf.Tensor:
        return x / tf.maximum(tf.norm(x, axis=-1, keepdims=True), 1e-12)


def _like(x: tf.Tensor, flat: tf.Tensor, *, axes: int, width: int | None = None) -> tf.Tensor:
    """Give `flat` the first `axes` axes of x, and one of `width` (its own last if not given) behind them."""
    return tf.reshape(flat, tf.concat([tf.shape(x)[:axes], [width or flat.shape[-1]]], 0))


def variables(checkpoint: Checkpoint) -> dict[str, tf.Variable]:
    """Make a variable of each tensor of encoder and heads, under our names, in TF Hub's order, names and layouts."""
    heads = checkpoint.config.num_attention_heads
    table = TFHUB.table(checkpoint.config, mlm=checkpoint.has_mlm, head=checkpoint.head)
    by_name = {
        ours: tf.Variable(to_layout(row.layout, checkpoint.tensors[ours].read(), heads), name=row.theirs)
        for ours, row in table.items()
    }
    for name in checkpoint.tensors.keys() - table.keys():  # the maps behind the pooling, which TF Hub has no name for
        array = checkpoint.tensors[name].read()
        by_name[name] = tf.Variable(np.ascontiguousarray(array.T), name=name.replace(".", "/"))
    return by_name


class TensorFlowBackend(Backend):
    """A checkpoint on TensorFlow, compiled once for each set of outputs."""

    name = "tensorflow"
    precision = "f32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Copy every tensor into a variable."""
        self.checkpoint = checkpoint
        self.ops = TensorFlowOps(variables(checkpoint))
        self.compiled: dict[tuple[Collection[str], ...], tf.types.experimental.PolymorphicFunction] = {}

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch; outputs are float32."""
        tensors = {name: tf.constant(np.asarray(array, np.int32)) for name, array in inputs.items()}
        return convert_outputs(self._function(tuple(tensors), tuple(outputs))(tensors), lambda x: x.numpy())

    def _function(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> tf.types.experimental.PolymorphicFunction:
        """Return the function of these outputs, for any batch and length."""
        if (inputs, outputs) not in self.compiled:
            model = self.checkpoint
            self.compiled[inputs, outputs] = tf.function(
                lambda batch: run(self.ops, model.config, model.sentence, batch, outputs=outputs, head=model.head),
                input_signature=[{name: tf.TensorSpec([None, None], tf.int32) for name in inputs}],
            )
        return self.compiled[inputs, outputs]


def load(checkpoint: Checkpoint, *, precision: str) -> Backend:
    """Prepare a checkpoint."""
    return TensorFlowBackend(checkpoint)
