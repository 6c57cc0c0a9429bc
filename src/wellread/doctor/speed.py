"""How fast a module runs on this machine, and how exactly: each backend and precision in a process of its own."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import wellread
from wellread.backends.backend import BACKENDS, is_installed, precisions
from wellread.doctor.examine import TEXT, Processor, processor
from wellread.errors import InputError
from wellread.progress import progress

TEXTS = 256  # of the packaged ones
ROUNDS, SECONDS = 5, 4.0  # a measurement is repeated so often, unless it has taken so long
CALLS = 21  # of one short text
REFERENCE = "numpy"  # computes in float64
STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpeed:
    """One backend in one precision, measured or not."""

    backend: str
    precision: str
    rate: float | None = None  # texts a second: the median of the rounds
    latency: float | None = None  # seconds of one short text: the median of the calls
    peak_bytes: int | None = None  # the largest resident memory of its process
    cosine_mean: float | None = None  # with the float64 reference
    cosine_min: float | None = None
    note: str = ""  # why it was not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedResult:
    """The result of `measure_speed`."""

    model: str
    texts: int
    processor: Processor
    rows: tuple[BackendSpeed, ...]
    missing: tuple[str, ...]  # the backends that are not installed
    default: Mapping[str, str]  # `backend` and `precision` that `encode` takes where nothing is said


def packaged_texts() -> list[str]:
    """Return 256 English texts of up to 300 characters, of many kinds.

    >>> len(packaged_texts())
    256
    """
    from wellread.export.parity import read_lines

    lines = read_lines("en")
    return lines[:: len(lines) // TEXTS][:TEXTS]


def measure_speed(model: str, texts: Sequence[str] | None = None, *, show_progress: bool | None = None) -> SpeedResult:
    """Measure speed, the time of one text, memory and agreement with float64 of every backend that is installed.

    `model` is what `load` takes. A backend that fails has a row that says why.

    Raises: HandleError; CheckpointError; InputError for no texts.
    """
    texts = list(packaged_texts() if texts is None else texts)
    if not texts:
        raise InputError("a measurement takes at least 1 text; found 0; give more")
    module = wellread.load(model)  # what cannot be loaded at all is refused here, and fetched once
    installed = [backend for backend in BACKENDS if is_installed(backend)]
    # the reference first: its vectors are what the others' are compared with
    pairs = sorted(
        ((backend, precision) for backend in installed for precision in precisions(backend, module.checkpoint)),
        key=lambda pair: pair[0] != REFERENCE,
    )
    show = sys.stderr.isatty() if show_progress is None else show_progress
    rows: dict[tuple[str, str], BackendSpeed] = {}
    with tempfile.TemporaryDirectory() as directory, progress(len(pairs), show=show, label="backends") as advance:
        work = Path(directory)
        (work / "texts.json").write_text(json.dumps(texts), "utf-8")
        for pair in pairs:
            rows[pair] = _measure_apart(model, *pair, work)
            advance(1)
    return SpeedResult(
        model=Path(model).name,
        texts=len(texts),
        processor=processor(),
        rows=tuple(rows[pair] for pair in sorted(pairs, key=lambda pair: installed.index(pair[0]))),
        missing=tuple(backend for backend in BACKENDS if backend not in installed),
        default={"backend": module.backend, "precision": precisions(module.backend, module.checkpoint)[0]},
    )


def _measure_apart(model: str, backend: str, precision: str, work: Path) -> BackendSpeed:
    """Measure a backend in a process of its own."""
    command = [sys.executable, "-m", "wellread.doctor.speed", model, backend, precision, str(work)]
    process = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if process.returncode:
        words = process.stderr.strip().splitlines() or [f"its process ended with code {process.returncode}"]
        return BackendSpeed(backend=backend, precision=precision, note=words[-1])
    figures: dict[str, Any] = json.loads((work / "figures.json").read_text("utf-8"))
    cosine_mean, cosine_min = cosines(np.load(work / f"{backend}.npy"), np.load(work / f"{REFERENCE}.npy"))
    return BackendSpeed(backend=backend, precision=precision, cosine_mean=cosine_mean, cosine_min=cosine_min, **figures)


def cosines(vectors: Any, reference: Any) -> tuple[float, float]:
    """Return mean and minimum of the cosines of N pairs of vectors [N, E].

    >>> cosines([[3.0, 4.0], [1.0, 0.0]], [[3.0, 4.0], [1.0, 0.0]])
    (1.0, 1.0)
    """
    a, b = np.asarray(vectors, np.float64), np.asarray(reference, np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    each = (a * b).sum(1) / np.maximum(lengths, np.finfo(np.float64).tiny)
    return float(each.mean()), float(each.min())


def _measure(model: str, backend: str, precision: str, work: Path) -> dict[str, float]:
    """Measure a backend in this process; leave its vectors in `work`."""
    texts = json.loads((work / "texts.json").read_text("utf-8"))
    module = wellread.load(model, backend=backend)

    def encode(texts: str | list[str]) -> Any:
        return module.encode(texts, precision=precision, show_progress_bar=False)

    encode(TEXT)  # prepares everything
    latency = _median_seconds(lambda: encode(TEXT), CALLS)
    np.save(work / f"{backend}.npy", encode(texts))
    seconds = _median_seconds(lambda: encode(texts), ROUNDS)
    return {"rate": len(texts) / seconds, "latency": latency, "peak_bytes": peak_bytes()}


def _median_seconds(call: Callable[[], object], times: int) -> float:
    """Return the median of the seconds of some calls: `times` of them, or as many as take 4 seconds."""
    seconds: list[float] = []
    while len(seconds) < times and sum(seconds) < SECONDS:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    if STATUS.exists():  # the kernel's ru_maxrss of a child begins at its parent's size; VmHWM is the process's own
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def as_json(result: SpeedResult) -> str:
    """Write a result as JSON: its fields."""
    return json.dumps(asdict(result))


if __name__ == "__main__":
    model, backend, precision, directory = sys.argv[1:]
    figures = _measure(model, backend, precision, Path(directory))
    (Path(directory) / "figures.json").write_text(json.dumps(figures), "utf-8")
