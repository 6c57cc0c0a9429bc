"""What the methods of distillation share: inputs, rows, the teacher's outputs for them, the student as a task."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import EncoderConfig
from wellread.data.examples import Examples
from wellread.data.token_store import token_store
from wellread.encoder.heads import LOGITS_OUTPUT, SENTENCE_OUTPUT
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distill.teacher import (
    Pack,
    RowNumbers,
    TeacherCache,
    TeacherOutput,
    key_of,
    share_limit,
    teacher_backend,
)
from wellread.learn.distributed import Process
from wellread.learn.rows import Rows, rows_of
from wellread.learn.settings import DistillConfig
from wellread.learn.step import Inputs, Loss, tensors
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer

GIGABYTE = 1_000_000_000
SHAPE = ("num_hidden_layers", "hidden_size", "num_attention_heads")  # settings of a student that is made


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """A module that teaches."""

    module: Module
    sha256: str  # its fingerprint


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DistillInputs:
    """What a method makes a student of."""

    teachers: Sequence[Teacher]  # one at least
    student: Module | None  # that learns; None: one is made
    texts: Sequence[str] | Sequence[Path]
    pairs: Sequence[str] | None  # the second text of each
    config: DistillConfig
    output_dir: Path
    process: Process
    tokenizer: Tokenizer | None = None  # of a student that is made; None: the teacher's
    layers: Module | None = None  # whose layers a student that is made begins with; None: they are drawn
    examples: Examples | None = None  # rows with a label of their own, beside the texts

    @property
    def teacher(self) -> Module:
        """The first teacher, for most methods the only one."""
        return self.teachers[0].module


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Student:
    """A module that learns from teachers: the task that the loop trains."""

    inputs: DistillInputs
    checkpoint: Checkpoint  # before training
    tokenizer: Tokenizer
    model: TorchEncoder
    rows: Rows
    caches: Sequence[TeacherCache]  # of each teacher, the outputs for the rows
    objective: Callable[[TorchEncoder, Inputs], Loss]
    facts: Mapping[str, Any]  # what the loss depends on beside data and first teacher, as JSON has it
    pack: Callable[[RowNumbers, int], Mapping[str, NDArray[Any]]] | None = None  # rows of an epoch; None: as they are

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, special ones included."""
        return self.rows.lengths

    def collate(self, rows: RowNumbers, epoch: int) -> Inputs:
        """Pad rows to their longest; `theirs` are the teacher's vectors [n, width] of the rows, or of their tokens.

        Those of several teachers stand side by side.
        """
        batch = self.pack(rows, epoch) if self.pack else self.rows.pack(rows)
        return tensors({**batch, "theirs": np.concatenate([cache.read(rows, epoch) for cache in self.caches], axis=1)})

    def prepare(self, epoch: int, process: Process) -> None:
        """Have what the teachers say in an epoch on disk, as far as it fits."""
        for cache in self.caches:
            cache.prepare(epoch, process)

    def loss(self, inputs: Inputs) -> Loss:
        """Hold the student's outputs against the teachers'."""
        return self.objective(self.model, inputs)

    def identity(self) -> dict[str, Any]:
        """Name data and teachers by their hashes, what the loss is made with, and where the teachers' outputs are."""
        method, (teacher, *others) = self.inputs.config.method, self.inputs.teachers
        common: dict[str, Any] = {"task": method, "data": self.rows.digest(), "teacher": teacher.sha256}
        if others:
            common["further_teachers"] = [other.sha256 for other in others]
        on_disk = [cache.is_on_disk for cache in self.caches]
        return {**common, **self.facts, "teacher_on_disk": on_disk if others else on_disk[0]}


def shape_of(config: EncoderConfig) -> dict[str, int]:
    """Return a student's shape, by the names that the settings have for it."""
    return {name: getattr(config, name) for name in SHAPE}


def teacher_cache(
    inputs: DistillInputs,
    rows: Rows,
    output: str,
    *,
    number: int = 0,
    layers: int | None = None,
    packs: Mapping[tuple[Hashable, ...], Pack] | None = None,
) -> TeacherCache:
    """Keep an output of a teacher, or of its first `layers` layers, for `rows` in the run's directory.

    `number` is the teacher's place. `packs` has as many variants of the rows as there are masks of them, by what tells
    one from the others.
    """
    teacher = inputs.teachers[number].module
    backend, head = teacher_backend(teacher, layers=layers), teacher.checkpoint.head
    widths = {SENTENCE_OUTPUT: teacher.checkpoint.embedding_size, LOGITS_OUTPUT: head.outputs if head else 0}
    sha256 = inputs.teachers[number].sha256
    facts = (inputs.config.method, sha256, backend.name, backend.precision, rows.digest())
    outputs = [
        TeacherOutput(
            backend=backend,
            output=output,
            width=widths.get(output, teacher.checkpoint.config.hidden_size),
            per_token=output not in widths,
            lengths=rows.lengths,
            pack=pack,
            key=key_of(*facts, *variant),
        )
        for variant, pack in (packs or {(): rows.pack}).items()
    ]
    limit = int(inputs.config.teacher_cache_gb * GIGABYTE)
    return TeacherCache(outputs=outputs, directory=inputs.output_dir / "teacher", limit=limit)


def text_caches(inputs: DistillInputs, rows: Sequence[Rows], output: str) -> list[TeacherCache]:
    """Keep an output of every teacher for the texts as each reads them: `rows`, in the order of the teachers."""
    caches = [teacher_cache(inputs, own, output, number=number) for number, own in enumerate(rows)]
    return share_limit(caches)


def text_rows(module: Module, columns: Sequence[Sequence[str]], *, max_seq_length: int | None = None) -> Rows:
    """Tokenise texts, or both texts of pairs, as a module reads them."""
    return rows_of(
        module.tokenizer,
        columns,
        max_seq_length=module.max_seq_length if max_seq_length is None else max_seq_length,
        type_rows=module.checkpoint.config.type_vocab_size,
    )


def token_rows(inputs: DistillInputs) -> Rows:
    """Return the rows of methods that compare tokens; long texts go on in further rows.

    Raises: TrainingError where all are shorter than `min_tokens`.
    """
    tokenizer, length, least = inputs.teacher.tokenizer, inputs.config.max_seq_length, inputs.config.min_tokens
    cache = inputs.output_dir / "tokens"
    store = token_store(inputs.texts, tokenizer, cache=cache, max_seq_length=length, run_once=inputs.process.run_once)
    every = Rows(segments=[store.rows], template=tokenizer.template, max_seq_length=length)
    long = (every.lengths >= least).nonzero()[0]
    if not len(long):
        raise TrainingError(
            f"rows of at least min_tokens {least} tokens were asked for; found {len(every)} of at most "
            f"{every.lengths.max(initial=0)}; lower min_tokens, or give longer texts"
        )
    return Rows(segments=every.segments, template=every.template, max_seq_length=length, kept=long)


def texts_in_memory(inputs: DistillInputs) -> list[str]:
    """Return texts that are in memory. Raises: TrainingError for files."""
    texts = [text for text in inputs.texts if isinstance(text, str)]
    if len(texts) != len(inputs.texts):
        raise TrainingError(
            f"the method {inputs.config.method!r} learns from texts; found {len(inputs.texts) - len(texts)} paths of "
            "files; read them first: wellread.data.corpus.read_lines"
        )
    return texts


def refuse_other_vocabulary(inputs: DistillInputs) -> None:
    """Refuse a student that reads other ids than its teacher. Raises: ConfigError."""
    ours, theirs = (inputs.student or inputs.teacher).tokenizer, inputs.teacher.tokenizer
    same = ours.vocabulary.pieces == theirs.vocabulary.pieces and ours.config.dialect == theirs.config.dialect
    if not same or (ours.config.dialect == "fast" and ours.model_bytes() != theirs.model_bytes()):
        raise ConfigError(
            f"the method {inputs.config.method!r} compares student and teacher token by token, so they need one "
            f"vocabulary; found {ours.vocab_size} pieces ({ours.config.dialect}) and {theirs.vocab_size} "
            f"({theirs.config.dialect}) that differ; leave the student out, or distil with labels or vectors"
        )
