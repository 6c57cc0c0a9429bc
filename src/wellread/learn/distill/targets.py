"""What a student learns from: a teacher's outputs in half precision, on disk where they fit.

Training sees values that are rounded to float16, whether they come from the disk or from the teacher, so a run that is
resumed without its files is the same run. On disk a set of outputs is one file, written in shards of the same rows
always, and one of marks: what is marked is whole, and a run that was cut short goes on behind it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import Backend, load_backend
from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.data.token_store import token_store
from wellread.encode import TOKENS_A_BATCH
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distributed import Process, wait
from wellread.learn.rows import Rows
from wellread.learn.settings import DistillConfig
from wellread.learn.step import Inputs, Task, tensors
from wellread.module import Module
from wellread.progress import progress
from wellread.text.batch import token_budget_batches
from wellread.text.tokenizer import Tokenizer


def fingerprint(module: Module) -> str:
    """Return the SHA-256 of a module's tensors and of the settings that its outputs depend on, in hexadecimal."""
    checkpoint, text = module.checkpoint, module.tokenizer.config
    config, sentence = checkpoint.config, checkpoint.sentence
    settings = [config.num_attention_heads, config.hidden_act, config.layer_norm_eps, sentence.pooling]
    settings += [sentence.normalize, sentence.max_seq_length, text.dialect, text.do_lower_case, text.strip_accents]
    settings += [config.pooler, [asdict(dense) for dense in sentence.dense]]
    settings += [asdict(checkpoint.head) if checkpoint.head else None]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name, array in sorted(checkpoint.arrays().items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def key_of(*facts: object) -> str:
    """Return the SHA-256 of what decides a set of outputs, in hexadecimal.

    >>> key_of("teacher", 1)[:8]
    'ffe1b53a'
    """
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()


def running(module: Module, *, layers: int | None = None) -> Backend:
    """Prepare a teacher, or its first `layers` layers, in its backend's fastest precision.

    On torch that is the GPU where there is one.
    """
    checkpoint = module.checkpoint
    if layers is not None:
        checkpoint = replace(checkpoint, config=replace(checkpoint.config, num_hidden_layers=layers))
    return load_backend(module.backend, checkpoint)


Half = NDArray[np.float16]
RowNumbers = NDArray[np.int64]
SHARD = 16_384  # vectors: what a kill can cost
VALUES, MARKS = "values.f16", "marks.u8"
GIGABYTE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """What a teacher is asked of every row of a corpus."""

    backend: Backend
    output: str  # of those that the backend makes
    width: int  # of a vector of it
    per_token: bool  # rows have a vector for each of their tokens, without padding; else one
    lengths: NDArray[np.int64]  # [N], tokens of the rows as they are packed
    pack: Callable[[RowNumbers], Mapping[str, NDArray[np.int32]]]  # the teacher's inputs for some rows
    key: str  # SHA-256 of teacher, rows and masks: where these are the same, so are the answers
    splits: NDArray[np.int64] = field(init=False)  # [N + 1], where the vectors of each row begin among all

    def __post_init__(self) -> None:
        """Count the vectors."""
        counts = self.lengths if self.per_token else np.ones_like(self.lengths)
        object.__setattr__(self, "splits", np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))

    def answer(self, rows: RowNumbers) -> Half:
        """Ask in one batch: the vectors [n, width] of some rows, one row after the other."""
        inputs = self.pack(rows)
        made = self.backend.run(inputs, [self.output])[self.output]
        return self.joined(np.asarray(made), inputs["input_mask"])

    def joined(self, made: NDArray[np.floating], mask: NDArray[np.int32]) -> Half:
        """Leave the padding out, and round. Raises: TrainingError for what half precision cannot hold."""
        with np.errstate(over="ignore"):
            halves = (made[mask != 0] if self.per_token else made).astype(np.float16)
        if not np.isfinite(halves).all():
            largest = np.abs(made).max()
            raise TrainingError(
                f"the teacher's {self.output} was to be taken in half precision; found {largest:.6g}, where that ends "
                f"at {np.finfo(np.float16).max}; take another teacher, or look whether its weights are damaged"
            )
        return halves


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Targets:
    """A teacher's answers about N rows; epoch e takes those to `sets[e % len(sets)]`.

    What does not fit in `limit` bytes of `cache` is asked anew for every batch.
    """

    sets: Sequence[Question]  # about the same rows
    cache: Path
    limit: int
    _opened: dict[str, Half] = field(default_factory=dict)  # key -> [all vectors, width], as a memory map

    @property
    def bytes_a_set(self) -> int:
        """What one set takes on disk."""
        return int(self.sets[0].splits[-1]) * self.sets[0].width * 2

    @property
    def is_kept(self) -> bool:
        """Whether answers lie on disk."""
        return self.bytes_a_set <= self.limit

    def of(self, rows: RowNumbers, epoch: int) -> Half:
        """Return the vectors [n, width] of some rows, one row after the other."""
        question = self.sets[epoch % len(self.sets)]
        if not self.is_kept:
            return question.answer(rows)
        if question.key not in self._opened:
            self.prepare(epoch)
        values, splits = self._opened[question.key], question.splits
        return np.concatenate([values[splits[row] : splits[row + 1]] for row in rows])

    def prepare(self, epoch: int, process: Process | None = None) -> None:
        """Have the answers for an epoch on disk; of several processes each asks for a share, and waits for the others.

        Raises: TrainingError where the disk refuses, or another process is gone.
        """
        process = process or Process()
        question = self.sets[epoch % len(self.sets)]
        if not self.is_kept or question.key in self._opened:
            return
        place = self.cache / question.key
        try:
            self._make_room(epoch)
            _ask(question, place, process)
            wait(process, "the teacher was to answer in all processes")
            _ask(question, place, Process())  # what another left
        except OSError as error:
            raise TrainingError(
                f"the teacher's outputs were to be kept in {self.cache}; found that {error}; make room, or lower "
                "teacher_cache_gb"
            ) from error
        shape = (int(question.splits[-1]), question.width)
        self._opened[question.key] = np.memmap(place / VALUES, np.float16, "r", shape=shape)

    def _make_room(self, epoch: int) -> None:
        """Remove sets until one more fits: of other runs first, then of this one what is needed last."""
        keys = [self.sets[(epoch + ahead) % len(self.sets)].key for ahead in range(len(self.sets))]
        there = {path.name: _size(path) for path in self.cache.glob("*") if (path / MARKS).exists()}
        kept = [key for key in there if key in keys]
        order = sorted(there.keys() - set(kept)) + sorted(kept, key=keys.index, reverse=True)
        for key in order:
            others = sum(size for other, size in there.items() if other != keys[0])
            if key == keys[0] or others + self.bytes_a_set <= self.limit:
                return
            shutil.rmtree(self.cache / key, ignore_errors=True)
            self._opened.pop(key, None)
            del there[key]


def _size(place: Path) -> int:
    return (place / VALUES).stat().st_size if (place / VALUES).exists() else 0


def _ask(question: Question, place: Path, process: Process) -> None:
    """Fill in the shards that are not marked; of several processes a share of them."""
    shard_of = question.splits[:-1] // SHARD
    firsts = np.append(np.flatnonzero(np.diff(shard_of, prepend=-1)), len(shard_of))
    with _files(place, len(firsts) - 1, int(question.splits[-1]) * question.width * 2) as files:
        marked = np.frombuffer(os.pread(files.marks, len(firsts) - 1, 0), np.uint8)
        left = np.flatnonzero(marked == 0)[process.rank :: process.count]
        total = int((firsts[left + 1] - firsts[left]).sum())
        with progress(total, label="teacher", show=None if process.is_main else False) as advance:
            for index in left:
                rows = np.arange(firsts[index], firsts[index + 1])
                _write(files.values, _shard(question, rows), int(question.splits[rows[0]]) * question.width * 2)
                os.fsync(files.values)  # what is marked must be there
                _write(files.marks, np.ones(1, np.uint8), int(index))
                advance(len(rows))


def _shard(question: Question, rows: RowNumbers) -> Half:
    """Return the vectors of consecutive rows: the same ones whatever other rows there are."""
    splits = question.splits[rows[0] : rows[-1] + 2] - question.splits[rows[0]]
    made = np.empty((int(splits[-1]), question.width), np.float16)
    plan = token_budget_batches(question.lengths[rows], max_tokens=TOKENS_A_BATCH, max_rows=TOKENS_A_BATCH)
    masks: list[NDArray[np.int32]] = []

    def batches() -> Iterator[Mapping[str, NDArray[np.int32]]]:
        for chosen in plan:
            inputs = question.pack(rows[chosen])
            masks.append(inputs["input_mask"])
            yield inputs

    for item in question.backend.stream(batches(), question.output):
        vectors, begin = question.joined(item.value, masks[item.index]), 0
        for row in plan[item.index]:
            end = begin + int(splits[row + 1] - splits[row])
            made[splits[row] : splits[row + 1]] = vectors[begin:end]
            begin = end
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Two open files, by their descriptors."""

    values: int
    marks: int


@contextmanager
def _files(place: Path, shards: int, size: int) -> Iterator[_Files]:
    """Open a set's files at their full lengths; marks of values that are not there any more are taken back."""
    place.mkdir(parents=True, exist_ok=True)
    if _size(place) != size:
        (place / MARKS).unlink(missing_ok=True)
    with ExitStack() as stack:
        opened = []
        for name, length in ((VALUES, size), (MARKS, shards)):
            descriptor = os.open(place / name, os.O_RDWR | os.O_CREAT, 0o644)
            stack.callback(os.close, descriptor)
            os.truncate(descriptor, length)
            opened.append(descriptor)
        yield _Files(values=opened[0], marks=opened[1])


def _write(descriptor: int, array: NDArray[np.generic], offset: int) -> None:
    """Write all of an array; not through a memory map, which a full disk would end the process in."""
    rest = memoryview(np.ascontiguousarray(array).tobytes())
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


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
    store = token_store(job.texts, tokenizer, cache=cache, max_seq_length=length, run_once=job.process.run_once)
    whole = Rows(segments=[store.rows], template=tokenizer.template, max_seq_length=length)
    kept = (whole.lengths >= job.config.min_tokens).nonzero()[0]
    if not len(kept):
        raise TrainingError(
            f"rows of at least min_tokens {job.config.min_tokens} tokens were asked for; found {len(whole)} of at most "
            f"{whole.lengths.max(initial=0)}; lower min_tokens, or give longer texts"
        )
    return Rows(segments=whole.segments, template=whole.template, max_seq_length=length, kept=kept)


def texts_of(job: Job) -> list[str]:
    """Return texts that are in memory. Raises: TrainingError for files."""
    texts = [text for text in job.texts if isinstance(text, str)]
    if len(texts) != len(job.texts):
        raise TrainingError(
            f"the method {job.config.method!r} learns from texts; found {len(job.texts) - len(texts)} paths of files; "
            "read them first: wellread.data.corpus.read_lines"
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
    limit = checkpoint.config.max_length
    if job.config.max_seq_length > limit:
        raise ConfigError(
            f"rows of max_seq_length {job.config.max_seq_length} were asked for; the position table of the {who} has "
            f"{limit}; ask for less"
        )
