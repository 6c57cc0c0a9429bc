"""A teacher's outputs for every row of a corpus, in half precision, on disk where they fit.

Training sees values that are rounded to float16, whether they come from the disk or from the teacher, so a run that is
resumed without its files is the same run. On disk an output is one file, written in shards of the same rows always, and
one of marks: a marked shard is whole, and a run that was cut short goes on behind the last mark.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import Backend, load_backend
from wellread.config import ADDED_LATER, EncoderConfig
from wellread.encode import TOKENS_A_BATCH
from wellread.errors import TrainingError
from wellread.learn.distributed import Process, wait
from wellread.module import Module
from wellread.progress import progress
from wellread.schema import as_dict
from wellread.text.batch import token_budget_batches

Half = NDArray[np.float16]
RowNumbers = NDArray[np.int64]
Pack = Callable[[RowNumbers], Mapping[str, NDArray[np.int32]]]
SHARD = 16_384  # vectors: what a kill can cost
ADDED = {row.name for row in fields(EncoderConfig) if row.metadata == ADDED_LATER}
VALUES, MARKS = "values.f16", "marks.u8"


def fingerprint(module: Module) -> str:
    """Return the SHA-256 of a module's tensors and of the settings that its outputs depend on, in hexadecimal."""
    checkpoint, text = module.checkpoint, module.tokenizer.config
    config, sentence = checkpoint.config, checkpoint.sentence
    settings = [config.num_attention_heads, config.hidden_act, config.layer_norm_eps, sentence.pooling]
    settings += [sentence.normalize, sentence.max_seq_length, text.dialect, text.do_lower_case, text.strip_accents]
    settings += [config.pooler, [as_dict(dense) for dense in sentence.dense]]
    settings += [asdict(checkpoint.head) if checkpoint.head else None]
    if text.dialect == "fast":  # whose rules stand in no setting
        settings += [hashlib.sha256(module.tokenizer.model_bytes()).hexdigest()]
    if later := {name: value for name, value in as_dict(config).items() if name in ADDED}:
        settings += [later, config.num_hidden_layers]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name, array in sorted(checkpoint.arrays().items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def key_of(*facts: object) -> str:
    """Return the SHA-256 of what decides an output, in hexadecimal.

    >>> key_of("teacher", 1)[:8]
    'ffe1b53a'
    """
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()


def teacher_backend(module: Module, *, layers: int | None = None) -> Backend:
    """Prepare a teacher, or its first `layers` layers, in its backend's fastest precision.

    On torch that is the GPU where there is one.
    """
    checkpoint = module.checkpoint
    if layers is not None:
        checkpoint = replace(checkpoint, config=replace(checkpoint.config, num_hidden_layers=layers))
    return load_backend(module.backend, checkpoint)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TeacherOutput:
    """One output of a teacher for the N rows of a corpus."""

    backend: Backend
    output: str  # its name
    width: int  # of a vector of it
    per_token: bool  # rows have a vector for each of their tokens, without padding; else one
    lengths: NDArray[np.int64]  # [N], tokens of the rows as they are packed
    pack: Pack  # the teacher's inputs for some rows
    key: str  # SHA-256 of teacher, rows and masks: where these are the same, so are the vectors
    splits: NDArray[np.int64] = field(init=False)  # [N + 1], where the vectors of each row begin among all

    def __post_init__(self) -> None:
        """Count the vectors."""
        counts = self.lengths if self.per_token else np.ones_like(self.lengths)
        object.__setattr__(self, "splits", np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))

    @property
    def size(self) -> int:
        """Bytes of all its vectors."""
        return int(self.splits[-1]) * self.width * 2

    def compute(self, rows: RowNumbers) -> Half:
        """Run the teacher on one batch: the vectors [n, width] of some rows, one row after the other."""
        inputs = self.pack(rows)
        return self.to_half(np.asarray(self.backend.run(inputs, [self.output])[self.output]), inputs["input_mask"])

    def to_half(self, values: NDArray[np.floating], mask: NDArray[np.int32]) -> Half:
        """Leave the padding out, and round. Raises: TrainingError for what half precision cannot hold."""
        with np.errstate(over="ignore"):
            halves = (values[mask != 0] if self.per_token else values).astype(np.float16)
        if not np.isfinite(halves).all():
            largest = np.abs(values).max()
            raise TrainingError(
                f"the teacher's {self.output} was to be taken in half precision; found {largest:.6g}, where that ends "
                f"at {np.finfo(np.float16).max}; take another teacher, or look whether its weights are damaged"
            )
        return halves

    def compute_shard(self, rows: RowNumbers) -> Half:
        """Return the vectors of consecutive rows: the same ones whatever other rows there are."""
        splits = self.splits[rows[0] : rows[-1] + 2] - self.splits[rows[0]]
        vectors = np.empty((int(splits[-1]), self.width), np.float16)
        plan = token_budget_batches(self.lengths[rows], max_tokens=TOKENS_A_BATCH, max_rows=TOKENS_A_BATCH)
        masks: list[NDArray[np.int32]] = []

        def batches() -> Iterator[Mapping[str, NDArray[np.int32]]]:
            for batch in plan:
                inputs = self.pack(rows[batch])
                masks.append(inputs["input_mask"])
                yield inputs

        for item in self.backend.stream(batches(), self.output):
            batch_vectors, begin = self.to_half(item.value, masks[item.index]), 0
            for row in plan[item.index]:
                end = begin + int(splits[row + 1] - splits[row])
                vectors[splits[row] : splits[row + 1]] = batch_vectors[begin:end]
                begin = end
        return vectors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TeacherCache:
    """The outputs of a teacher for N rows; epoch e takes `outputs[e % len(outputs)]`.

    Outputs that do not fit in `limit` bytes of `directory` are computed anew for every batch.
    """

    outputs: Sequence[TeacherOutput]  # of one size
    directory: Path
    limit: int
    taken: int = 0  # bytes of the limit that outputs of other teachers of the run have
    protected: frozenset[str] = frozenset()  # the keys of those, which never give way
    _maps: dict[str, Half] = field(default_factory=dict)  # key -> [all vectors, width], as a memory map

    @property
    def is_on_disk(self) -> bool:
        """Whether an output fits in the limit."""
        return self.taken + self.outputs[0].size <= self.limit

    def read(self, rows: RowNumbers, epoch: int) -> Half:
        """Return the vectors [n, width] of some rows, one row after the other."""
        output = self.outputs[epoch % len(self.outputs)]
        if not self.is_on_disk:
            return output.compute(rows)
        if output.key not in self._maps:
            self.prepare(epoch)
        values, splits = self._maps[output.key], output.splits
        return np.concatenate([values[splits[row] : splits[row + 1]] for row in rows])

    def prepare(self, epoch: int, process: Process | None = None) -> None:
        """Have an epoch's output on disk; of several processes each computes a share, and waits for the others.

        Raises: TrainingError where the disk refuses, or another process is gone.
        """
        process = process or Process()
        output = self.outputs[epoch % len(self.outputs)]
        if not self.is_on_disk or output.key in self._maps:
            return
        directory = self.directory / output.key
        try:
            self._make_room(epoch)
            write_output(output, directory, process)
            wait(process, "the teacher was to answer in all processes")
            write_output(output, directory, Process())  # what another left
        except OSError as error:
            raise TrainingError(
                f"the teacher's outputs were to be kept in {self.directory}; found that {error}; make room, or lower "
                "teacher_cache_gb"
            ) from error
        shape = (int(output.splits[-1]), output.width)
        self._maps[output.key] = np.memmap(directory / VALUES, np.float16, "r", shape=shape)

    def _make_room(self, epoch: int) -> None:
        """Remove outputs until one more fits: of other runs first, then of this one what is needed last."""
        keys = [self.outputs[(epoch + ahead) % len(self.outputs)].key for ahead in range(len(self.outputs))]
        sizes = {path.name: _size(path) for path in self.directory.glob("*") if (path / MARKS).exists()}
        ours = [key for key in sizes if key in keys]
        order = sorted(sizes.keys() - {*ours, *self.protected}) + sorted(ours, key=keys.index, reverse=True)
        for key in order:
            others = sum(size for other, size in sizes.items() if other != keys[0])
            if key == keys[0] or others + self.outputs[0].size <= self.limit:
                return
            shutil.rmtree(self.directory / key, ignore_errors=True)
            self._maps.pop(key, None)
            del sizes[key]


def share_limit(caches: Sequence[TeacherCache]) -> list[TeacherCache]:
    """Let the outputs of several teachers, one each, have one limit together: those in front take what fits."""
    shared: list[TeacherCache] = []
    for cache in caches:
        on_disk = [before for before in shared if before.is_on_disk]
        shared.append(replace(cache, taken=sum(before.outputs[0].size for before in on_disk)))
    keys = frozenset(output.key for cache in shared if cache.is_on_disk for output in cache.outputs)
    return [replace(cache, protected=keys - {output.key for output in cache.outputs}) for cache in shared]


def _size(directory: Path) -> int:
    return (directory / VALUES).stat().st_size if (directory / VALUES).exists() else 0


def write_output(output: TeacherOutput, directory: Path, process: Process) -> None:
    """Compute the shards that are not marked; of several processes a share of them."""
    shard_of = output.splits[:-1] // SHARD
    firsts = np.append(np.flatnonzero(np.diff(shard_of, prepend=-1)), len(shard_of))
    shards = len(firsts) - 1
    with _open_files(directory, shards, output.size) as (values, marks):
        marked = np.frombuffer(os.pread(marks, shards, 0), np.uint8)
        missing = np.flatnonzero(marked == 0)[process.rank :: process.count]
        total = int((firsts[missing + 1] - firsts[missing]).sum())
        with progress(total, label="teacher", show=None if process.is_main else False) as advance:
            for shard in missing:
                rows = np.arange(firsts[shard], firsts[shard + 1])
                _write(values, output.compute_shard(rows), int(output.splits[rows[0]]) * output.width * 2)
                os.fsync(values)  # the values of a mark must be there
                _write(marks, np.ones(1, np.uint8), int(shard))
                advance(len(rows))


@contextmanager
def _open_files(directory: Path, shards: int, size: int) -> Iterator[tuple[int, int]]:
    """Open values and marks at their full lengths; marks of values that are not there any more are taken back."""
    directory.mkdir(parents=True, exist_ok=True)
    if _size(directory) != size:
        (directory / MARKS).unlink(missing_ok=True)
    with ExitStack() as stack:
        descriptors = []
        for name, length in ((VALUES, size), (MARKS, shards)):
            descriptors.append(os.open(directory / name, os.O_RDWR | os.O_CREAT, 0o644))
            stack.callback(os.close, descriptors[-1])
            os.truncate(descriptors[-1], length)
        yield descriptors[0], descriptors[1]


def _write(descriptor: int, array: NDArray[np.generic], offset: int) -> None:
    """Write all of an array; not through a memory map, which a full disk would end the process in."""
    rest = memoryview(np.ascontiguousarray(array).tobytes())
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count
