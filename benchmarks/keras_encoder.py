"""The same encoder of Keras 3's own layers, with the same weights: what a user of Keras would have written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.tf_variables import TFHUB, to_layout
from wellread.config import EncoderConfig
from wellread.encoder.encoder import INPUTS

Tensor = Any  # symbolic

ACTIVATIONS = {
    "gelu": lambda x: keras.activations.gelu(x, approximate=False),
    "gelu_tanh": lambda x: keras.activations.gelu(x, approximate=True),
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
}


class WeightedLayers:
    """Keras' layers, each called once, which remember the tensors of ours whose weights they take."""

    def __init__(self) -> None:
        """Start without any."""
        self.pairs: list[tuple[Any, list[str]]] = []

    def call(self, layer: Any, names: Sequence[str], *inputs: Tensor, **options: Any) -> Tensor:
        """Call a layer whose weights are `name`.weight and `name`.bias of each name."""
        self.pairs.append((layer, [f"{name}.{leaf}" for name in names for leaf in ("weight", "bias")]))
        return layer(*inputs, **options)

    def embedding(self, rows: int, width: int, name: str, ids: Tensor) -> Tensor:
        """Look up ids in a table, which has no bias."""
        layer = layers.Embedding(rows, width)
        self.pairs.append((layer, [f"embeddings.{name}.weight"]))
        return layer(ids)

    def fill(self, checkpoint: Checkpoint) -> None:
        """Set every weight; TF Hub's layouts are those of Keras' layers."""
        table, heads = TFHUB.table(checkpoint.config, mlm=False), checkpoint.config.num_attention_heads
        for layer, names in self.pairs:
            layer.set_weights([to_layout(table[n].layout, checkpoint.tensors[n].read(), heads) for n in names])


def keras_encoder(checkpoint: Checkpoint) -> Any:
    """Build a functional model: int32 [B, T] in; `pooled_output`, `sequence_output` and `encoder_outputs` out."""
    config, weights = checkpoint.config, WeightedLayers()
    names = INPUTS if config.type_vocab_size else INPUTS[:2]
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in names}
    x = _embed(weights, config, inputs)
    mask = ops.expand_dims(inputs["input_mask"], 1)
    hidden = []
    for i in range(config.num_hidden_layers):
        x = _block(weights, config, f"encoder.layer.{i}", x, mask)
        hidden.append(x)
    pooled = x[:, 0]
    if config.pooler == "dense_tanh":
        pooled = weights.call(layers.Dense(config.hidden_size, activation="tanh"), ["pooler.dense"], pooled)
    model = keras.Model(inputs, {"pooled_output": pooled, "sequence_output": x, "encoder_outputs": hidden})
    weights.fill(checkpoint)
    return model


def _embed(weights: WeightedLayers, config: EncoderConfig, inputs: dict[str, Tensor]) -> Tensor:
    ids = inputs["input_word_ids"]
    width = config.hidden_size
    x = weights.embedding(config.vocab_size, width, "word_embeddings", ids)
    if config.type_vocab_size:
        x = x + weights.embedding(config.type_vocab_size, width, "token_type_embeddings", inputs["input_type_ids"])
    numbers = ops.cumsum(ops.ones_like(ids[0])) - 1
    x = x + weights.embedding(config.max_position_embeddings, width, "position_embeddings", numbers)
    x = weights.call(layers.LayerNormalization(epsilon=config.layer_norm_eps), ["embeddings.LayerNorm"], x)
    return layers.Dropout(config.hidden_dropout_prob)(x)


def _block(weights: WeightedLayers, config: EncoderConfig, name: str, x: Tensor, mask: Tensor) -> Tensor:
    width, heads = config.hidden_size, config.num_attention_heads
    attention = layers.MultiHeadAttention(heads, width // heads, dropout=config.attention_probs_dropout_prob)
    parts = [f"{name}.attention.{part}" for part in ("self.query", "self.key", "self.value", "output.dense")]
    attended = weights.call(attention, parts, x, x, attention_mask=mask)
    x = _residual(weights, config, f"{name}.attention.output", attended, x)
    dense = layers.Dense(config.intermediate_size, activation=ACTIVATIONS[config.activation])
    inner = weights.call(dense, [f"{name}.intermediate.dense"], x)
    outer = weights.call(layers.Dense(width), [f"{name}.output.dense"], inner)
    return _residual(weights, config, f"{name}.output", outer, x)


def _residual(weights: WeightedLayers, config: EncoderConfig, name: str, x: Tensor, skipped: Tensor) -> Tensor:
    norm = layers.LayerNormalization(epsilon=config.layer_norm_eps)
    return weights.call(norm, [f"{name}.LayerNorm"], layers.Dropout(config.hidden_dropout_prob)(x) + skipped)
