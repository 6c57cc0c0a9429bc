"""A contender in its own process: requests come as JSON lines on stdin, answers go as JSON lines to stdout.

Run by `process.Worker` as `python -m wellread.bench.worker CONTENDER MODEL_DIR WORK_DIR`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import IO, Any

from wellread.bench.contenders import CONTENDERS, Contender
from wellread.bench.loaders import (
    Loaded,
    load_onnxruntime,
    load_sentence_transformers,
    load_wellread,
    load_wellread_one_stream,
    prepare_onnxruntime,
    prepare_sentence_transformers,
)

LOADERS: dict[str, Callable[..., Loaded]] = {
    "wellread": load_wellread,
    "wellread-one-stream": load_wellread_one_stream,
    "sentence-transformers": load_sentence_transformers,
    "onnxruntime": load_onnxruntime,
}
# what is made once, ahead of time, in a process whose time and memory do not count
PREPARATIONS: dict[str, Callable[..., None]] = {
    "sentence-transformers": prepare_sentence_transformers,
    "onnxruntime": prepare_onnxruntime,
}
FIRST_TEXT = "A man is playing a guitar."
STATUS = Path("/proc/self/status")


class Answers:
    """What a worker does when asked; each method is one request, its return value the answer."""

    def __init__(self, contender: Contender, model_dir: Path, work_dir: Path) -> None:
        """Do nothing yet."""
        self.contender = contender
        self.paths = (model_dir, work_dir)
        self.loaded: Loaded
        self.texts: list[str]
        self.made: Any = None

    def prepare(self) -> dict[str, Any]:
        """Make what a user of this contender would have made ahead of time."""
        if self.contender.loader in PREPARATIONS:
            PREPARATIONS[self.contender.loader](*self.paths, **self.contender.options)
        return {}

    def load(self) -> dict[str, Any]:
        """Load the model and make a first vector, so that nothing is put off."""
        self.loaded = LOADERS[self.contender.loader](*self.paths, **self.contender.options)
        self.loaded.encode([FIRST_TEXT])
        return {"precision": self.loaded.precision}

    def take(self, texts: list[str]) -> dict[str, Any]:
        """Keep the texts of the measurement."""
        self.texts = texts
        return {}

    def encode(self, count: int | None = None) -> dict[str, Any]:
        """Encode all texts, or `count` of them taken round and round; tell the seconds and the peak memory so far."""
        texts = list(islice(cycle(self.texts), count)) if count else self.texts
        self.made = None  # the vectors of the last round are no part of this one's memory
        started = time.perf_counter()
        self.made = self.loaded.encode(texts)
        return {"seconds": time.perf_counter() - started, "peak_bytes": peak_bytes()}

    def vectors(self, rows: list[int]) -> dict[str, Any]:
        """Return some vectors of the last round."""
        return {"vectors": self.made[rows].tolist()}


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    if STATUS.exists():  # the kernel's ru_maxrss of a child begins at its parent's size; VmHWM is the process's own
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def private_stdout() -> IO[str]:
    """Keep stdout for the answers; what libraries print goes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def serve(start: Callable[[str, Path, Path], object]) -> None:
    """Answer requests until stdin ends: each names a method of what `start` makes of the command line."""
    channel = private_stdout()
    name, model_dir, work_dir = sys.argv[1:]
    answers = start(name, Path(model_dir), Path(work_dir))
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(answers, request.pop("do"))(**request)), file=channel, flush=True)


def main() -> None:
    """Answer requests as a contender of `bench encode`."""
    serve(lambda name, model_dir, work_dir: Answers(CONTENDERS[name], model_dir, work_dir))


if __name__ == "__main__":
    main()
