"""The arithmetic of the BERT family, written once over `Ops`.

Devlin et al. 2018 (arXiv:1810.04805) for the encoder, Sanh et al. 2019 (arXiv:1910.01108) for the variant without
pooler and type table. What differs between families is in the config and in which tensors the checkpoint holds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wellread.config import EncoderConfig
from wellread.encoder.ops import Ops

T = TypeVar("T")

INPUTS = ("input_word_ids", "input_mask", "input_type_ids")
OUTPUTS = ("pooled_output", "sequence_output", "encoder_outputs", "embedding_output", "cls_output")
TYPES = "embeddings.token_type_embeddings.weight"
RELATIVE = "embeddings.relative_attention_bias.weight"
ALL_POSITIONS = {"sequence_output", "encoder_outputs"}


def encode(
    ops: Ops[T], config: EncoderConfig, inputs: Mapping[str, T], *, outputs: Collection[str] = OUTPUTS
) -> dict[str, T | list[T]]:
    """Run the encoder and return the requested `outputs`.

    `inputs`: `input_word_ids`, `input_mask`, `input_type_ids` [B, T] (the last unused without `reads_types`).
    Returns `pooled_output` [B, D], `sequence_output` [B, T, D], `encoder_outputs` (L of [B, T, D], the last equal to
    `sequence_output`), `embedding_output` [B, T, D], `cls_output` [B, D] (position 0 of the last block). When nothing
    asks for the last block at every position, it computes position 0 only: the same values for less work.
    """
    hidden = embedding_output = embed(ops, config, inputs)
    mask = ops.mask_bias(inputs["input_mask"])
    bias = attention_bias(ops, config, hidden, mask)
    first_alone = ALL_POSITIONS.isdisjoint(outputs)
    layers: list[T] = []
    for i in range(config.num_hidden_layers):
        last = i == config.num_hidden_layers - 1
        queries = hidden
        if last and first_alone:
            queries = ops.first(hidden)
            bias = attention_bias(ops, config, queries, mask)
        hidden = block(ops, config, layer_name(config, i), queries, hidden, bias)
        layers.append(hidden)
    values: dict[str, T | list[T]] = {
        "sequence_output": hidden,
        "encoder_outputs": layers,
        "embedding_output": embedding_output,
    }
    if not {"pooled_output", "cls_output"}.isdisjoint(outputs):
        values["cls_output"] = first = ops.squeeze(ops.first(hidden))
        values["pooled_output"] = pool(ops, config, first)
    return {name: values[name] for name in outputs}


def embed(ops: Ops[T], config: EncoderConfig, inputs: Mapping[str, T]) -> T:
    """Sum word, position and, where the family has them, type embeddings; normalise; drop out: [B, T, D].

    Embeddings of another width [B, T, W] are mapped to D.
    """
    ids = inputs["input_word_ids"]
    x = ops.embedding(ids, "embeddings.word_embeddings.weight")
    if config.reads_types:
        x = ops.add(x, ops.embedding(inputs["input_type_ids"], TYPES))
    elif config.type_vocab_size:  # one row, which every token has
        x = ops.add(x, ops.positions(ids, TYPES, 0))
    x = ops.add(x, ops.positions(ids, "embeddings.position_embeddings.weight", config.position_offset))
    x = ops.dropout(ops.layer_norm(x, "embeddings.LayerNorm", config.layer_norm_eps), config.hidden_dropout_prob)
    return ops.linear(x, "embeddings_project") if config.has_projection else x


def attention_bias(ops: Ops[T], config: EncoderConfig, queries: T, mask: T) -> T:
    """Return what is added to the scores of attention: the mask's bias, and where the family has one, the positions'.

    The latter is the same in every layer: [B, H, Tq, T] for `queries` [B, Tq, D] at positions 0, 1, 2 ...
    """
    if not config.relative_attention_num_buckets:
        return mask
    buckets = relative_position_buckets(config.max_position_embeddings, config.relative_attention_num_buckets)
    return ops.relative_bias(mask, queries, buckets, RELATIVE)


@cache
def relative_position_buckets(length: int, buckets: int) -> NDArray[np.int32]:
    """Return the row of the table of biases for a query at one position and a key at another: [length, length].

    >>> relative_position_buckets(200, 32)[[0, 0, 0, 0, 5], [0, 1, 8, 199, 0]].tolist()
    [0, 17, 24, 31, 5]
    """
    # a query further on sees the same rows one place further left: a view, which takes no memory
    return np.lib.stride_tricks.sliding_window_view(relative_buckets(length, buckets), length)[::-1]


def relative_buckets(length: int, buckets: int) -> NDArray[np.int32]:
    """Return the row of the table of biases for a key that lies -(length - 1) to length - 1 ahead: [2 length - 1].

    Either direction has half of the buckets; half of those are for one distance each, the others for spans that grow
    by the same factor up to 128 (Raffel et al. 2020, arXiv:1910.10683, section 2.1).

    >>> relative_buckets(4, 32).tolist()
    [3, 2, 1, 0, 17, 18, 19]
    """
    side = buckets // 2
    exact = side // 2
    ahead = np.arange(1 - length, length)  # how far the key lies ahead of the query
    distance = np.abs(ahead)
    spans = np.log(np.maximum(distance, exact) / exact) / math.log(128 / exact) * (side - exact)
    far = np.minimum(exact + (spans + 1e-9).astype(np.int64), side - 1)
    return (np.where(distance < exact, distance, far) + side * (ahead > 0)).astype(np.int32)


def layer_name(config: EncoderConfig, layer: int) -> str:
    """Return what the names of a layer's tensors begin with; shared layers have those of the first."""
    return f"encoder.layer.{0 if config.shared_layers else layer}"


def block(ops: Ops[T], config: EncoderConfig, name: str, queries: T, hidden: T, bias: T) -> T:
    """Run one post-norm block: attend from `queries` [B, Tq, D] to `hidden` [B, T, D], then feed forward."""
    attended = ops.attention(
        ops.linear(queries, f"{name}.attention.self.query"),
        ops.linear(hidden, f"{name}.attention.self.key"),
        ops.linear(hidden, f"{name}.attention.self.value"),
        bias,
        heads=config.num_attention_heads,
        rate=config.attention_probs_dropout_prob,
        name=f"{name}.attention.self",
    )
    x = residual(ops, config, f"{name}.attention.output", attended, queries)
    inner = ops.activation(ops.linear(x, f"{name}.intermediate.dense"), config.activation)
    return residual(ops, config, f"{name}.output", inner, x)


def residual(ops: Ops[T], config: EncoderConfig, name: str, x: T, skipped: T) -> T:
    """Project x, drop out, add what was skipped, normalise."""
    projected = ops.dropout(ops.linear(x, f"{name}.dense"), config.hidden_dropout_prob)
    return ops.layer_norm(ops.add(projected, skipped), f"{name}.LayerNorm", config.layer_norm_eps)


def pool(ops: Ops[T], config: EncoderConfig, first: T) -> T:
    """Make `pooled_output` of position 0 [B, D]: tanh of a dense map, or the vector as it is."""
    if config.pooler == "first_token":
        return first
    return ops.activation(ops.linear(first, "pooler.dense"), "tanh")
