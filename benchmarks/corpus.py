"""A corpus on disk: rows a second beside `encode` in the process, growth, memory, and what resuming costs."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import fastembed_peer
from benchmarks.fastembed_peer import fastembed_directory
from benchmarks.machine import Machine, this_machine
from benchmarks.report import ABSENT, mebibytes, ratio, table
from wellread.errors import BenchError

SIZES = (10_000, 100_000)
LARGE = 1_000_000  # minutes
WORKER = """
import json, sys, time
import wellread
how, model, corpus, output, rows = sys.argv[1:]
module = wellread.load(model)
module.encode(["a"])

def kibibytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

open("/proc/self/clear_refs", "w").write("5")  # the peak of before, that of loading, is forgotten
before = kibibytes("VmRSS")
started = time.perf_counter()
if how == "encode":
    import pyarrow.parquet as pq
    module.encode(pq.read_table(corpus)["text"].to_pylist(), precision=module.running(None).precision)
else:
    wellread.embed_corpus(corpus, output, module=module, resume=how == "resume", shard_rows=int(rows))
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "bytes": (kibibytes("VmHWM") - before) * 1024}))
"""
PEERS = """
import json, sys, time
how, model, corpus, output, rows = sys.argv[1:]
import pyarrow.parquet as pq
texts = pq.read_table(corpus)["text"].to_pylist()
if __name__ == "__main__":
    from sentence_transformers import SentenceTransformer
    encoder = SentenceTransformer(model, device="cpu")
    pool = encoder.start_multi_process_pool(["cpu"] * 2)
    encoder.encode(texts[:64], pool=pool)
    started = time.perf_counter()
    encoder.encode(texts, pool=pool)
    print(json.dumps({"seconds": time.perf_counter() - started}))
    encoder.stop_multi_process_pool(pool)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was measured of one way to make the vectors of so many rows; medians."""

    name: str
    rows: int
    seconds: float  # without start and loading
    peak_bytes: int | None  # of memory above the loaded module


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusResult:
    """The result of `run_corpus`."""

    model: str
    rounds: int
    machine: Machine
    rows: tuple[Run, ...]

    def derived(self) -> list[dict[str, Any]]:
        """Return the rows a second of each run, and the time a row in that of `encode` for the fewest."""
        base = self.rows[0].seconds / self.rows[0].rows
        return [{"rows_a_second": run.rows / run.seconds, "ratio": base * run.rows / run.seconds} for run in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        said = f"{self.model}: rows of a Parquet file to vectors, medians of {self.rounds}; a process each."
        header = ("", "rows", "seconds", "rows/s", "speed beside encode", "memory above the module")
        lines = [
            (
                run.name,
                f"{run.rows:,}",
                f"{run.seconds:,.2f}",
                f"{more['rows_a_second']:,.0f}",
                ratio(more["ratio"]),
                ABSENT if run.peak_bytes is None else mebibytes(run.peak_bytes),
            )
            for run, more in zip(self.rows, self.derived(), strict=True)
        ]
        return [said, table(header, lines)]


def run_corpus(model: str, texts: Sequence[str], *, peers: Path, rounds: int) -> CorpusResult:
    """Measure in turn, peers by the model in `peers`; 1,000,000 rows too where one round alone is asked for."""
    sizes = (*SIZES, LARGE) if rounds == 1 else SIZES
    measured: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        corpora = {size: _corpus(Path(folder) / f"{size}.parquet", texts, size) for size in sizes}
        width = fastembed_directory(peers, Path(folder) / "fastembed") if fastembed_peer.PYTHON.exists() else 0
        for _ in range(rounds):
            for name, how, size, number in _runs(sizes, width):
                output = Path(folder) / "vectors"
                if how != "resume":
                    shutil.rmtree(output, ignore_errors=True)
                where = {"fastembed": Path(folder) / "fastembed", "pool": peers}.get(how, model)
                found = _measure(how, where, corpora[size], output, number)
                measured.setdefault((name, size), []).append(found)
    runs = []
    for (name, size), each in measured.items():
        median = {key: statistics.median(one[key] for one in each) for key in each[0]}
        peak = round(median["bytes"]) if "bytes" in median else None
        runs.append(Run(name=name, rows=size, seconds=median["seconds"], peak_bytes=peak))
    return CorpusResult(model=Path(model).name, rounds=rounds, machine=this_machine(), rows=tuple(runs))


def _runs(sizes: Sequence[int], width: int) -> list[tuple[str, str, int, int]]:
    """Name the runs: what they do, on how many rows, in shards of how many; `width` is that of fastembed's vectors."""
    runs = [(how, how, size, 65_536) for size in sizes for how in ("encode", "embed")]
    small = sizes[0] // 1_000
    runs += [("embed, 1,000 shards", "embed", sizes[0], small), ("resume of 1,000 shards", "resume", sizes[0], small)]
    runs += [("sentence-transformers, a pool of processes", "pool", sizes[0], 0)]
    return [*runs, ("fastembed, parallel=0", "fastembed", sizes[0], width)] if width else runs


def _corpus(path: Path, texts: Sequence[str], size: int) -> Path:
    drawn = [f"{texts[i % len(texts)]} {i // len(texts)}" for i in range(size)]
    pq.write_table(pa.table({"text": drawn}), path)
    return path


def _measure(how: str, model: str | Path, corpus: Path, output: Path, number: int) -> dict[str, float]:
    """Run one way in a process of its own. Raises: BenchError with its last line where that fails."""
    source = {"pool": PEERS, "fastembed": fastembed_peer.WORKER}.get(how, WORKER)
    python = fastembed_peer.PYTHON if how == "fastembed" else sys.executable
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(source)
        script.flush()
        command = [str(python), script.name, how, str(model), str(corpus), str(output), str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise BenchError(f"{how} was asked for; its process ended with {done.returncode}: {''.join(last)}; mend that")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
