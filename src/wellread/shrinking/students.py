"""Students before training: their shapes, their vocabularies, their first weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wellread.checkpoints.checkpoint import Array, Checkpoint, in_memory
from wellread.checkpoints.names import head_shapes, sentence_shapes, shapes
from wellread.config import DenseConfig, EncoderConfig, HeadConfig, SentenceConfig
from wellread.learn.init import (
    POSITIONS,
    config_for_head,
    first_map,
    from_teacher,
    from_teacher_to_vectors,
    student_config,
    with_head,
)
from wellread.learn.settings import DistillConfig, LoopConfig
from wellread.measure.speed import spread
from wellread.module import Module
from wellread.shrinking.settings import heads_of
from wellread.trimming import trim

COUNTED = 200_000  # texts from which a vocabulary is chosen, at most
SMALLER = 0.9  # of the pieces of another: a vocabulary with more is no option of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A student's shape, beside what it has of its teacher."""

    num_hidden_layers: int
    hidden_size: int
    max_seq_length: int

    def wanted(self, seed: int = 0) -> DistillConfig:
        """Return the shape as the makers of students take it."""
        return DistillConfig(
            num_hidden_layers=self.num_hidden_layers,
            hidden_size=self.hidden_size,
            num_attention_heads=heads_of(self.hidden_size),
            max_seq_length=self.max_seq_length,
            loop=LoopConfig(seed=seed),
        )

    def config(self, source: EncoderConfig) -> EncoderConfig:
        """Return the encoder's configuration; of the teacher's own width it has layers as the teacher's are."""
        config = student_config(source, self.wanted())
        if self.hidden_size != source.hidden_size:
            return config
        positions = min(config.max_position_embeddings, source.max_position_embeddings)
        return replace(
            config,
            num_attention_heads=source.num_attention_heads,
            intermediate_size=source.intermediate_size,
            max_position_embeddings=positions,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """All that decides the tensors of a finished student."""

    config: EncoderConfig
    sentence: SentenceConfig
    head: HeadConfig | None

    @classmethod
    def of(cls, shape: Shape, source: Checkpoint, head: HeadConfig | None) -> Layout:
        """Describe the student of a teacher: with a head, or else with a map to the teacher's vectors."""
        config = shape.config(source.config)
        if head is None:
            map = DenseConfig(in_features=shape.hidden_size, out_features=source.embedding_size)
            return cls(config=config, sentence=SentenceConfig(dense=(map,), normalize=True), head=None)
        own = replace(head, **first_map(source, head.kind or head.task))
        return cls(config=config_for_head(config, own), sentence=SentenceConfig(), head=own)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors, by wellread's names."""
        return shapes(self.config) | sentence_shapes(self.sentence) | head_shapes(self.config, self.head)


def takes_layers(width: int, teacher: EncoderConfig) -> bool:
    """Tell whether a student of a hidden size begins with layers of the teacher's: it has the teacher's own."""
    return width == teacher.hidden_size


def fresh_student(shape: Shape, source: Module, *, vectors: bool, seed: int) -> Module:
    """Make a student that has not learnt yet, with the vocabulary of `source`.

    Its words begin where those of `source` are; of the same width, its layers are some of that one's, evenly chosen.
    With `vectors` its sentence vector has a map to the width of `source`'s.
    """
    wanted, teacher = shape.wanted(seed), source.checkpoint
    student = from_teacher_to_vectors(source, wanted) if vectors else from_teacher(teacher, wanted)
    if takes_layers(shape.hidden_size, teacher.config):
        student = _with_layers(student, teacher, shape.config(teacher.config))
    return Module(checkpoint=student, tokenizer=source.tokenizer, backend=source.backend)


def _with_layers(student: Checkpoint, teacher: Checkpoint, config: EncoderConfig) -> Checkpoint:
    """Give a student of the teacher's width the teacher's embeddings and some of its layers."""
    chosen = spread(range(teacher.config.num_hidden_layers), config.num_hidden_layers)
    taken: dict[str, Array] = {}
    for name in shapes(config):
        path = name.split(".")
        if path[:2] == ["encoder", "layer"] and not config.shared_layers:
            path[2] = str(chosen[int(path[2])])
        taken[name] = teacher.tensors[".".join(path)].read()
    taken[POSITIONS] = np.asarray(taken[POSITIONS][: config.max_position_embeddings])
    sentence = replace(student.sentence, max_seq_length=min(student.sentence.max_seq_length, config.max_length))
    return replace(student, config=config, sentence=sentence, tensors={**student.tensors, **in_memory(taken)})


def untrained(shape: Shape, source: Module, head: HeadConfig | None) -> Module:
    """Make a finished student of random weights: as large and as fast as a trained one."""
    student = fresh_student(shape, source, vectors=head is None, seed=0)
    if head is None:
        return student
    own = replace(head, **first_map(source.checkpoint, head.kind or head.task))
    length = student.checkpoint.sentence.max_seq_length
    return replace(student, checkpoint=with_head(student.checkpoint, own, max_seq_length=length, seed=0))


def vocabularies(module: Module, names: Sequence[str], texts: Sequence[str]) -> dict[str, Module]:
    """Return the module with each of the vocabularies that are asked for, by name, the largest first.

    `trimmed` has the pieces that `texts` use; a number about as many, the commonest and what spells the others. A
    vocabulary that is hardly smaller than another is left out.
    """
    sample = spread(texts, COUNTED)
    counts = np.zeros(0, np.int64)
    if any(name != "teacher" for name in names):
        counts = np.bincount(module.tokenizer.tokenize(sample).values, minlength=module.tokenizer.vocab_size)
    options: dict[str, Module] = {"teacher": module} if "teacher" in names else {}
    for name in sorted((name for name in names if name != "teacher"), key=_size_of, reverse=True):
        least = 1 if name == "trimmed" else _least_count(counts, int(name))
        option = trim(module, sample, min_count=least, held_out=())
        spelling = option.tokenizer.vocab_size - int((counts >= least).sum())  # pieces that are rarer and are needed
        if name != "trimmed" and 0 < spelling < int(name) < option.tokenizer.vocab_size:
            option = trim(module, sample, min_count=_least_count(counts, int(name) - spelling), held_out=())
        if not options or option.tokenizer.vocab_size <= SMALLER * min(
            each.tokenizer.vocab_size for each in options.values()
        ):
            options[name] = replace(option, provenance=module.provenance)
    return options


def _size_of(name: str) -> float:
    return float(name) if name.isdecimal() else float("inf")


def _least_count(counts: np.ndarray[tuple[int], np.dtype[np.int64]], pieces: int) -> int:
    """Return how often a piece must occur, so that at most so many do.

    >>> _least_count(np.array([9, 5, 5, 1, 0]), 3), _least_count(np.array([9, 5, 5, 1, 0]), 2)
    (5, 6)
    """
    ordered = np.sort(counts)[::-1]
    if pieces >= np.count_nonzero(ordered):
        return 1
    least = int(ordered[pieces - 1])
    return max(1, least if int((counts >= least).sum()) <= pieces else least + 1)
