"""What stands on top of the encoder: the masked-language-model head, the sentence vector, the head of a task."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from wellread.config import EncoderConfig, HeadConfig, SentenceConfig
from wellread.encoder.encoder import OUTPUTS, encode
from wellread.encoder.ops import Ops

T = TypeVar("T")

MLM_INPUT = "masked_lm_positions"
MLM_OUTPUT = "mlm_logits"
SENTENCE_OUTPUT = "sentence_embedding"
LOGITS_OUTPUT = "logits"
POOLED_FROM = {"cls": "cls_output", "mean": "sequence_output", "pooled_output": "pooled_output"}


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
    needed = {name for name in OUTPUTS if name in outputs}
    if MLM_OUTPUT in outputs:
        needed.add("sequence_output")
    if SENTENCE_OUTPUT in outputs:
        needed.add(POOLED_FROM[sentence.pooling])
    if head is not None and LOGITS_OUTPUT in outputs:
        needed.add(head_input(head))
    values: dict[str, Any] = {**encode(ops, config, inputs, outputs=needed)}
    if MLM_OUTPUT in outputs:
        values[MLM_OUTPUT] = mlm_logits(ops, config, values["sequence_output"], inputs[MLM_INPUT])
    if SENTENCE_OUTPUT in outputs:
        source = values[POOLED_FROM[sentence.pooling]]
        values[SENTENCE_OUTPUT] = sentence_embedding(ops, sentence, source, inputs["input_mask"])
    if head is not None and LOGITS_OUTPUT in outputs:
        values[LOGITS_OUTPUT] = task_logits(ops, head, values[head_input(head)])
    return {name: values[name] for name in outputs}


def mlm_logits(ops: Ops[T], config: EncoderConfig, sequence_output: T, positions: T) -> T:
    """Score every piece at `positions` [B, P] of `sequence_output` [B, T, D]: raw logits [B, P, V].

    The head of Devlin et al. 2018: dense to the width of the embeddings, activation, LayerNorm, then the word table
    itself, plus a bias.
    """
    x = ops.gather_rows(sequence_output, positions)
    x = ops.activation(ops.linear(x, "cls.predictions.transform.dense"), config.activation)
    x = ops.layer_norm(x, "cls.predictions.transform.LayerNorm", config.layer_norm_eps)
    return ops.logits(x, "embeddings.word_embeddings.weight", "cls.predictions.bias")


def sentence_embedding(ops: Ops[T], sentence: SentenceConfig, source: T, mask: T) -> T:
    """Pool, map and normalise as `sentence` says; `source` is what POOLED_FROM names for its pooling: [B, E]."""
    x = ops.mean(source, mask) if sentence.pooling == "mean" else source
    for i, dense in enumerate(sentence.dense):
        x = ops.linear(x, f"sentence.{i}")
        if dense.activation != "identity":
            x = ops.activation(x, dense.activation)
    return ops.normalize(x) if sentence.normalize else x


def head_input(head: HeadConfig) -> str:
    """Name the encoder's output that a head with logits reads."""
    assert head.row.reads is not None
    return "cls_output" if head.pre_classifier else head.row.reads


def task_logits(ops: Ops[T], head: HeadConfig, source: T) -> T:
    """Map what `head_input` names, [B, D] or [B, T, D], to the head's logits [..., C].

    The heads of Hugging Face's BERT and DistilBERT: dropout and a linear map; DistilBERT's has another map before it.
    """
    x = ops.activation(ops.linear(source, "pre_classifier"), "relu") if head.pre_classifier else source
    return ops.linear(ops.dropout(x, head.dropout), head.row.tensors)
