"""A contender in a process of its own, seen from outside: ask, answer, and what happened if it died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import wellread
from wellread.backends.backend import cpu_count
from wellread.bench.contenders import Contender
from wellread.errors import BenchError

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def environment() -> dict[str, str]:
    """Return the environment of everyone measured: all cores, this wellread, no GPU, no network."""
    return {
        **os.environ,
        **dict.fromkeys(THREADS, str(cpu_count())),
        "PYTHONPATH": os.pathsep.join([str(Path(wellread.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
        "TOKENIZERS_PARALLELISM": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
    }


class Worker:
    """A process of `wellread.bench.worker` or its kin; leave the `with` block to end it."""

    def __init__(
        self, contender: Contender, model_dir: Path, work_dir: Path, *, program: str = "wellread.bench.worker"
    ) -> None:
        """Start the process; `work_dir` is where it finds and leaves what was prepared."""
        self.name = contender.name
        self._started = time.perf_counter()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", program, contender.name, str(model_dir), str(work_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment(),
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
