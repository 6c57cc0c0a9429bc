"""The arithmetic of the BERT family, written once over `Ops`.

Devlin et al. 2018 (arXiv:1810.04805) for the encoder, Sanh et al. 2019 (arXiv:1910.01108) for the variant without
pooler and type table. What differs between families is in the config and in which tensors the checkpoint holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from wellread.config import EncoderConfig
from wellread.encoder.ops import Ops

T = TypeVar("T")

INPUTS = ("input_word_ids", "input_mask", "input_type_ids")
OUTPUTS = ("pooled_output", "sequence_output", "encoder_outputs", "embedding_output", "cls_output")
ALL_POSITIONS = {"sequence_output", "encoder_outputs"}


def encode(
    ops: Ops[T], config: EncoderConfig, inputs: Mapping[str, T], *, outputs: Collection[str] = OUTPUTS
) -> dict[str, T | list[T]]:
    """Run the encoder and return the requested `outputs`.

    `inputs`: `input_word_ids`, `input_mask`, `input_type_ids` [B, T] (the last unused where `type_vocab_size` is 0).
    Returns `pooled_output` [B, D], `sequence_output` [B, T, D], `encoder_outputs` (L of [B, T, D], the last equal to
    `sequence_output`), `embedding_output` [B, T, D], `cls_output` [B, D] (position 0 of the last block). When nothing
    asks for the last block at every position, it computes position 0 only: the same values for less work.
    """
    hidden = embedding_output = embed(ops, config, inputs)
    bias = ops.mask_bias(inputs["input_mask"])
    first_alone = ALL_POSITIONS.isdisjoint(outputs)
    layers: list[T] = []
    for i in range(config.num_hidden_layers):
        last = i == config.num_hidden_layers - 1
        queries = ops.first(hidden) if last and first_alone else hidden
        hidden = block(ops, config, f"encoder.layer.{0 if config.shared_layers else i}", queries, hidden, bias)
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
    if config.type_vocab_size:
        x = ops.add(x, ops.embedding(inputs["input_type_ids"], "embeddings.token_type_embeddings.weight"))
    x = ops.add(x, ops.positions(ids, "embeddings.position_embeddings.weight", config.position_offset))
    x = ops.dropout(ops.layer_norm(x, "embeddings.LayerNorm", config.layer_norm_eps), config.hidden_dropout_prob)
    return ops.linear(x, "embeddings_project") if config.has_projection else x


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
