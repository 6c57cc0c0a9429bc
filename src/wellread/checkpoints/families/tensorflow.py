"""

The names of TF1 are those of google-research/bert, those of TF Hub its exporters': tensorflow/models and
jeongukjae/huggingface-to-tfhub. A dense map is stored as [in, out]; TF Hub splits what belongs to heads: [D, H, K].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from wellread.checkpoints import names
from wellread.config import EncoderConfig, HeadConfig

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One layout: both ways take an array and the number of heads H; no number is changed."""

    to_theirs: Callable[[Array, int], Array]
    to_ours: Callable[[Array, int], Array]


# Shape letters: D hidden, H heads, K head width (D = H K).
LAYOUTS = {
    "as_is": Layout(to_theirs=lambda x, heads: x, to_ours=lambda x, heads: x),
    "transposed": Layout(to_theirs=lambda x, heads: x.T, to_ours=lambda x, heads: x.T),
    "to_heads": Layout(  # [D, D] and [D, H, K]
        to_theirs=lambda x, heads: x.T.reshape(x.shape[1], heads, -1),
        to_ours=lambda x, heads: x.reshape(x.shape[0], -1).T,
    ),
    "by_head": Layout(  # [D] and [H, K]
        to_theirs=lambda x, heads: x.reshape(heads, -1), to_ours=lambda x, heads: x.reshape(-1)
    ),
    "from_heads": Layout(  # [D, D] and [H, K, D]
        to_theirs=lambda x, heads: x.T.reshape(heads, -1, x.shape[0]),
        to_ours=lambda x, heads: x.reshape(-1, x.shape[-1]).T,
    ),
}


def to_layout(layout: str, array: Array, heads: int) -> Array:
    """Lay an array of from_layout out as TensorFlow does.

    >>> to_layout("to_heads", np.zeros((12, 12)), 4).shape, to_layout("from_heads", np.zeros((12, 12)), 4).shape
    ((12, 4, 3), (4, 3, 12))
    """
    return np.ascontiguousarray(LAYOUTS[layout].to_theirs(array, heads))


def from_layout(layout: str, array: Array, heads: int) -> Array:
    """Lay an array of TensorFlow's out as we do.

    >>> from_layout("from_heads", np.zeros((4, 3, 12)), 4).shape
    (12, 12)
    """
    return np.ascontiguousarray(LAYOUTS[layout].to_ours(array, heads))


def layout_shape(layout: str, shape: tuple[int, ...], heads: int) -> tuple[int, ...]:
    """Return the shape that an array of from_layout of `shape` has in TensorFlow; nothing is allocated.

    >>> layout_shape("by_head", (12,), 4)
    (4, 3)
    """
    empty = np.broadcast_to(np.zeros((), np.bool_), shape)
    return LAYOUTS[layout].to_theirs(empty, heads).shape


# Google's modules compute the tanh form, whatever bert_config.json calls it; the exports of DistilBERT the exact one.
GOOGLE_GELU = "gelu_pytorch_tanh"
EXACT_GELU = "gelu"
# The string variable in which a SavedModel of ours says what no tensor tells: {"family": ..., "config": {...}} as JSON,
# and {"head": {...}} of a fine-tuned one.
DESCRIPTION = "wellread"
# The string variable that holds a head's labels [C], for whoever runs the SavedModel; the description has them too.
LABELS = "labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Where one tensor of ours lies in a TensorFlow checkpoint."""

    theirs: str  # the variable's name
    layout: str  # a key of weights.layouts.LAYOUTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """One way of naming variables."""

    name: str
    rows: str  # lines of `ours theirs layout`
    ignored: Mapping[str, str] = field(default_factory=dict)  # a variable's name (a trailing * matches) -> why

    def table(self, config: EncoderConfig, *, mlm: bool, head: HeadConfig | None = None) -> dict[str, Row]:
        """Return, for every tensor of ours that a checkpoint may hold, its variable, in the order of the rows."""
        wanted = {row.name for row in names.rows(config, mlm=mlm)} | names.head_shapes(config, head).keys()
        made: dict[str, Row] = {}
        for of_layers, group in groupby(self.rows.strip().splitlines(), key=lambda line: "{i}" in line):
            lines = [line.split() for line in group]
            for i in range(config.num_hidden_layers if of_layers else 1):
                made |= {
                    ours.format(i=i): Row(theirs=theirs.format(i=i), layout=layout)
                    for ours, theirs, layout in lines
                    if ours in wanted
                }
        return made


TF1 = Naming(
    name="TF1",
    rows="""
        embeddings.word_embeddings.weight                    bert/embeddings/word_embeddings                              as_is
        embeddings.position_embeddings.weight                bert/embeddings/position_embeddings                          as_is
        embeddings.token_type_embeddings.weight              bert/embeddings/token_type_embeddings                        as_is
        embeddings.LayerNorm.weight                          bert/embeddings/LayerNorm/gamma                              as_is
        embeddings.LayerNorm.bias                            bert/embeddings/LayerNorm/beta                               as_is
        encoder.layer.{i}.attention.self.query.weight        bert/encoder/layer_{i}/attention/self/query/kernel           transposed
        encoder.layer.{i}.attention.self.query.bias          bert/encoder/layer_{i}/attention/self/query/bias             as_is
        encoder.layer.{i}.attention.self.key.weight          bert/encoder/layer_{i}/attention/self/key/kernel             transposed
        encoder.layer.{i}.attention.self.key.bias            bert/encoder/layer_{i}/attention/self/key/bias               as_is
        encoder.layer.{i}.attention.self.value.weight        bert/encoder/layer_{i}/attention/self/value/kernel           transposed
        encoder.layer.{i}.attention.self.value.bias          bert/encoder/layer_{i}/attention/self/value/bias             as_is
        encoder.layer.{i}.attention.output.dense.weight      bert/encoder/layer_{i}/attention/output/dense/kernel         transposed
        encoder.layer.{i}.attention.output.dense.bias        bert/encoder/layer_{i}/attention/output/dense/bias           as_is
        encoder.layer.{i}.attention.output.LayerNorm.weight  bert/encoder/layer_{i}/attention/output/LayerNorm/gamma      as_is
        encoder.layer.{i}.attention.output.LayerNorm.bias    bert/encoder/layer_{i}/attention/output/LayerNorm/beta       as_is
        encoder.layer.{i}.intermediate.dense.weight          bert/encoder/layer_{i}/intermediate/dense/kernel             transposed
        encoder.layer.{i}.intermediate.dense.bias            bert/encoder/layer_{i}/intermediate/dense/bias               as_is
        encoder.layer.{i}.output.dense.weight                bert/encoder/layer_{i}/output/dense/kernel                   transposed
        encoder.layer.{i}.output.dense.bias                  bert/encoder/layer_{i}/output/dense/bias                     as_is
        encoder.layer.{i}.output.LayerNorm.weight            bert/encoder/layer_{i}/output/LayerNorm/gamma                as_is
        encoder.layer.{i}.output.LayerNorm.bias              bert/encoder/layer_{i}/output/LayerNorm/beta                 as_is
        pooler.dense.weight                                  bert/pooler/dense/kernel                                     transposed
        pooler.dense.bias                                    bert/pooler/dense/bias                                       as_is
        cls.predictions.transform.dense.weight               cls/predictions/transform/dense/kernel                       transposed
        cls.predictions.transform.dense.bias                 cls/predictions/transform/dense/bias                         as_is
        cls.predictions.transform.LayerNorm.weight           cls/predictions/transform/LayerNorm/gamma                    as_is
        cls.predictions.transform.LayerNorm.bias             cls/predictions/transform/LayerNorm/beta                     as_is
        cls.predictions.bias                                 cls/predictions/output_bias                                  as_is
    """,  # noqa: E501
    ignored={
        "cls/seq_relationship/*": "the next-sentence head, which no output needs",
        **dict.fromkeys(
            ("output_weights", "output_bias", "cls/squad/*"), "a task's head; the encoder is read without it"
        ),
    },
)

TFHUB = Naming(
    name="TF Hub",
    rows="""
        embeddings.word_embeddings.weight                    word_embeddings/embeddings                                   as_is
        embeddings.position_embeddings.weight                position_embedding/embeddings                                as_is
        embeddings.token_type_embeddings.weight              type_embeddings/embeddings                                   as_is
        embeddings.LayerNorm.weight                          embeddings/layer_norm/gamma                                  as_is
        embeddings.LayerNorm.bias                            embeddings/layer_norm/beta                                   as_is
        encoder.layer.{i}.attention.self.query.weight        transformer/layer_{i}/self_attention/query/kernel            to_heads
        encoder.layer.{i}.attention.self.query.bias          transformer/layer_{i}/self_attention/query/bias              by_head
        encoder.layer.{i}.attention.self.key.weight          transformer/layer_{i}/self_attention/key/kernel              to_heads
        encoder.layer.{i}.attention.self.key.bias            transformer/layer_{i}/self_attention/key/bias                by_head
        encoder.layer.{i}.attention.self.value.weight        transformer/layer_{i}/self_attention/value/kernel            to_heads
        encoder.layer.{i}.attention.self.value.bias          transformer/layer_{i}/self_attention/value/bias              by_head
        encoder.layer.{i}.attention.output.dense.weight      transformer/layer_{i}/self_attention/attention_output/kernel from_heads
        encoder.layer.{i}.attention.output.dense.bias        transformer/layer_{i}/self_attention/attention_output/bias   as_is
        encoder.layer.{i}.attention.output.LayerNorm.weight  transformer/layer_{i}/self_attention_layer_norm/gamma        as_is
        encoder.layer.{i}.attention.output.LayerNorm.bias    transformer/layer_{i}/self_attention_layer_norm/beta         as_is
        encoder.layer.{i}.intermediate.dense.weight          transformer/layer_{i}/intermediate/kernel                    transposed
        encoder.layer.{i}.intermediate.dense.bias            transformer/layer_{i}/intermediate/bias                      as_is
        encoder.layer.{i}.output.dense.weight                transformer/layer_{i}/output/kernel                          transposed
        encoder.layer.{i}.output.dense.bias                  transformer/layer_{i}/output/bias                            as_is
        encoder.layer.{i}.output.LayerNorm.weight            transformer/layer_{i}/output_layer_norm/gamma                as_is
        encoder.layer.{i}.output.LayerNorm.bias              transformer/layer_{i}/output_layer_norm/beta                 as_is
        pooler.dense.weight                                  pooler_transform/kernel                                      transposed
        pooler.dense.bias                                    pooler_transform/bias                                        as_is
        cls.predictions.transform.dense.weight               cls/predictions/transform/dense/kernel                       transposed
        cls.predictions.transform.dense.bias                 cls/predictions/transform/dense/bias                         as_is
        cls.predictions.transform.LayerNorm.weight           cls/predictions/transform/LayerNorm/gamma                    as_is
        cls.predictions.transform.LayerNorm.bias             cls/predictions/transform/LayerNorm/beta                     as_is
        cls.predictions.bias                                 cls/predictions/output_bias/bias                             as_is
        pre_classifier.weight                                pre_classifier/kernel                                        transposed
        pre_classifier.bias                                  pre_classifier/bias                                          as_is
        classifier.weight                                    classifier/kernel                                            transposed
        classifier.bias                                      classifier/bias                                              as_is
        qa_outputs.weight                                    qa_outputs/kernel                                            transposed
        qa_outputs.bias                                      qa_outputs/bias                                              as_is
    """,  # noqa: E501
)
