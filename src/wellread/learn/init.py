"""Modules before training: drawn anew, with a fresh head, or made of a teacher's layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.catalog.modules import entries
from wellread.checkpoints.checkpoint import Array, Checkpoint, in_memory
from wellread.checkpoints.families import FAMILIES, family_of
from wellread.checkpoints.family import Family
from wellread.checkpoints.names import head_shapes, in_layer, sentence_shapes, shapes
from wellread.config import HEADS, DenseConfig, EncoderConfig, HeadConfig, SentenceConfig
from wellread.errors import ConfigError, nearest, some
from wellread.learn.settings import DistillConfig, LayersConfig
from wellread.learn.transfer import transferred_words
from wellread.module import Module
from wellread.schema import account_for, read_json
from wellread.text.tokenizer import Tokenizer


def random_tensors(
    wanted: Mapping[str, tuple[int, ...]], deviation: float, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Draw tensors of the wanted shapes: normal and cut at two deviations; LayerNorm is one and zero, biases are zero.

    >>> shapes = {"pooler.dense.bias": (2,), "pooler.dense.weight": (2, 3)}
    >>> made = random_tensors(shapes, 0.02, np.random.default_rng(0))
    >>> made["pooler.dense.bias"].tolist(), bool((np.abs(made["pooler.dense.weight"]) <= 0.04).all())
    ([0.0, 0.0], True)
    """
    made = {}
    for name, shape in wanted.items():
        if name.endswith("weight") and len(shape) == 1:  # of a LayerNorm
            made[name] = np.ones(shape, np.float32)
        elif name.endswith("bias"):
            made[name] = np.zeros(shape, np.float32)
        else:
            made[name] = np.clip(rng.standard_normal(shape, np.float32), -2, 2) * np.float32(deviation)
    return made


NO_TASK_HEAD = "a task's head says nothing of words; fine-tune the module again"


@cache
def named_shapes() -> Mapping[str, EncoderConfig]:
    """Return the shapes of the 24 small BERTs (Turc et al. 2019) as `L-2_H-128`; heads are of width 64."""
    small = [entry for entry in entries() if entry.family == "small_bert"]
    return {f"L-{entry.num_hidden_layers}_H-{entry.hidden_size}": entry.config() for entry in small}


def shape_named(name: str) -> EncoderConfig:
    """Return the shape of a small BERT. Raises: ConfigError for an unknown one, with the nearest known.

    >>> shape_named("L-2_H-128").num_attention_heads
    2
    """
    if name not in named_shapes():
        raise ConfigError(
            f"the shape {name!r} was asked for; it is none of {', '.join(named_shapes())}; name one of these, or give "
            f"a config.json{nearest(name, named_shapes())}"
        )
    return named_shapes()[name]


def family_of_file(path: Path) -> Family:
    """Return the family that a Hugging Face config.json names. Raises: ConfigError for one that is not trained."""
    model_type = str(read_json(path).get("model_type", "bert"))
    if model_type not in FAMILIES:
        raise ConfigError(
            f"{path} names the model_type {model_type!r}; wellread trains {', '.join(FAMILIES)}; choose one of these"
            f"{nearest(model_type, FAMILIES)}"
        )
    return FAMILIES[model_type]


TIED = {"tie_word_embeddings": [True]}  # the head of the words that is trained takes the word table


def shape_of_file(path: Path) -> EncoderConfig:
    """Return the shape that a Hugging Face config.json describes. Raises: ConfigError, as in loading a module."""
    data, family = read_json(path), family_of_file(path)
    # one writes it by hand: no key is a stranger
    keys = account_for(data, replace(family.keys, fixed={**family.keys.fixed, **TIED}, patterns={}), source=path)
    return family.encoder_config(keys.used, source=path)


def from_scratch(
    config: EncoderConfig,
    tokenizer: Tokenizer,
    *,
    family: str | None = None,
    seed: int = 0,
    max_seq_length: int = 128,
) -> Module:
    """Make an untrained module of a shape, with the masked-language-model head; its sentence vector is the mean.

    `pad_token_id` becomes the tokenizer's. Without `family` it is the one that has such shapes.

    Raises: InputError for a vocabulary larger than `config.vocab_size`; ConfigError for one whose padding is not where
        the family has it.
    """
    table = FAMILIES[family or family_of(asdict(config))]
    config = table.with_padding(config, tokenizer.special.pad)
    if config.position_offset and config.pad_token_id != config.position_offset - 1:
        raise ConfigError(
            f"an untrained {table.name} was to be made; its positions take the id {config.position_offset - 1} for "
            f"padding, and the vocabulary's is {config.pad_token_id}; order the vocabulary so, or choose another family"
        )
    rng = np.random.default_rng(seed)
    arrays = random_tensors(shapes(config, mlm=True), config.initializer_range, rng)
    checkpoint = Checkpoint(
        family=table.name,
        config=config,
        sentence=SentenceConfig(max_seq_length=min(max_seq_length, config.max_length)),
        tensors=in_memory(arrays),
    )
    return Module(checkpoint=checkpoint, tokenizer=tokenizer, provenance={"made_by": "wellread", "drawn_from": seed})


def with_mlm_head(checkpoint: Checkpoint, *, seed: int) -> Checkpoint:
    """Return a checkpoint with a masked-language-model head, its own or a fresh one, and without a task's head."""
    wanted = shapes(checkpoint.config, mlm=True)
    if checkpoint.has_mlm and checkpoint.head is None:
        return checkpoint
    rng = np.random.default_rng(seed)
    fresh = {name: shape for name, shape in wanted.items() if name not in checkpoint.tensors}
    new_tensors = in_memory(random_tensors(fresh, checkpoint.config.initializer_range, rng))
    maps = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("sentence.")}
    kept = {name: tensor for name, tensor in checkpoint.tensors.items() if name in wanted}
    ignored = {**checkpoint.ignored, **({"classifier": NO_TASK_HEAD} if checkpoint.head else {})}
    return replace(checkpoint, head=None, tensors={**kept, **new_tensors, **maps}, ignored=ignored)


def without_heads(checkpoint: Checkpoint, why: str) -> Checkpoint:
    """Return a checkpoint without a task's head, and without that for masked words, because of `why`."""
    kept = shapes(checkpoint.config) | sentence_shapes(checkpoint.sentence)
    ignored = {
        **checkpoint.ignored,
        **({"classifier": NO_TASK_HEAD} if checkpoint.head else {}),
        **({"cls.predictions": why} if checkpoint.has_mlm else {}),
    }
    tensors = {name: checkpoint.tensors[name] for name in kept}
    return replace(checkpoint, head=None, tensors=tensors, ignored=ignored)


ONE_HEAD = "fine-tuning keeps one head, that of the task"
UNTRAINED_POOLER = "learning sentence vectors does not train it"


def refuse_long(checkpoint: Checkpoint, max_seq_length: int, *, who: str = "") -> None:
    """Refuse rows that a position table has no room for. Raises: ConfigError."""
    limit = checkpoint.config.max_length
    if max_seq_length > limit:
        raise ConfigError(
            f"rows of max_seq_length {max_seq_length} were asked for; the position table{who and f' of the {who}'} has "
            f"{limit}; ask for less"
        )


def is_continued(old: HeadConfig | None, new: HeadConfig) -> bool:
    """Say whether the weights of a module's head are those that the new one begins with.

    >>> is_continued(HeadConfig(task="classify", labels=("0", "1")), HeadConfig(task="pair", labels=("0", "1")))
    True
    """
    if old is None or not new.outputs:
        return False
    return (old.row.huggingface, old.labels, old.first_map) == (new.row.huggingface, new.labels, new.first_map)


def with_head(checkpoint: Checkpoint, head: HeadConfig, *, max_seq_length: int, seed: int) -> Checkpoint:
    """Put `head` on a checkpoint, with the old weights if `is_continued`, else drawn from `seed`.

    A family with a pooler that has none gets a fresh one for a head on whole texts, as in Hugging Face's classes. The
    head of the masked language model goes; the maps of the sentence vector stay.

    Raises: ConfigError for a `max_seq_length` beyond the position table.
    """
    refuse_long(checkpoint, max_seq_length)
    config = config_for_head(checkpoint.config, head)
    sentence = replace(checkpoint.sentence, max_seq_length=max_seq_length)
    if config.pooler != checkpoint.config.pooler and sentence.pooling == "pooled_output":
        sentence = replace(sentence, pooling="cls")  # what it was before there was a pooler
    ours = head_shapes(config, head)
    wanted = shapes(config) | sentence_shapes(sentence) | ours
    passed_over = set() if is_continued(checkpoint.head, head) else ours.keys()
    kept = {name: checkpoint.tensors[name] for name in wanted if name in checkpoint.tensors and name not in passed_over}
    fresh = {name: shape for name, shape in wanted.items() if name not in kept}
    tensors = kept | in_memory(random_tensors(fresh, config.initializer_range, np.random.default_rng(seed)))
    return Checkpoint(
        family=checkpoint.family,
        config=config,
        sentence=sentence,
        head=head,
        tensors={name: tensors[name] for name in wanted},
        ignored={**checkpoint.ignored, **({"cls.predictions": ONE_HEAD} if checkpoint.has_mlm else {})},
        inferred=checkpoint.inferred,
    )


def config_for_head(config: EncoderConfig, head: HeadConfig) -> EncoderConfig:
    """Return the shape of an encoder under a head: with a pooler, where the head reads its output."""
    return (
        replace(config, pooler="dense_tanh")
        if head.row.reads == "pooled_output" and not head.pre_classifier
        else config
    )


def first_map(checkpoint: Checkpoint, head: str) -> dict[str, Any]:
    """Return the fields of HeadConfig that say what a head of config.HEADS has before its last map, in a family."""
    kinds = FAMILIES[checkpoint.family].heads
    alike = (kind.first_map for kind in kinds if HEADS[kind.task].huggingface == HEADS[head].huggingface)
    return next(alike, {"pre_classifier": False})


WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
MLM_TRANSFORM = tuple(
    f"cls.predictions.transform.{part}.{leaf}" for part in ("dense", "LayerNorm") for leaf in ("weight", "bias")
)
UNDISTURBING = {POSITIONS, TYPES, "embeddings.relative_attention_bias.weight"}


def fresh_arrays(
    config: EncoderConfig, sentence: SentenceConfig, *, seed: int, mlm: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Draw the weights of an encoder, its sentence vector and, with `mlm`, its head for masked words."""
    wanted = shapes(config, mlm=mlm) | sentence_shapes(sentence)
    return random_tensors(wanted, config.initializer_range, np.random.default_rng(seed))


def from_teacher_layers(teacher: Checkpoint, wanted: LayersConfig, *, max_seq_length: int, seed: int) -> Checkpoint:
    """Make a student of some layers of the teacher, with its embeddings and its head for masked words, without pooler.

    Of BERT it is a DistilBERT, which has no type table: the teacher adds the vector of type 0 to every token; the
    student lacks it, as DistilBERT did, unless `fold_types` puts it into the positions. Of another family it is of
    that family.

    Raises: ConfigError for layers that the teacher lacks, or a LayerNorm that the student's family does not know.
    """
    layers = teacher.config.num_hidden_layers
    missing = [str(layer) for layer in wanted.chosen if layer >= layers]
    if missing:
        raise ConfigError(
            f"the teacher's layers {wanted.teacher_layers} were asked for; found that it has no layer "
            f"{', '.join(missing)}, for they go from 0 to {layers - 1}; choose others (teacher_layers)"
        )
    family = FAMILIES[FAMILIES[teacher.family].layers_student or teacher.family]
    eps = family.constants.get("layer_norm_eps", teacher.config.layer_norm_eps)
    if teacher.config.layer_norm_eps != eps:
        raise ConfigError(
            f"a {family.name} was to be made; found a teacher with layer_norm_eps {teacher.config.layer_norm_eps} "
            f"where that family has {eps}; distil relations or vectors"
        )
    constants = {"pooler": "first_token", **family.constants}
    config = replace(teacher.config, num_hidden_layers=len(wanted.chosen), **constants)
    sentence = SentenceConfig(max_seq_length=max_seq_length)
    arrays: dict[str, Array] = {**fresh_arrays(config, sentence, seed=seed, mlm=True)}
    kept = arrays.keys() if wanted.vocab_transform else arrays.keys() - {*MLM_TRANSFORM}
    for name in kept:
        arrays[name] = teacher.tensors[in_layer(name, [0] if config.shared_layers else wanted.chosen)].read()
    if wanted.fold_types and TYPES in teacher.tensors and TYPES not in arrays:
        arrays[POSITIONS] = np.asarray(arrays[POSITIONS] + teacher.tensors[TYPES].read()[0])
    return Checkpoint(family=family.name, config=config, sentence=sentence, tensors=in_memory(arrays))


def from_teacher_to_vectors(
    teacher: Module, wanted: DistillConfig, *, tokenizer: Tokenizer | None = None
) -> Checkpoint:
    """Make a fresh student whose vectors a linear map takes into the teacher's space.

    It reads with the teacher's vocabulary, or that of another `tokenizer`.
    """
    checkpoint = teacher.checkpoint
    encoder = from_teacher(checkpoint, wanted) if tokenizer is None else from_other_words(teacher, wanted, tokenizer)
    sentence = SentenceConfig(
        pooling="mean",
        dense=(DenseConfig(in_features=wanted.hidden_size, out_features=checkpoint.embedding_size),),
        normalize=True,
        max_seq_length=wanted.max_seq_length,
    )
    fresh = fresh_arrays(encoder.config, sentence, seed=wanted.loop.seed)
    maps = {name: fresh[name] for name in sentence_shapes(sentence)}
    return replace(encoder, sentence=sentence, tensors={**encoder.tensors, **in_memory(maps)})


def student_config(teacher: EncoderConfig, wanted: DistillConfig) -> EncoderConfig:
    """Return the shape of a student of the teacher's family and vocabulary, without a pooler.

    >>> teacher = EncoderConfig(vocab_size=99, hidden_size=24, num_hidden_layers=3, num_attention_heads=4,
    ...                         intermediate_size=37)
    >>> wanted = DistillConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2, max_seq_length=16)
    >>> student = student_config(teacher, wanted)
    >>> student.intermediate_size, student.max_position_embeddings
    (32, 16)
    """
    return replace(
        teacher,
        **_shape(wanted),
        embedding_size=teacher.embedding_size if teacher.embedding_width != teacher.hidden_size else None,
        max_position_embeddings=wanted.max_seq_length + teacher.position_offset,
    )


def from_teacher(teacher: Checkpoint, wanted: DistillConfig) -> Checkpoint:
    """Make a student of the wanted shape for the teacher's vocabulary, of the teacher's family.

    Embeddings that are narrower than the teacher's layers keep their width.
    """
    config = student_config(teacher.config, wanted)
    return _from_words(np.asarray(teacher.tensors[WORDS].read(), np.float32), config, wanted, family=teacher.family)


def from_other_words(teacher: Module, wanted: DistillConfig, tokenizer: Tokenizer) -> Checkpoint:
    """Make a BERT of the wanted shape for another vocabulary, whose words begin where the teacher has their texts."""
    config = EncoderConfig(
        vocab_size=tokenizer.vocab_size,
        **_shape(wanted),
        max_position_embeddings=wanted.max_seq_length,
        pad_token_id=tokenizer.special.pad,
    )
    table = np.asarray(teacher.checkpoint.tensors[WORDS].read(), np.float32)
    return _from_words(transferred_words(table, teacher.tokenizer, tokenizer), config, wanted, family="bert")


def _shape(wanted: DistillConfig) -> dict[str, Any]:
    """Return the fields of a fresh student's config that the settings name; no pooler is trained."""
    return {
        "hidden_size": wanted.hidden_size,
        "num_hidden_layers": wanted.num_hidden_layers,
        "num_attention_heads": wanted.num_attention_heads,
        "intermediate_size": 4 * wanted.hidden_size,
        "pooler": "first_token",
    }


def _from_words(table: NDArray[np.float32], config: EncoderConfig, wanted: DistillConfig, *, family: str) -> Checkpoint:
    """Make a student whose words begin at the principal components of those in `table` [V, W].

    They are scaled to the usual deviation. Where the student's embeddings are wider than W, the rest of them is drawn.
    Positions and types begin at zero, not to disturb the words; all else is drawn anew.
    """
    sentence = SentenceConfig(max_seq_length=wanted.max_seq_length)
    arrays = fresh_arrays(config, sentence, seed=wanted.loop.seed)
    for name in UNDISTURBING & arrays.keys():
        arrays[name][:] = 0
    words = principal_components(table, config.embedding_width)
    arrays[WORDS][:, : words.shape[1]] = words * np.float32(config.initializer_range / words.std())
    return Checkpoint(family=family, config=config, sentence=sentence, tensors=in_memory(arrays))


def with_unit_vectors(student: Checkpoint, width: int, wanted: DistillConfig) -> Checkpoint:
    """Make a module's vectors unit vectors of `width` numbers: by one linear map more, drawn anew, where they are not.

    Heads that sentence vectors do not need are left out, and a pooler that they are not made of, for nothing would
    train it beside the layers; and prompts, for the student learns texts without any.
    """
    config, ignored = student.config, student.ignored
    if config.pooler == "dense_tanh" and student.sentence.pooling != "pooled_output":
        config, ignored = replace(config, pooler="first_token"), {**ignored, "pooler": UNTRAINED_POOLER}
    sentence = replace(
        student.sentence,
        normalize=True,
        truncate_dim=None,
        max_seq_length=wanted.max_seq_length,
        prompts={},
        default_prompt_name=None,
    )
    kept = shapes(config) | sentence_shapes(sentence)
    tensors = {name: student.tensors[name] for name in kept}
    if student.embedding_size != width:
        map = DenseConfig(in_features=student.embedding_size, out_features=width)
        sentence = replace(sentence, dense=(*sentence.dense, map))
        fresh = fresh_arrays(config, sentence, seed=wanted.loop.seed)
        tensors |= in_memory({name: fresh[name] for name in sentence_shapes(sentence) if name not in kept})
    return replace(student, config=config, sentence=sentence, head=None, ignored=ignored, tensors=tensors)


def with_layers(student: Checkpoint, source: Checkpoint) -> Checkpoint:
    """Begin a student as another encoder of its shape, but for its words, which lie as far from zero as words do there.

    What the layers of an encoder learned of one language helps with the next: Artetxe et al. 2020 (arXiv:1910.11856).

    Raises: ConfigError where the shapes differ.
    """
    ours, theirs = student.arrays(), source.arrays()
    taken = [name for name in ours if name.startswith(("encoder.", "embeddings.")) and name != WORDS]
    others = [name for name in taken if name not in theirs or theirs[name].shape != ours[name].shape]
    if others or student.config.num_hidden_layers != source.config.num_hidden_layers:
        raise ConfigError(
            f"layers of {_shape_of(student.config)} were to begin as another encoder's; found "
            f"{_shape_of(source.config)}"
            f"{f', and {some(others, 2)} of another size' if others else ''}; name one of the same shape"
        )
    words, model = np.asarray(ours[WORDS], np.float32), np.asarray(theirs[WORDS], np.float32)
    arrays = {**ours, **{name: theirs[name] for name in taken}, WORDS: words * (model.std() / words.std())}
    return replace(student, tensors=in_memory(arrays))


def _shape_of(config: EncoderConfig) -> str:
    return f"{config.num_hidden_layers} x {config.hidden_size}"


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
