"""A fresh student: the shape that was asked for, its word table begun from the teacher's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wellread.config import DenseConfig, EncoderConfig, SentenceConfig
from wellread.weights.checkpoint import Checkpoint, in_memory
from wellread.weights.names import sentence_shapes, shapes

WORDS = "embeddings.word_embeddings.weight"
UNDISTURBING = {"embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"}


def fresh_arrays(config: EncoderConfig, sentence: SentenceConfig, *, seed: int) -> dict[str, NDArray[np.float32]]:
    """Draw weights as BERT does: normal with deviation `initializer_range`, cut at two; ones and zeros elsewhere."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, shape in (shapes(config) | sentence_shapes(sentence)).items():
        if name.endswith("LayerNorm.weight"):
            made[name] = np.ones(shape, np.float32)
        elif name.endswith("bias"):
            made[name] = np.zeros(shape, np.float32)
        else:
            drawn = rng.standard_normal(shape, np.float32)
            made[name] = np.clip(drawn, -2, 2) * np.float32(config.initializer_range)
    return made


def sentence_student(
    teacher: Checkpoint, *, layers: int, width: int, heads: int, max_seq_length: int, seed: int
) -> Checkpoint:
    """Make a student of `layers` layers of `width` whose vectors a linear map takes into the teacher's space.

    Its word table holds the principal components of the teacher's, scaled to the usual deviation, so that words begin
    where the teacher has them; positions and types begin at zero, not to disturb them; the rest is drawn anew.
    `pooled_output` is the vector of position 0, for no pooler is trained.
    """
    config = replace(
        teacher.config,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        pooler="first_token",
        max_position_embeddings=max_seq_length,
    )
    sentence = SentenceConfig(
        pooling="mean",
        dense=(DenseConfig(in_features=width, out_features=teacher.embedding_size),),
        normalize=True,
        max_seq_length=max_seq_length,
    )
    arrays = fresh_arrays(config, sentence, seed=seed)
    words = principal_components(np.asarray(teacher.tensors[WORDS].read(), np.float32), width)
    for name in UNDISTURBING & arrays.keys():
        arrays[name][:] = 0
    arrays[WORDS] = words * np.float32(config.initializer_range / words.std())
    family = "bert" if config.type_vocab_size else "distilbert"
    return Checkpoint(family=family, config=config, sentence=sentence, tensors=in_memory(arrays))


def principal_components(table: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Project the rows of `table` [V, D] on its first `count` principal components: [V, count].

    >>> table = np.outer(np.arange(4), [3, 4]).astype(np.float32)
    >>> np.abs(principal_components(table, 1)[:, 0]).round(3).tolist()
    [7.5, 2.5, 2.5, 7.5]
    """
    centred = table - table.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    projected: NDArray[np.float32] = centred @ vectors[:, ::-1][:, :count]
    return projected
