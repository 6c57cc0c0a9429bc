"""wellread's own tensor names and their shapes: those of Hugging Face's BERT, without prefix."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence

from wellread.config import EncoderConfig, HeadConfig, SentenceConfig
from wellread.dataclass import dataclass
from wellread.errors import UnusedTensorsWarning, nearest, some
from wellread.formats.arrays import StoredTensor

# Shape letters: V vocabulary, P positions, Y types, R buckets of relative positions, W embeddings, D hidden, H heads,
# F inner. {i} is the layer.
TABLES = {
    "embeddings": """
        embeddings.word_embeddings.weight                   V W
        embeddings.position_embeddings.weight               P W
        embeddings.LayerNorm.weight                         W
        embeddings.LayerNorm.bias                           W
    """,
    "types": """
        embeddings.token_type_embeddings.weight             Y W
    """,
    "relative positions": """
        embeddings.relative_attention_bias.weight           R H
    """,
    "projection": """
        embeddings_project.weight                           D W
        embeddings_project.bias                             D
    """,
    "layer": """
        encoder.layer.{i}.attention.self.query.weight       D D
        encoder.layer.{i}.attention.self.query.bias         D
        encoder.layer.{i}.attention.self.key.weight         D D
        encoder.layer.{i}.attention.self.key.bias           D
        encoder.layer.{i}.attention.self.value.weight       D D
        encoder.layer.{i}.attention.self.value.bias         D
        encoder.layer.{i}.attention.output.dense.weight     D D
        encoder.layer.{i}.attention.output.dense.bias       D
        encoder.layer.{i}.attention.output.LayerNorm.weight D
        encoder.layer.{i}.attention.output.LayerNorm.bias   D
        encoder.layer.{i}.intermediate.dense.weight         F D
        encoder.layer.{i}.intermediate.dense.bias           F
        encoder.layer.{i}.output.dense.weight               D F
        encoder.layer.{i}.output.dense.bias                 D
        encoder.layer.{i}.output.LayerNorm.weight           D
        encoder.layer.{i}.output.LayerNorm.bias             D
    """,
    "pooler": """
        pooler.dense.weight                                 D D
        pooler.dense.bias                                   D
    """,
    "mlm": """
        cls.predictions.transform.dense.weight              W D
        cls.predictions.transform.dense.bias                W
        cls.predictions.transform.LayerNorm.weight          W
        cls.predictions.transform.LayerNorm.bias            W
        cls.predictions.bias                                V
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table: a name and the letters of its shape, in the layer that it stands for."""

    name: str  # with {i} where the layer's number goes
    letters: tuple[str, ...]
    layer: int = 0  # 0 too where the name has no layer


def rows(config: EncoderConfig, *, mlm: bool = False) -> Iterator[Row]:
    """Yield the row of every tensor that an encoder of `config` has; with `mlm` also the head's."""
    yield from _table("embeddings")
    if config.type_vocab_size:
        yield from _table("types")
    if config.relative_attention_num_buckets:
        yield from _table("relative positions")
    if config.has_projection:
        yield from _table("projection")
    for layer in range(config.stored_layers):
        yield from _table("layer", layer=layer)
    if config.pooler == "dense_tanh":
        yield from _table("pooler")
    if mlm:
        yield from _table("mlm")


def plain_rows(group: str) -> list[str]:
    """Return the names of a group of TABLES, with {i} where the layer's number goes."""
    return [row.name for row in _table(group)]


def in_layer(name: str, layers: Sequence[int]) -> str:
    """Return the tensor that takes the place of `name` where only `layers` of an encoder are kept, in their order.

    >>> in_layer("encoder.layer.1.output.dense.bias", [0, 4, 8])
    'encoder.layer.4.output.dense.bias'
    """
    path = name.split(".")
    if path[:2] == ["encoder", "layer"]:
        path[2] = str(layers[int(path[2])])
    return ".".join(path)


def _table(group: str, *, layer: int = 0) -> Iterator[Row]:
    for line in TABLES[group].strip().splitlines():
        name, *letters = line.split()
        yield Row(name=name, letters=tuple(letters), layer=layer)


def shapes(config: EncoderConfig, *, mlm: bool = False) -> dict[str, tuple[int, ...]]:
    """Return every tensor that an encoder of `config` has, with its shape; with `mlm` also the head's.

    >>> tiny = EncoderConfig(vocab_size=30522, hidden_size=128, num_hidden_layers=2, num_attention_heads=2,
    ...                      intermediate_size=512)
    >>> import math
    >>> sum(math.prod(shape) for shape in shapes(tiny).values())
    4385920
    """
    sizes = {
        "V": config.vocab_size,
        "P": config.max_position_embeddings,
        "Y": config.type_vocab_size,
        "R": config.relative_attention_num_buckets,
        "H": config.num_attention_heads,
        "W": config.embedding_width,
        "D": config.hidden_size,
        "F": config.intermediate_size,
    }
    return {
        row.name.format(i=row.layer): tuple(sizes[letter] for letter in row.letters) for row in rows(config, mlm=mlm)
    }


def sentence_shapes(sentence: SentenceConfig) -> dict[str, tuple[int, ...]]:
    """Return the tensors of the steps behind the pooling, with their shapes."""
    maps: dict[str, tuple[int, ...]] = {}
    for i, dense in enumerate(sentence.dense):
        shape = (dense.out_features, dense.in_features)
        if dense.has_weights:
            maps[f"sentence.{i}.weight"] = shape if dense.kind == "dense" else shape[:1]
            if dense.bias:
                maps[f"sentence.{i}.bias"] = shape[:1]
        if dense.residual and dense.in_features != dense.out_features:
            maps[f"sentence.{i}.residual.weight"] = shape
    return maps


def head_shapes(config: EncoderConfig, head: HeadConfig | None) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a task's head, with their shapes.

    >>> tiny = EncoderConfig(vocab_size=99, hidden_size=12, num_hidden_layers=1, num_attention_heads=4,
    ...                      intermediate_size=37)
    >>> head_shapes(tiny, HeadConfig(task="answer"))
    {'qa_outputs.weight': (2, 12), 'qa_outputs.bias': (2,)}
    """
    if head is None or not head.outputs:
        return {}
    width, name = config.hidden_size, head.row.tensors
    tensors: dict[str, tuple[int, ...]] = {}
    if head.pre_classifier:
        tensors |= {"pre_classifier.weight": (width, width), "pre_classifier.bias": (width,)}
    return tensors | {f"{name}.weight": (head.outputs, width), f"{name}.bias": (head.outputs,)}


def mismatches(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, StoredTensor]) -> list[str]:
    """List, by name, every tensor that is missing, surplus, of a wrong shape or not of floats."""
    faults = [f"{name} is missing" for name in expected.keys() - found.keys()]
    faults += [f"{name} is surplus{nearest(name, expected)}" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        tensor, shape = found[name], expected[name]
        if tensor.shape != shape:
            faults.append(f"{name} has shape {list(tensor.shape)} where the configuration says {list(shape)}")
        if "float" not in tensor.dtype and tensor.int8 is None:
            faults.append(f"{name} holds {tensor.dtype} where wellread computes with floats")
    return sorted(faults)


ANOTHERS = "no tensor of the encoder, nor of a head that wellread computes"


def warn_unused(unused: Collection[str], source: object) -> None:
    """Say once which tensors of a file are left out, if any: heads of others, mostly."""
    if unused:
        warnings.warn(
            f"{some(unused)} of {source} {'is' if len(unused) == 1 else 'are'} not used: {ANOTHERS}; the module is the "
            "encoder without; name what is known to be of no use with ignore=",
            UnusedTensorsWarning,
            stacklevel=3,
        )
