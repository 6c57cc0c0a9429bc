"""TF Hub's work, ours and TensorFlow's in turn: text to ids, ids to hidden states, a checkpoint to arrays."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Worker, died, environment
from benchmarks.machine import Machine, this_machine
from benchmarks.report import ratio, spread, table
from benchmarks.startup import Program
from benchmarks.tfhub_worker import BUNDLE, OURS, TFHUB_SYSTEMS, lengths
from wellread.config import EncoderConfig
from wellread.errors import BenchError, InputError, require_extra
from wellread.export.dialect import tfhub_tokenizer
from wellread.module import load
from wellread.progress import progress

PACKAGES = ("tensorflow", "tensorflow_text", "tensorflow_hub", "keras")
MEASURED = ("numpy", "tokenizers", "tensorflow-cpu", "tensorflow-text", "tensorflow-hub", "keras", "google-crc32c")
READ = "read a checkpoint"  # the name of the workload
L12_H768 = EncoderConfig(
    vocab_size=30522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072
)
# Programs whose argument is a bundle's prefix; they print how many tensors and bytes there were.
READERS = (
    Program(
        name="wellread reader",
        code="""
import json, sys
from pathlib import Path
from wellread.formats.tensor_bundle import read_bundle
bundle = read_bundle(Path(sys.argv[1]))
sizes = [tensor.read().nbytes for tensor in bundle.tensors.values()]
sizes += [sum(map(len, strings.read_strings())) for strings in bundle.strings.values()]
print(json.dumps([len(sizes), sum(sizes)]))
""",
    ),
    Program(
        name="tf.train.load_checkpoint",
        code="""
import json, sys
import tensorflow as tf
reader = tf.train.load_checkpoint(sys.argv[1])
tensors = (reader.get_tensor(name) for name in reader.get_variable_to_shape_map())
sizes = [len(tensor) if isinstance(tensor, bytes) else tensor.nbytes for tensor in tensors]
print(json.dumps([len(sizes), sum(sizes)]))
""",
        needs=("tensorflow",),
    ),
)
OUR_NAMES = (*OURS, READERS[0].name)
TIES = 0.015  # of the texts: tensorflow-text and sentencepiece break ties of scores differently; WordPiece has none
NEAR = 1e-4  # of the largest number, or of 1 where that is larger: how near the encoders must be
PROGRAM = "benchmarks.tfhub_worker"

Array = NDArray[Any]
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TfhubRow:
    """One system at one workload."""

    workload: str
    system: str
    seconds: tuple[float, ...]  # of each round
    texts: int | None  # that a round takes; None where the workload is no texts
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
        """Return how many times as fast as the fastest peer at the same workload a row is."""
        peers = [r.median for r in self.rows if r.workload == row.workload and r.system not in OUR_NAMES]
        return min(peers) / row.median

    def derived(self) -> list[dict[str, Any]]:
        """Return the median of each row, and its ratio."""
        return [{"median": row.median, "ratio": self.ratio(row)} for row in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        title = f"{self.model}: median of {self.rounds} rounds in turn (lowest to highest), x the fastest peer"
        rows = []
        for row in self.rows:
            if row.texts is None:
                speed = [f"{row.median:.2f} s", spread(row.seconds)]
            else:
                speed = [f"{row.texts / row.median:,.1f} texts/s", spread([row.texts / x for x in row.seconds], 1)]
            rows.append([row.workload, row.system, *speed, ratio(self.ratio(row)), row.note])
        return [title, table(["workload", "system", "speed", "spread", "x peer", "note"], rows)]


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
        TF Hub does not have; BenchError for a system that fails or does not agree.
    """
    for package in PACKAGES:
        require_extra(package, extra="tf")
    if not texts or rounds < 1:
        raise InputError(f"a measurement takes at least 1 text and 1 round; found {len(texts)} and {rounds}; give more")
    module = load(model_dir)
    tfhub_tokenizer(module.tokenizer)
    # in a round: two preprocessors pass twice, three encoders take each length, and the readers
    turns = 2 * 2 + 3 * len(lengths(module.checkpoint.config)) + len(READERS)
    show = sys.stderr.isatty() if show_progress is None else show_progress
    steps = 2 + len(TFHUB_SYSTEMS) + (rounds + 1) * turns
    with tempfile.TemporaryDirectory() as directory, progress(steps, show=show, label="steps") as advance:
        work = Path(directory)
        with Worker(TFHUB_SYSTEMS[OURS[1]], model_dir, work, program=PROGRAM) as worker:  # which is not measured
            worker.ask("prepare")
            advance(1)
            worker.ask("prepare_bundle", config=asdict(read))
            advance(1)
        rows = _use(model_dir, work, list(texts), rounds, advance)
        rows += _read(work / BUNDLE / "variables" / "variables", rounds, advance)
    return TfhubResult(model=model_dir.name, rounds=rounds, machine=this_machine(MEASURED), rows=tuple(rows))


def _use(model_dir: Path, work: Path, texts: list[str], rounds: int, advance: Advance) -> list[TfhubRow]:
    """Let everyone preprocess or encode, in turn, workload by workload."""
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        counts: dict[str, dict[str, int]] = {}  # workload -> system -> texts
        for name, system in TFHUB_SYSTEMS.items():
            workers[name] = stack.enter_context(Worker(system, model_dir, work, program=PROGRAM))
            for workload, count in workers[name].ask("load", texts=texts)["workloads"].items():
                counts.setdefault(workload, {})[name] = count
            advance(1)
        seconds: dict[tuple[str, str], list[float]] = {(each, name): [] for each in counts for name in counts[each]}
        for _ in range(rounds + 1):
            for (workload, name), of_one in seconds.items():
                of_one.append(workers[name].ask("run", workload=workload)["seconds"])
                advance(1)
        notes = {each: _agreement(each, {name: workers[name] for name in counts[each]}, work) for each in counts}
    return [
        TfhubRow(
            workload=workload,
            system=name,
            seconds=tuple(of_one[1:]),
            texts=counts[workload][name],
            note=notes[workload].get(name, ""),
        )
        for (workload, name), of_one in seconds.items()
    ]


def _agreement(workload: str, workers: Mapping[str, Worker], work: Path) -> dict[str, str]:
    """Hold what peers return against what we return; say of each how near it is. Raises: BenchError."""
    file = work / "outputs.npz"
    outputs: dict[str, dict[str, Array]] = {}
    for name, worker in workers.items():
        worker.ask("save", workload=workload, file=str(file))
        with np.load(file, allow_pickle=False) as arrays:
            outputs[name] = dict(arrays)
    ours, *peers = outputs
    return {peer: compare(workload, {ours: outputs[ours], peer: outputs[peer]}) for peer in peers}


def compare(workload: str, outputs: Mapping[str, Mapping[str, Array]]) -> str:
    """Say how two agree: ids text by text, hidden states by their largest difference.

    `outputs` maps two systems to their arrays by name; those that both have count. Raises: BenchError where they differ
    too much to be compared.

    >>> compare("encode", {"we": {"x": np.array([[1.0]])}, "they": {"x": np.array([[1.00001]]), "y": np.zeros(1)}})
    'largest difference 1.0e-05'
    """
    ours, theirs = outputs.values()
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
            f"{' and '.join(outputs)} were to do the same work, {workload}; found {fault} (at most {TIES:.1%} of "
            f"texts, {NEAR:g} of hidden states); report it with the module's name"
        )
    return note


def _read(prefix: Path, rounds: int, advance: Advance) -> list[TfhubRow]:
    """Let both read the checkpoint, in turn. Raises: BenchError where they find different tensors."""
    answers: dict[str, list[tuple[float, str]]] = {program.name: [] for program in READERS}
    for _ in range(rounds + 1):
        for program in READERS:
            answers[program.name].append(read_once(program, prefix))
            advance(1)
    contents = {name: of_one[0][1] for name, of_one in answers.items()}
    if len(set(contents.values())) > 1:
        differences = " and ".join(f"{content} by {name}" for name, content in contents.items())
        raise BenchError(f"all were to read every tensor of one checkpoint; found {differences}; report it")
    return [
        TfhubRow(
            workload=READ,
            system=name,
            seconds=tuple(seconds for seconds, _ in of_one[1:]),
            texts=None,
            note=contents[name],
        )
        for name, of_one in answers.items()
    ]


def read_once(program: Program, prefix: Path) -> tuple[float, str]:
    """Run a reader on the bundle of `prefix`: seconds of the process, imports included, and what it read.

    Raises: BenchError when it fails.
    """
    started = time.perf_counter()
    command = [sys.executable, "-c", program.code, str(prefix)]
    process = subprocess.run(command, capture_output=True, env=environment(), check=False)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise died(program.name, "read a checkpoint", process.returncode, process.stderr)
    tensors, size = json.loads(process.stdout)
    return seconds, f"{tensors} tensors, {size:,} bytes"
