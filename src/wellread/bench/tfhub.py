"""TF Hub's work, ours and TensorFlow's in turn: text to ids, ids to hidden states, a checkpoint to arrays."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.bench.bundle_read import L12_H768, READ, READERS, read_lap
from wellread.bench.machine import Machine, this_machine
from wellread.bench.process import Worker
from wellread.bench.tfhub_jobs import lengths
from wellread.bench.tfhub_worker import BUNDLE, OURS, TFHUB_CONTENDERS
from wellread.config import EncoderConfig
from wellread.errors import BenchError, InputError, require_extra
from wellread.export.dialect import tfhub_tokenizer
from wellread.module import load
from wellread.progress import progress

PACKAGES = ("tensorflow", "tensorflow_text", "tensorflow_hub", "keras")
MEASURED = ("numpy", "tokenizers", "tensorflow-cpu", "tensorflow-text", "tensorflow-hub", "keras", "google-crc32c")
OUR_NAMES = (*OURS, READERS[0].name)
TIES = 0.015  # of the texts: tensorflow-text and sentencepiece break ties of scores differently; WordPiece has none
NEAR = 1e-4  # of the largest number, or of 1 where that is larger: how near the encoders must be
PROGRAM = "wellread.bench.tfhub_worker"

Array = NDArray[Any]
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TfhubRow:
    """One contender at one work."""

    work: str
    contender: str
    seconds: tuple[float, ...]  # of each round
    texts: int | None  # that a round takes; None where the work is no texts
    note: str = ""  # how it agrees with the others

    @property
    def median(self) -> float:
        """Seconds of a round: the median."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class TfhubResult:
    """The result of `run_tfhub`."""

    model: str  # the directory's name
    rounds: int
    machine: Machine
    rows: tuple[TfhubRow, ...]

    def ratio(self, row: TfhubRow) -> float:
        """Return how many times as fast as the fastest peer at the same work a row is."""
        peers = [r.median for r in self.rows if r.work == row.work and r.contender not in OUR_NAMES]
        return min(peers) / row.median


def run_tfhub(
    model_dir: Path,
    texts: Sequence[str],
    *,
    rounds: int = 5,
    read: EncoderConfig = L12_H768,
    show_progress: bool | None = None,
) -> TfhubResult:
    """Measure preprocessing, encoding and reading, ours and TensorFlow's, and see that they agree.

    Texts to ids: our tokenizer against tensorflow-text in our SavedModel. Ids to hidden states: our SavedModel against
    Keras' own layers with the same weights, on batches of some of the texts. A checkpoint of the shape `read` with
    random weights to arrays: our reader against `tf.train.load_checkpoint`, each time in a fresh process. First one
    round that does not count, then `rounds` rounds, in each of which all take turns.

    Raises: MissingExtra; InputError for arguments that nothing can be measured with; ExportError for text rules that
        TF Hub does not have; BenchError for a contender that fails or does not agree.
    """
    for package in PACKAGES:
        require_extra(package, extra="tf")
    if not texts or rounds < 1:
        raise InputError(f"a measurement takes at least 1 text and 1 round; found {len(texts)} and {rounds}; give more")
    module = load(model_dir)
    tfhub_tokenizer(module.tokenizer)
    steps = 2 + len(TFHUB_CONTENDERS) + (rounds + 1) * _laps(len(lengths(module.checkpoint.config)))
    show = sys.stderr.isatty() if show_progress is None else show_progress
    with tempfile.TemporaryDirectory() as place, progress(steps, show=show, label="steps") as advance:
        _prepare(model_dir, Path(place), read, advance)
        rows = _use(model_dir, Path(place), list(texts), rounds, advance)
        rows += _read(Path(place) / BUNDLE / "variables" / "variables", rounds, advance)
    return TfhubResult(model=model_dir.name, rounds=rounds, machine=this_machine(MEASURED), rows=tuple(rows))


def _laps(shapes: int) -> int:
    """Count the laps of a round: two at preprocessing for each of two, one of each shape for each of three, readers."""
    return 2 * 2 + 3 * shapes + len(READERS)


def _prepare(model_dir: Path, place: Path, read: EncoderConfig, advance: Advance) -> None:
    """Write the SavedModels in a process that is not measured."""
    with Worker(TFHUB_CONTENDERS[OURS[1]], model_dir, place, program=PROGRAM) as worker:
        worker.ask("prepare")
        advance(1)
        worker.ask("prepare_bundle", config=asdict(read))
        advance(1)


def _use(model_dir: Path, place: Path, texts: list[str], rounds: int, advance: Advance) -> list[TfhubRow]:
    """Let everyone preprocess or encode, in turn, work by work."""
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        works: dict[str, dict[str, int]] = {}  # work -> contender -> texts
        for name, contender in TFHUB_CONTENDERS.items():
            workers[name] = stack.enter_context(Worker(contender, model_dir, place, program=PROGRAM))
            for work, count in workers[name].ask("load", texts=texts)["works"].items():
                works.setdefault(work, {})[name] = count
            advance(1)
        seconds: dict[tuple[str, str], list[float]] = {(work, name): [] for work in works for name in works[work]}
        for _ in range(rounds + 1):
            for (work, name), laps in seconds.items():
                laps.append(workers[name].ask("lap", work=work)["seconds"])
                advance(1)
        notes = {work: _agreement(work, {name: workers[name] for name in works[work]}, place) for work in works}
    return [
        TfhubRow(
            work=work, contender=name, seconds=tuple(laps[1:]), texts=works[work][name], note=notes[work].get(name, "")
        )
        for (work, name), laps in seconds.items()
    ]


def _agreement(work: str, workers: Mapping[str, Worker], place: Path) -> dict[str, str]:
    """Hold what peers make against what we make; say of each how near it is. Raises: BenchError."""
    kept = place / "kept.npz"
    made: dict[str, dict[str, Array]] = {}
    for name, worker in workers.items():
        worker.ask("keep", work=work, file=str(kept))
        with np.load(kept, allow_pickle=False) as arrays:
            made[name] = dict(arrays)
    ours, *peers = made
    return {peer: compare(work, {ours: made[ours], peer: made[peer]}) for peer in peers}


def compare(work: str, made: Mapping[str, Mapping[str, Array]]) -> str:
    """Say how two agree: ids text by text, hidden states by their largest difference.

    `made` maps two contenders to their arrays by name; those that both have count. Raises: BenchError where they differ
    too much to be compared.

    >>> compare("encode", {"we": {"x": np.array([[1.0]])}, "they": {"x": np.array([[1.00001]]), "y": np.zeros(1)}})
    'largest difference 1.0e-05'
    """
    ours, theirs = made.values()
    pairs = [(ours[name], theirs[name]) for name in ours if name in theirs]
    if any(a.shape != b.shape for a, b in pairs) or not pairs:
        fault, note = "different arrays", ""
    elif pairs[0][0].dtype.kind == "i":
        wrong = int(np.any([(a != b).any(axis=1) for a, b in pairs], axis=0).sum())
        note = f"{wrong:,} of {len(pairs[0][0]):,} texts differ"
        fault = note if wrong > TIES * len(pairs[0][0]) else ""
    else:
        largest = max(float(np.abs(a - b).max() / max(1.0, np.abs(a).max())) for a, b in pairs)
        note = f"largest difference {largest:.1e}"
        fault = "" if largest <= NEAR else note
    if fault:
        raise BenchError(
            f"{' and '.join(made)} were to do the same work, {work}; found {fault} (at most {TIES:.1%} of texts, "
            f"{NEAR:g} of hidden states); report it with the module's name"
        )
    return note


def _read(prefix: Path, rounds: int, advance: Advance) -> list[TfhubRow]:
    """Let both read the checkpoint, in turn. Raises: BenchError where they find different tensors."""
    laps: dict[str, list[Any]] = {program.name: [] for program in READERS}
    for _ in range(rounds + 1):
        for program in READERS:
            laps[program.name].append(read_lap(program, prefix))
            advance(1)
    found = {name: f"{lap[0].tensors} tensors, {lap[0].bytes:,} bytes" for name, lap in laps.items()}
    if len(set(found.values())) > 1:
        said = " and ".join(f"{what} by {name}" for name, what in found.items())
        raise BenchError(f"all were to read every tensor of one checkpoint; found {said}; report it")
    return [
        TfhubRow(
            work=READ,
            contender=name,
            seconds=tuple(lap.seconds for lap in of_one[1:]),
            texts=None,
            note=found[name],
        )
        for name, of_one in laps.items()
    ]
