"""Students before they learn: layers of the teacher, or a fresh shape with its word table begun from the teacher's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wellread.config import DenseConfig, EncoderConfig, SentenceConfig
from wellread.errors import ConfigError
from wellread.learn.initial import drawn
from wellread.learn.settings import DistillConfig, LayersConfig
from wellread.weights.checkpoint import Array, Checkpoint, in_memory
from wellread.weights.families.distilbert import FAMILY
from wellread.weights.names import sentence_shapes, shapes

WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
MLM_TRANSFORM = tuple(
    f"cls.predictions.transform.{part}.{leaf}" for part in ("dense", "LayerNorm") for leaf in ("weight", "bias")
)
UNDISTURBING = {POSITIONS, TYPES}


def fresh_arrays(
    config: EncoderConfig, sentence: SentenceConfig, *, seed: int, mlm: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Draw the weights of an encoder, its sentence vector and, with `mlm`, its head for masked words."""
    wanted = shapes(config, mlm=mlm) | sentence_shapes(sentence)
    return drawn(wanted, config.initializer_range, np.random.default_rng(seed))


def layers_student(teacher: Checkpoint, wanted: LayersConfig, *, max_seq_length: int, seed: int) -> Checkpoint:
    """Make a DistilBERT of some layers of the teacher, with its embeddings and its head for masked words.

    There is no pooler and no type table. The teacher adds the vector of type 0 to every token; the student lacks it, as
    DistilBERT did, unless `fold_types` puts it into the positions.

    Raises: ConfigError for layers that the teacher lacks, or a LayerNorm that the family does not know.
    """
    layers = teacher.config.num_hidden_layers
    missing = [str(layer) for layer in wanted.chosen if layer >= layers]
    if missing:
        raise ConfigError(
            f"the teacher's layers {wanted.teacher_layers} were asked for; found that it has no layer "
            f"{', '.join(missing)}, for they go from 0 to {layers - 1}; choose others (teacher_layers)"
        )
    if teacher.config.layer_norm_eps != FAMILY.constants["layer_norm_eps"]:
        raise ConfigError(
            f"a DistilBERT was to be made; found a teacher with layer_norm_eps {teacher.config.layer_norm_eps} where "
            f"that family has {FAMILY.constants['layer_norm_eps']}; distil relations or vectors"
        )
    config = replace(
        teacher.config, num_hidden_layers=len(wanted.chosen), type_vocab_size=0, pooler=FAMILY.constants["pooler"]
    )
    sentence = SentenceConfig(max_seq_length=max_seq_length)
    arrays: dict[str, Array] = {**fresh_arrays(config, sentence, seed=seed, mlm=True)}
    kept = arrays.keys() if wanted.vocab_transform else arrays.keys() - {*MLM_TRANSFORM}
    for name in kept:
        arrays[name] = teacher.tensors[_source(name, wanted.chosen)].read()
    if wanted.fold_types and TYPES in teacher.tensors:
        arrays[POSITIONS] = np.asarray(arrays[POSITIONS] + teacher.tensors[TYPES].read()[0])
    return Checkpoint(family=FAMILY.name, config=config, sentence=sentence, tensors=in_memory(arrays))


def _source(name: str, chosen: list[int]) -> str:
    """Return the teacher's tensor that the student's begins with.

    >>> _source("encoder.layer.1.output.dense.bias", [0, 4, 8])
    'encoder.layer.4.output.dense.bias'
    """
    path = name.split(".")
    if path[:2] == ["encoder", "layer"]:
        path[2] = str(chosen[int(path[2])])
    return ".".join(path)


def sentence_student(teacher: Checkpoint, wanted: DistillConfig) -> Checkpoint:
    """Make a fresh student whose vectors a linear map takes into the teacher's space."""
    encoder = fresh_student(teacher, wanted)
    sentence = SentenceConfig(
        pooling="mean",
        dense=(DenseConfig(in_features=wanted.hidden_size, out_features=teacher.embedding_size),),
        normalize=True,
        max_seq_length=wanted.max_seq_length,
    )
    fresh = fresh_arrays(encoder.config, sentence, seed=wanted.loop.seed)
    maps = {name: fresh[name] for name in sentence_shapes(sentence)}
    return replace(encoder, sentence=sentence, tensors={**encoder.tensors, **in_memory(maps)})


def fresh_student(teacher: Checkpoint, wanted: DistillConfig) -> Checkpoint:
    """Make a student of the wanted shape for the teacher's vocabulary.

    Its word table holds the principal components of the teacher's, scaled to the usual deviation, so that words begin
    where the teacher has them; positions and types begin at zero, not to disturb them; the rest is drawn anew.
    `pooled_output` is the vector of position 0, for no pooler is trained.
    """
    width = wanted.hidden_size
    config = replace(
        teacher.config,
        hidden_size=width,
        num_hidden_layers=wanted.num_hidden_layers,
        num_attention_heads=wanted.num_attention_heads,
        intermediate_size=4 * width,
        pooler="first_token",
        max_position_embeddings=wanted.max_seq_length,
    )
    sentence = SentenceConfig(max_seq_length=wanted.max_seq_length)
    arrays = fresh_arrays(config, sentence, seed=wanted.loop.seed)
    for name in UNDISTURBING & arrays.keys():
        arrays[name][:] = 0
    words = principal_components(np.asarray(teacher.tensors[WORDS].read(), np.float32), width)
    arrays[WORDS] = words * np.float32(config.initializer_range / words.std())
    family = "bert" if config.type_vocab_size else FAMILY.name
    return Checkpoint(family=family, config=config, sentence=sentence, tensors=in_memory(arrays))


def mapped_student(student: Checkpoint, width: int, wanted: DistillConfig) -> Checkpoint:
    """Make a module's vectors unit vectors of `width` numbers: by one linear map more, drawn anew, where they are not.

    Heads that sentence vectors do not need are left out.
    """
    sentence = replace(student.sentence, normalize=True, max_seq_length=wanted.max_seq_length)
    kept = shapes(student.config) | sentence_shapes(sentence)
    tensors = {name: student.tensors[name] for name in kept}
    if student.embedding_size != width:
        map = DenseConfig(in_features=student.embedding_size, out_features=width)
        sentence = replace(sentence, dense=(*sentence.dense, map))
        fresh = fresh_arrays(student.config, sentence, seed=wanted.loop.seed)
        tensors |= in_memory({name: fresh[name] for name in sentence_shapes(sentence) if name not in kept})
    return replace(student, sentence=sentence, head=None, tensors=tensors)


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
