"""What stands on top of the encoder: the masked-language-model head, the sentence vector, the head of a task."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from wellread.config import DenseConfig, EncoderConfig, HeadConfig, SentenceConfig
from wellread.encoder.encoder import OUTPUTS, encode
from wellread.encoder.ops import Ops

T = TypeVar("T")

MLM_INPUT = "masked_lm_positions"
MLM_OUTPUT = "mlm_logits"
SENTENCE_OUTPUT = "sentence_embedding"
LOGITS_OUTPUT = "logits"
POOLING_MASK = "pooling_mask"  # an input: `input_mask` without a prompt's tokens; where absent, the same
POOLED_FROM = {"cls": "cls_output", "pooled_output": "pooled_output"}  # the others read every position
SENTENCE_NORM_EPS = 1e-5  # of a LayerNorm behind the pooling: torch's own


def run(
    ops: Ops[T],
    config: EncoderConfig,
    sentence: SentenceConfig,
    inputs: Mapping[str, T],
    *,
    outputs: Collection[str],
    head: HeadConfig | None = None,
) -> dict[str, T | list[T]]:
    """Run encoder and heads: the encoder's outputs, `mlm_logits` [B, P, V], `sentence_embedding` [B, E].

    With a `head` also its `logits`: [B, C] for a text or a pair, [B, T, C] for tags, [B, T, 2] for spans.
    """
    encoded = encode(ops, config, inputs, outputs=needed_outputs(sentence, outputs=outputs, head=head))
    return finish(ops, config, sentence, {**inputs, **encoded}, outputs=outputs, head=head)


def needed_outputs(sentence: SentenceConfig, *, outputs: Collection[str], head: HeadConfig | None = None) -> set[str]:
    """Name the encoder's outputs that `outputs` are, or are made of."""
    needed = {name for name in OUTPUTS if name in outputs}
    if MLM_OUTPUT in outputs:
        needed.add("sequence_output")
    if SENTENCE_OUTPUT in outputs:
        needed |= {sentence_source(sentence, pooling) for pooling in sentence.poolings}
    if head is not None and LOGITS_OUTPUT in outputs:
        needed.add(head_input(head))
    return needed


def finish(
    ops: Ops[T],
    config: EncoderConfig,
    sentence: SentenceConfig,
    values: Mapping[str, Any],
    *,
    outputs: Collection[str],
    head: HeadConfig | None = None,
) -> dict[str, T | list[T]]:
    """Run the heads on `values`: the encoder's inputs and, of its outputs, those that `needed_outputs` names.

    A vector [B, D] that an encoder has pooled by itself, under the name that `pooled_name` gives it, is taken for it.
    """
    results: dict[str, Any] = {**values}
    if MLM_OUTPUT in outputs:
        results[MLM_OUTPUT] = mlm_logits(ops, config, values["sequence_output"], values[MLM_INPUT])
    if SENTENCE_OUTPUT in outputs:
        results[SENTENCE_OUTPUT] = sentence_embedding(ops, sentence, values)
    if head is not None and LOGITS_OUTPUT in outputs:
        results[LOGITS_OUTPUT] = task_logits(ops, head, values[head_input(head)])
    return {name: results[name] for name in outputs}


def mlm_logits(ops: Ops[T], config: EncoderConfig, sequence_output: T, positions: T) -> T:
    """Score every piece at `positions` [B, P] of `sequence_output` [B, T, D]: raw logits [B, P, V].

    The head of Devlin et al. 2018: dense to the width of the embeddings, activation, LayerNorm, then the word table
    itself, plus a bias.
    """
    x = ops.gather_rows(sequence_output, positions)
    x = ops.activation(ops.linear(x, "cls.predictions.transform.dense"), config.mlm_activation)
    x = ops.layer_norm(x, "cls.predictions.transform.LayerNorm", config.layer_norm_eps)
    return ops.logits(x, "embeddings.word_embeddings.weight", "cls.predictions.bias")


def sentence_source(sentence: SentenceConfig, pooling: str) -> str:
    """Name the encoder's output that a pooling reads: position 0 alone where that will do."""
    if pooling == "cls" and not sentence.include_prompt:
        return "sequence_output"
    return POOLED_FROM.get(pooling, "sequence_output")


def pooled_name(pooling: str) -> str:
    """Return what a vector [B, D] is called that an encoder has pooled by itself."""
    return f"{pooling} of the tokens"


def sentence_embedding(ops: Ops[T], sentence: SentenceConfig, values: Mapping[str, Any]) -> T:
    """Pool the outputs that `sentence_source` names over the mask, run the steps, normalise: [B, E]."""
    vectors = [pool_text(ops, pooling, sentence_source(sentence, pooling), values) for pooling in sentence.poolings]
    x = ops.concat(vectors) if len(vectors) > 1 else vectors[0]
    for i, dense in enumerate(sentence.dense):
        x = sentence_step(ops, dense, f"sentence.{i}", x)
    return ops.normalize(x) if sentence.normalize else x


def pool_text(ops: Ops[T], pooling: str, source: str, values: Mapping[str, Any]) -> T:
    """Make one vector [B, D] of the output `source`, or take that which the encoder has pooled."""
    if source != "sequence_output":
        return values[source]
    if (name := pooled_name(pooling)) in values:
        return values[name]
    mask = values[POOLING_MASK if POOLING_MASK in values else "input_mask"]
    return pool_tokens(ops, pooling, values[source], mask)


def pool_tokens(ops: Ops[T], pooling: str, x: T, mask: T) -> T:
    """Make one vector [B, D] of the tokens x [B, T, D], as sentence-transformers does.

    `weightedmean` weighs tokens by their position from 1 on (Muennighoff 2022, arXiv:2202.08904);
    `mean_sqrt_len_tokens` divides the sum by the square root of the length.
    """
    if pooling in ("cls", "lasttoken"):
        position = ops.argmax(mask if pooling == "cls" else ops.ramp(mask))
        return ops.squeeze(ops.gather_rows(x, position))
    if pooling == "max":
        return ops.max(x, mask)
    weights = ops.ramp(mask) if pooling == "weightedmean" else mask
    return ops.mean(x, weights, root=pooling == "mean_sqrt_len_tokens")


def sentence_step(ops: Ops[T], dense: DenseConfig, name: str, x: T) -> T:
    """Run one step behind the pooling on x [B, E]."""
    if dense.kind == "normalize":
        return ops.normalize(x)
    if dense.kind == "layer_norm":
        return ops.layer_norm(x, name, SENTENCE_NORM_EPS)
    mapped = ops.linear(x, name)
    mapped = mapped if dense.activation == "identity" else ops.activation(mapped, dense.activation)
    if not dense.residual:
        return mapped
    return ops.add(mapped, x if dense.in_features == dense.out_features else ops.linear(x, f"{name}.residual"))


def head_input(head: HeadConfig) -> str:
    """Name the encoder's output that a head with logits reads."""
    assert head.row.reads is not None
    return "cls_output" if head.pre_classifier else head.row.reads


def task_logits(ops: Ops[T], head: HeadConfig, source: T) -> T:
    """Map what `head_input` names, [B, D] or [B, T, D], to the head's logits [..., C].

    The heads of Hugging Face's classes: dropout and a linear map; most of those without pooler have another before it.
    """
    x = ops.dropout(source, head.dropout) if head.pre_dropout else source
    if head.pre_classifier:
        x = ops.activation(ops.linear(x, "pre_classifier"), head.pre_activation)
    return ops.linear(ops.dropout(x, head.dropout), head.row.tensors)
