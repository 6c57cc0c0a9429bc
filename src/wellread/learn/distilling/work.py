"""What every method of distillation is given, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wellread.backends.torch import TorchEncoder
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distilling.targets import GIGABYTE, Question, Targets
from wellread.learn.pretraining.texts import token_store
from wellread.learn.processes import Process
from wellread.learn.rows import Rows
from wellread.learn.settings import DistillConfig
from wellread.learn.task import Inputs, Task, tensors
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """A teacher, text, and what is wanted of them."""

    teacher: Module
    teacher_hash: str
    student: Module | None  # that learns; None: one is made
    texts: Sequence[str] | Sequence[Path]
    pairs: Sequence[str] | None  # the second text of each
    config: DistillConfig
    output_dir: Path
    process: Process


class StudentTask(Task, Protocol):
    """A task whose model is an encoder."""

    @property
    def model(self) -> TorchEncoder:
        """The student."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowsTask:
    """What the tasks share in which a teacher answers a row with one vector."""

    model: TorchEncoder
    rows: Rows
    targets: Targets
    facts: Mapping[str, str]  # the data and the teacher, by their hashes

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, special ones included."""
        return self.rows.lengths

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest, and put the teacher's answers [B, width] beside them as `theirs`."""
        return tensors({**self.rows.pack(rows), "theirs": self.targets.of(rows, epoch)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """What is to be trained, and what the module is made of afterwards."""

    task: StudentTask
    targets: Targets
    checkpoint: Checkpoint  # of the student before training
    tokenizer: Tokenizer


def targets_of(job: Job, sets: Sequence[Question]) -> Targets:
    """Keep the teacher's answers in the run's directory."""
    limit = int(job.config.teacher_cache_gb * GIGABYTE)
    return Targets(sets=sets, cache=job.output_dir / "teacher", limit=limit)


def token_rows(job: Job) -> Rows:
    """Return the rows of methods that compare tokens; long texts go on in further rows.

    Raises: TrainingError where all are shorter than `min_tokens`.
    """
    tokenizer, length = job.teacher.tokenizer, job.config.max_seq_length
    cache = job.output_dir / "tokens"
    store = token_store(job.texts, tokenizer, cache=cache, max_seq_length=length, process=job.process)
    whole = Rows(segments=[store.rows], special=tokenizer.special, max_seq_length=length)
    kept = (whole.lengths >= job.config.min_tokens).nonzero()[0]
    if not len(kept):
        raise TrainingError(
            f"rows of at least min_tokens {job.config.min_tokens} tokens were asked for; found {len(whole)} of at most "
            f"{whole.lengths.max(initial=0)}; lower min_tokens, or give longer texts"
        )
    return Rows(segments=whole.segments, special=whole.special, max_seq_length=length, kept=kept)


def texts_of(job: Job) -> list[str]:
    """Return texts that are in memory. Raises: TrainingError for files."""
    texts = [text for text in job.texts if isinstance(text, str)]
    if len(texts) != len(job.texts):
        raise TrainingError(
            f"the method {job.config.method!r} learns from texts; found {len(job.texts) - len(texts)} paths of files; "
            "read them first: wellread.learn.pretraining.sentences.read_lines"
        )
    return texts


def refuse_other_vocabulary(job: Job) -> None:
    """Refuse a student that reads other ids than its teacher. Raises: ConfigError."""
    ours, theirs = (job.student or job.teacher).tokenizer, job.teacher.tokenizer
    if ours.vocabulary.pieces != theirs.vocabulary.pieces or ours.config.dialect != theirs.config.dialect:
        raise ConfigError(
            f"the method {job.config.method!r} compares student and teacher token by token, so they need one "
            f"vocabulary; found {ours.vocab_size} pieces ({ours.config.dialect}) and {theirs.vocab_size} "
            f"({theirs.config.dialect}) that differ; leave the student out, or distil with labels or vectors"
        )


def refuse_long(checkpoint: Checkpoint, job: Job, *, who: str) -> None:
    """Refuse rows that a position table has no room for. Raises: ConfigError."""
    limit = checkpoint.config.max_position_embeddings
    if job.config.max_seq_length > limit:
        raise ConfigError(
            f"rows of max_seq_length {job.config.max_seq_length} were asked for; the position table of the {who} has "
            f"{limit}; ask for less"
        )
