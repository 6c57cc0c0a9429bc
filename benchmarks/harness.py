"""What every benchmark uses: the texts, and a system in a process of its own, seen from outside and from inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

import wellread
from benchmarks.machine import PLACES
from benchmarks.systems import System
from wellread.backends.backend import cpu_count
from wellread.errors import BenchError, DataError
from wellread.hub.resolve import resolve

SAMPLE = Path(__file__).with_name("texts.en.txt.gz")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
SOURCES = [str(Path(wellread.__file__).parents[1]), str(Path(__file__).parents[1])]  # of wellread and of benchmarks


def read_texts(path: Path | None = None) -> list[str]:
    """Read the texts of a file, one a line, or of the sample of 4,000 English ones (3 to 563 tokens).

    Raises: DataError for a file that cannot be read or holds no text.

    >>> len(read_texts())
    4000
    """
    from wellread.data.corpus import read_texts as read_file

    texts = list(read_file(path or SAMPLE))
    if not texts:
        raise DataError(f"texts were asked of {path}; found 0 lines with a text; give another file")
    return texts


@contextmanager
def readable_by_peers(handle: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a directory that sentence-transformers opens: the module's own, or its floats where it holds int8."""
    module = wellread.load(handle)
    if not module.checkpoint.has_int8:
        yield resolve(handle).directory
        return
    with tempfile.TemporaryDirectory(prefix="wellread.") as place:
        directory = Path(place) / Path(handle).name
        module.dequantise().save(directory)
        yield directory


def evenly(count: int, of: int) -> list[int]:
    """Choose at most `count` indices of `of`, evenly spread.

    >>> evenly(3, 9), evenly(4, 2)
    ([0, 4, 8], [0, 1])
    """
    return [int(index) for index in np.linspace(0, of - 1, min(count, of)).round()]


def environment(place: str | None = None) -> dict[str, str]:
    """Return the environment of everyone measured: all cores, this wellread, no GPU, no network.

    `place` is a directory of the virtual environment whose packages come before the others.
    """
    first = [] if place is None else [str(PLACES / place)]
    return {
        **os.environ,
        **dict.fromkeys(THREADS, str(cpu_count())),
        "PYTHONDONTWRITEBYTECODE": "",  # what pip installs is compiled
        "PYTHONPATH": os.pathsep.join([*SOURCES, *first, os.environ.get("PYTHONPATH", "")]),
        "TOKENIZERS_PARALLELISM": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
    }


class Worker:
    """A process of `benchmarks.encode_worker` or its kin; leave the `with` block to end it."""

    def __init__(
        self, system: System, model_dir: Path, work_dir: Path, *, program: str = "benchmarks.encode_worker"
    ) -> None:
        """Start the process; `work_dir` is where it finds and leaves what was prepared."""
        self.name = system.name
        self._started = time.perf_counter()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", program, system.name, str(model_dir), str(work_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment(system.place),
        )

    def ask(self, do: str, **arguments: Any) -> Mapping[str, Any]:
        """Have the process `do` something and wait for its answer. Raises: BenchError when it dies over it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death(do) from None
        line = self._process.stdout.readline()
        if not line:
            raise self._death(do)
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def age(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self._started

    def _death(self, do: str) -> BenchError:
        code = self._process.wait()
        self._stderr.seek(0)
        return died(self.name, do, code, self._stderr.read())

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        with self._stderr:
            self._process.communicate()  # closes its stdin, which ends it


def died(name: str, do: str, code: int, stderr: bytes) -> BenchError:
    """Say how a process ended, in the last words that it left.

    >>> print(died("onnxruntime", "load", 1, b"Traceback\\n  MemoryError\\n"))
    onnxruntime was asked to load; its process ended with code 1: MemoryError; leave it out, or mend its installation
    """
    lines = stderr.decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    words = f": {last}" if last else ", without a word"
    return BenchError(
        f"{name} was asked to {do}; its process ended with code {code}{words}; leave it out, or mend its installation"
    )


def private_stdout() -> IO[str]:
    """Keep stdout for the answers; what libraries print goes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def serve(start: Callable[[str, Path, Path], object]) -> None:
    """Answer requests until stdin ends: each names a method of what `start` makes of the command line.

    Requests come as JSON lines on stdin, answers go as JSON lines to stdout.
    """
    channel = private_stdout()
    name, model_dir, work_dir = sys.argv[1:]
    answers = start(name, Path(model_dir), Path(work_dir))
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(answers, request.pop("do"))(**request)), file=channel, flush=True)
