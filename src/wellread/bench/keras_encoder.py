"""The same encoder of Keras 3's own layers, with the same weights: what a user of Keras would have written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.families.tensorflow import TFHUB, to_layout
from wellread.config import EncoderConfig
from wellread.encoder.encoder import INPUTS

Tensor = Any  # symbolic

ACTIVATIONS = {
    "gelu": lambda x: keras.activations.gelu(x, approximate=False),
    "gelu_tanh": lambda x: keras.activations.gelu(x, approximate=True),
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
}


class Layers:
    """Keras' layers, each called once, which remember the tensors of ours that they shall hold."""

    def __init__(self) -> None:
        """Hold none yet."""
        self.held: list[tuple[Any, list[str]]] = []

    def call(self, layer: Any, names: Sequence[str], *inputs: Tensor, **options: Any) -> Tensor:
        """Call a layer whose weights are `name`.weight and `name`.bias of each name."""
        self.held.append((layer, [f"{name}.{leaf}" for name in names for leaf in ("weight", "bias")]))
        return layer(*inputs, **options)

    def embedding(self, rows: int, width: int, name: str, ids: Tensor) -> Tensor:
        """Look up ids in a table, which has no bias."""
        layer = layers.Embedding(rows, width)
        self.held.append((layer, [f"embeddings.{name}.weight"]))
        return layer(ids)

    def fill(self, checkpoint: Checkpoint) -> None:
        """Set every weight; TF Hub's layouts are those of Keras' layers."""
        table, heads = TFHUB.table(checkpoint.config, mlm=False), checkpoint.config.num_attention_heads
        for layer, names in self.held:
            layer.set_weights([to_layout(table[n].layout, checkpoint.tensors[n].read(), heads) for n in names])


def keras_encoder(checkpoint: Checkpoint) -> Any:
    """Build a functional model: int32 [B, T] in; `pooled_output`, `sequence_output` and `encoder_outputs` out."""
    config, made = checkpoint.config, Layers()
    names = INPUTS if config.type_vocab_size else INPUTS[:2]
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in names}
    x = _embed(made, config, inputs)
    mask = ops.expand_dims(inputs["input_mask"], 1)
    hidden = []
    for i in range(config.num_hidden_layers):
        x = _block(made, config, f"encoder.layer.{i}", x, mask)
        hidden.append(x)
    pooled = x[:, 0]
    if config.pooler == "dense_tanh":
        pooled = made.call(layers.Dense(config.hidden_size, activation="tanh"), ["pooler.dense"], pooled)
    model = keras.Model(inputs, {"pooled_output": pooled, "sequence_output": x, "encoder_outputs": hidden})
    made.fill(checkpoint)
    return model


def _embed(made: Layers, config: EncoderConfig, inputs: dict[str, Tensor]) -> Tensor:
    ids = inputs["input_word_ids"]
    width = config.hidden_size
    x = made.embedding(config.vocab_size, width, "word_embeddings", ids)
    if config.type_vocab_size:
        x = x + made.embedding(config.type_vocab_size, width, "token_type_embeddings", inputs["input_type_ids"])
    numbers = ops.cumsum(ops.ones_like(ids[0])) - 1
    x = x + made.embedding(config.max_position_embeddings, width, "position_embeddings", numbers)
    x = made.call(layers.LayerNormalization(epsilon=config.layer_norm_eps), ["embeddings.LayerNorm"], x)
    return layers.Dropout(config.hidden_dropout_prob)(x)


def _block(made: Layers, config: EncoderConfig, name: str, x: Tensor, mask: Tensor) -> Tensor:
    width, heads = config.hidden_size, config.num_attention_heads
    attention = layers.MultiHeadAttention(heads, width // heads, dropout=config.attention_probs_dropout_prob)
    parts = [f"{name}.attention.{part}" for part in ("self.query", "self.key", "self.value", "output.dense")]
    attended = made.call(attention, parts, x, x, attention_mask=mask)
    x = _residual(made, config, f"{name}.attention.output", attended, x)
    dense = layers.Dense(config.intermediate_size, activation=ACTIVATIONS[config.activation])
    inner = made.call(dense, [f"{name}.intermediate.dense"], x)
    outer = made.call(layers.Dense(width), [f"{name}.output.dense"], inner)
    return _residual(made, config, f"{name}.output", outer, x)


def _residual(made: Layers, config: EncoderConfig, name: str, x: Tensor, skipped: Tensor) -> Tensor:
    norm = layers.LayerNormalization(epsilon=config.layer_norm_eps)
    return made.call(norm, [f"{name}.LayerNorm"], layers.Dropout(config.hidden_dropout_prob)(x) + skipped)
