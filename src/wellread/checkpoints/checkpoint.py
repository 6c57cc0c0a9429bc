"""A checkpoint in memory: a config and the tensors that belong to it, under one set of names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

import numpy as np
from numpy.typing import NDArray

from wellread.config import EncoderConfig, HeadConfig, SentenceConfig
from wellread.dataclass import dataclass
from wellread.formats.arrays import StoredTensor, int8_tensor
from wellread.formats.int8 import Int8Matrix

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """An encoder, its heads and its sentence vector; tensors stand under Hugging Face's BERT names without prefix.

    `ignored` says of every key or tensor of the source that was not used why it was not; `inferred` of every field that
    no file of the source states, what it is taken to be and why.
    """

    family: str  # the table that it is written under: a model_type of `families.FAMILIES`
    config: EncoderConfig
    sentence: SentenceConfig = field(default_factory=SentenceConfig)
    head: HeadConfig | None = None  # of a fine-tuned module
    tensors: Mapping[str, StoredTensor]
    ignored: Mapping[str, str] = field(default_factory=dict)
    inferred: Mapping[str, str] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, object]) -> Checkpoint:
        """Return itself: nothing of it changes."""
        return self

    @property
    def has_mlm(self) -> bool:
        """Whether the masked-language-model head is there."""
        return "cls.predictions.bias" in self.tensors

    @property
    def has_int8(self) -> bool:
        """Whether matrices are stored as int8."""
        return any(tensor.int8 is not None for tensor in self.tensors.values())

    @property
    def embedding_size(self) -> int:
        """Width E of a sentence vector, before `truncate_dim` cuts it."""
        width = self.config.hidden_size * len(self.sentence.poolings)
        return self.sentence.dense[-1].out_features if self.sentence.dense else width

    @property
    def encoded_size(self) -> int:
        """Numbers of a vector that `encode` gives: the first `truncate_dim` of E."""
        cut = self.sentence.truncate_dim
        return self.embedding_size if cut is None else min(self.embedding_size, cut)

    @property
    def num_parameters(self) -> int:
        """Numbers in all tensors, heads included."""
        return sum(int(np.prod(tensor.shape, dtype=np.int64)) for tensor in self.tensors.values())

    def summary(self) -> dict[str, str]:
        """Say in a few words each what a user asks first: family, shape, vectors, parameters, size."""
        size = sum(tensor.nbytes for tensor in self.tensors.values())
        return {
            "family": f"{self.family} for {self.head.task}" if self.head else self.family,
            "shape": f"{self.config.num_hidden_layers} layers of {self.config.hidden_size}",
            "vectors": f"{self.encoded_size} dimensions",
            "parameters": f"{self.num_parameters:,} parameters",
            "size": f"{size / 1e6:.1f} MB",
        }

    def arrays(self) -> dict[str, Array]:
        """Read every tensor."""
        return {name: tensor.read() for name, tensor in self.tensors.items()}

    def stored(self, *, floats: str | None = None) -> dict[str, Array | Int8Matrix]:
        """Read every tensor, and int8 matrices as such, but for those whose names begin with `floats`."""
        as_floats = {name for name in self.tensors if floats is not None and name.startswith(floats)}
        return {
            name: tensor.read() if tensor.int8 is None or name in as_floats else tensor.int8()
            for name, tensor in self.tensors.items()
        }


def in_memory(arrays: Mapping[str, Array | Int8Matrix]) -> dict[str, StoredTensor]:
    """Present arrays, and int8 matrices, as the tensors of a checkpoint.

    >>> in_memory({"pooler.dense.bias": np.zeros(12, np.float32)})["pooler.dense.bias"].shape
    (12,)
    """

    def stored(array: Array | Int8Matrix) -> StoredTensor:
        if isinstance(array, Int8Matrix):
            return int8_tensor(array)
        return StoredTensor(shape=array.shape, dtype=array.dtype.name, read=lambda: array)

    return {name: stored(array) for name, array in arrays.items()}
