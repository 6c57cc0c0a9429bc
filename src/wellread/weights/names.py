"""wellread's own tensor names and their shapes: those of Hugging Face's BERT, without prefix."""

from __future__ import annotations

from dataclasses import dataclass

from wellread.config import EncoderConfig, SentenceConfig

# Shape letters: V vocabulary, P positions, Y types, D hidden, F inner. {i} is the layer.
TABLES = {
    "embeddings": """
        embeddings.word_embeddings.weight                   V D
        embeddings.position_embeddings.weight               P D
        embeddings.LayerNorm.weight                         D
        embeddings.LayerNorm.bias                           D
    """,
    "types": """
        embeddings.token_type_embeddings.weight             Y D
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
        cls.predictions.transform.dense.weight              D D
        cls.predictions.transform.dense.bias                D
        cls.predictions.transform.LayerNorm.weight          D
        cls.predictions.transform.LayerNorm.bias            D
        cls.predictions.bias                                V
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table: a name and the letters of its shape."""

    name: str
    letters: tuple[str, ...]


def rows(table: str) -> list[Row]:
    """Read one of TABLES."""
    split = [line.split() for line in TABLES[table].strip().splitlines()]
    return [Row(name=name, letters=tuple(letters)) for name, *letters in split]


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
        "D": config.hidden_size,
        "F": config.intermediate_size,
    }
    tables = ["embeddings"]
    tables += ["types"] if config.type_vocab_size else []
    tables += ["layer"] * config.num_hidden_layers
    tables += ["pooler"] if config.pooler == "dense_tanh" else []
    tables += ["mlm"] if mlm else []
    made: dict[str, tuple[int, ...]] = {}
    layer = -1
    for table in tables:
        layer += table == "layer"
        for row in rows(table):
            made[row.name.format(i=layer)] = tuple(sizes[letter] for letter in row.letters)
    return made


def sentence_shapes(sentence: SentenceConfig) -> dict[str, tuple[int, ...]]:
    """Return the tensors of the linear maps behind the pooling, with their shapes."""
    made: dict[str, tuple[int, ...]] = {}
    for i, dense in enumerate(sentence.dense):
        made[f"sentence.{i}.weight"] = (dense.out_features, dense.in_features)
        if dense.bias:
            made[f"sentence.{i}.bias"] = (dense.out_features,)
    return made
