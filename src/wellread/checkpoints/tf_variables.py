"""TensorFlow's variables: their names and layouts in tables, and how they become our tensors.

The names of TF1 are those of google-research/bert, those of TF Hub its exporters': tensorflow/models and
jeongukjae/huggingface-to-tfhub. A dense map is stored as [in, out]; TF Hub splits what belongs to heads: [D, H, K].
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from itertools import groupby

import numpy as np

from wellread.checkpoints import names
from wellread.config import EncoderConfig, HeadConfig
from wellread.dataclass import dataclass
from wellread.errors import ConfigError, WeightsError
from wellread.formats.arrays import Array, StoredTensor
from wellread.formats.tensor_bundle import Bundle, Entry
from wellread.schema import ASKED, is_named

# Shape letters: D hidden, H heads, K head width (D = H K).
# Both ways take an array and the number of heads H, and change no number.
_Layout = Callable[[Array, int], Array]
LAYOUTS: dict[str, tuple[_Layout, _Layout]] = {  # from ours to theirs, and back
    "as_is": (lambda x, heads: x, lambda x, heads: x),
    "transposed": (lambda x, heads: x.T, lambda x, heads: x.T),
    # [D, D] and [D, H, K]
    "to_heads": (lambda x, heads: x.T.reshape(x.shape[1], heads, -1), lambda x, heads: x.reshape(x.shape[0], -1).T),
    # [D] and [H, K]
    "by_head": (lambda x, heads: x.reshape(heads, -1), lambda x, heads: x.reshape(-1)),
    # [D, D] and [H, K, D]
    "from_heads": (
        lambda x, heads: x.T.reshape(heads, -1, x.shape[0]),
        lambda x, heads: x.reshape(-1, x.shape[-1]).T,
    ),
}


def to_layout(layout: str, array: Array, heads: int) -> Array:
    """Lay an array of ours out as TensorFlow does.

    >>> to_layout("to_heads", np.zeros((12, 12)), 4).shape, to_layout("from_heads", np.zeros((12, 12)), 4).shape
    ((12, 4, 3), (4, 3, 12))
    """
    return np.ascontiguousarray(LAYOUTS[layout][0](array, heads))


def from_layout(layout: str, array: Array, heads: int) -> Array:
    """Lay an array of TensorFlow's out as we do.

    >>> from_layout("from_heads", np.zeros((4, 3, 12)), 4).shape
    (12, 12)
    """
    return np.ascontiguousarray(LAYOUTS[layout][1](array, heads))


def layout_shape(layout: str, shape: tuple[int, ...], heads: int) -> tuple[int, ...]:
    """Return the shape that an array of ours of `shape` has in TensorFlow; nothing is allocated.

    >>> layout_shape("by_head", (12,), 4)
    (4, 3)
    """
    empty = np.broadcast_to(np.zeros((), np.bool_), shape)
    return LAYOUTS[layout][0](empty, heads).shape


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
    layout: str  # a key of LAYOUTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """One way of naming variables."""

    name: str
    rows: str  # lines of `ours theirs layout`
    ignored: Mapping[str, str] = field(default_factory=dict)  # a variable's name (a trailing * matches) -> why

    def table(self, config: EncoderConfig, *, mlm: bool, head: HeadConfig | None = None) -> dict[str, Row]:
        """Return, for every tensor of ours that a checkpoint may hold, its variable, in the order of the rows."""
        tensors = {row.name for row in names.rows(config, mlm=mlm)} | names.head_shapes(config, head).keys()
        table: dict[str, Row] = {}
        for of_layers, group in groupby(self.rows.strip().splitlines(), key=lambda line: "{i}" in line):
            lines = [line.split() for line in group]
            for i in range(config.stored_layers if of_layers else 1):
                table |= {
                    ours.format(i=i): Row(theirs=theirs.format(i=i), layout=layout)
                    for ours, theirs, layout in lines
                    if ours in tensors
                }
        return table


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
        embeddings.relative_attention_bias.weight            relative_attention_bias/embeddings                           as_is
        embeddings_project.weight                            embedding_projection/kernel                                  transposed
        embeddings_project.bias                              embedding_projection/bias                                    as_is
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


_OF_HEADS = ("pre_classifier.", "classifier.", "qa_outputs.")
_SHOWN = 20  # faults that a message lists
_MAX_SIZE = 2**31  # of one dimension: a product of two stays below what NumPy can address
_SLOT = "what an optimizer kept of each tensor"
# What training leaves in a checkpoint beside the model: a variable's name (a trailing * matches) -> what it is.
TRAINING = {
    "global_step": "how long it was trained",
    "save_counter": "how often it was saved",
    **dict.fromkeys(("*/adam_m", "*/adam_v", "*/Adam", "*/Adam_1", "*/lamb_m", "*/lamb_v"), _SLOT),
    **dict.fromkeys(("*/AdamWeightDecayOptimizer", "*/AdamWeightDecayOptimizer_1"), _SLOT),
    **dict.fromkeys(("beta1_power", "beta2_power"), "where an optimizer stood"),
}


def states(bundle: Bundle) -> dict[str, StoredTensor]:
    """Return everything that a bundle holds, strings as tensors of a type that no model takes."""
    return {**bundle.tensors, **{key: _as_tensor(strings) for key, strings in bundle.strings.items()}}


def leave_out(
    pairs: Iterable[tuple[str, StoredTensor]], reasons: Mapping[str, str], *, source: object
) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Take out of names and tensors those that match a pattern of `reasons`, and count them; `source` names the file.

    Returns the other variables, and of those left out the patterns with how many there are and why.

    Raises: WeightsError: two of the others bear one name.

    >>> from wellread.checkpoints.checkpoint import in_memory
    >>> import numpy as np
    >>> slots = in_memory({"bias/adam_m": np.zeros(2), "bias/adam_v": np.zeros(2)})
    >>> leave_out(slots.items(), TRAINING, source="model.ckpt")[1]
    {'*/adam_m, */adam_v': '2 variables: what an optimizer kept of each tensor'}
    """
    variables: dict[str, StoredTensor] = {}
    counts: dict[str, dict[str, int]] = {}
    for name, tensor in pairs:
        pattern = next((pattern for pattern in reasons if fnmatchcase(name, pattern)), None)
        if pattern is None and name in variables:
            raise WeightsError(
                f"the variables of {source} must bear distinct names; found {name[:100]} twice; export the model again"
            )
        if pattern is None:
            variables[name] = tensor
        else:
            of_reason = counts.setdefault(reasons[pattern], {})
            of_reason[pattern] = of_reason.get(pattern, 0) + 1
    ignored = {
        ", ".join(sorted(counted)): f"{sum(counted.values())} variables: {why}" for why, counted in counts.items()
    }
    return variables, ignored


def leave_beside(
    naming: Naming,
    variables: Mapping[str, StoredTensor],
    *,
    source: object,
    head: HeadConfig | None = None,
    ignore: Collection[str] = (),
) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Take out of variables those of others' heads, which lie in no place of the encoder's; say so in a warning.

    `ignore` names variables, or patterns of them, to leave out without one. Returns the other variables, and those left
    out with the reason.

    >>> from wellread.checkpoints.checkpoint import in_memory
    >>> crf = in_memory({"crf_loss/transition": np.zeros((2, 2))})
    >>> leave_beside(TF1, crf, source="model.ckpt", ignore=["crf_loss/*"])
    ({}, {'crf_loss/transition': 'passed over as the caller asked'})
    """
    rows = (line.split()[:2] for line in naming.rows.strip().splitlines())
    places = {theirs.split("/")[0] for ours, theirs in rows if head is not None or not ours.startswith(_OF_HEADS)}
    ignored = {name: ASKED for name in variables if is_named(name, ignore) and name.split("/")[0] not in places}
    beside = [name for name in variables if name.split("/")[0] not in places and name not in ignored]
    names.warn_unused(beside, source)
    ignored |= dict.fromkeys(beside, names.ANOTHERS)
    return {name: tensor for name, tensor in variables.items() if name not in ignored}, ignored


def to_ours(
    naming: Naming,
    config: EncoderConfig,
    variables: Mapping[str, StoredTensor],
    *,
    mlm: bool,
    source: object,
    head: HeadConfig | None = None,
) -> dict[str, StoredTensor]:
    """Name and lay out every variable as wellread does; `source` names the checkpoint, `head` is a task's in it.

    Raises: ConfigError for sizes that no tensor has; WeightsError that lists the variables that are missing, surplus or
        of a wrong shape.
    """
    _check_sizes(config, variables, source)
    heads = config.num_attention_heads
    table = naming.table(config, mlm=mlm, head=head)
    shapes = names.shapes(config, mlm=mlm) | names.head_shapes(config, head)
    expected = {row.theirs: layout_shape(row.layout, shapes[name], heads) for name, row in table.items()}
    surplus = sorted(variables.keys() - expected.keys())
    compared = {name: variables[name] for name in (*(variables.keys() & expected.keys()), *surplus[:_SHOWN])}
    faults = names.mismatches(expected, compared)
    if faults:
        more = max(len(faults) - _SHOWN, 0) + max(len(surplus) - _SHOWN, 0)
        listed = [fault[:200] for fault in faults[:_SHOWN]] + ([f"there are {more} more faults"] if more else [])
        raise WeightsError(
            f"the variables of {source} must be those of {config.stored_layers} layers of {naming.name}'s BERT; "
            f"found that {', '.join(listed)}; fetch it again, or one of the BERT family"
        )
    return {name: _laid_out(variables[row.theirs], row.layout, heads, shapes[name]) for name, row in table.items()}


def _check_sizes(config: EncoderConfig, variables: Mapping[str, StoredTensor], source: object) -> None:
    """Refuse sizes that cannot be meant, before a name is made for each layer or a shape for each tensor."""
    if config.stored_layers > len(variables):
        raise WeightsError(
            f"{config.stored_layers} layers were asked of {source}; found {len(variables)} variables in all; "
            "correct the configuration or fetch the checkpoint again"
        )
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "type_vocab_size")
    large = [f"{name} {getattr(config, name)}" for name in sizes if getattr(config, name) >= _MAX_SIZE]
    if large:
        raise ConfigError(
            f"the sizes of {source} must be below {_MAX_SIZE}; found {', '.join(large)}; correct the configuration"
        )


def _as_tensor(strings: Entry) -> StoredTensor:
    return StoredTensor(shape=strings.shape, dtype="string", read=lambda: np.array(strings.read_strings()))


def _laid_out(stored: StoredTensor, layout: str, heads: int, shape: tuple[int, ...]) -> StoredTensor:
    def read() -> Array:
        return from_layout(layout, stored.read(), heads)

    return StoredTensor(shape=shape, dtype=stored.dtype, read=read)
