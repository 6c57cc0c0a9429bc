"""Train a tiny task again and again, killed at random moments and resumed.

    python -m learn.kills DIRECTORY CASES KILLS

CASES is JSON: settings by name. DIRECTORY/<name> gets `reference.safetensors`, of a run that was never killed, and
`run-<i>.safetensors` of each that was. Every run is a process of its own, forked before any thread is there.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from learn.tiny_task import SETTINGS, TinyTask

from wellread.formats.safetensors import write_safetensors
from wellread.learn.checkpoints import checkpoints
from wellread.learn.loop import train
from wellread.learn.settings import LoopConfig
from wellread.learn.step import new_optimizer


def fork(work: Callable[[int], None]) -> tuple[int, int]:
    """Start `work` in a process, and return its id and the end of a pipe from which its events can be read."""
    reader, writer = os.pipe()
    if child := os.fork():
        os.close(writer)
        return child, reader
    status = 1
    try:
        work(writer)
        status = 0
    finally:
        os._exit(status)


def run(place: Path, final: Path, config: LoopConfig, writer: int) -> None:
    task = TinyTask()
    for _ in train(task, config, place, resume_from_checkpoint=bool(checkpoints(place))):
        os.write(writer, b".")
    write_safetensors(final, task.model.arrays())


def killed(child: int, reader: int, events: int, delay: float) -> bool:
    """Kill a run after some events and a delay; return False if it was at its end before."""
    seen = 0
    while seen < events and (new := os.read(reader, events - seen)):
        seen += len(new)
    if seen == events:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def case(directory: Path, settings: dict[str, object], kills: int) -> int:
    """Kill a run `kills` times and let it end; return how many runs that took."""
    config = LoopConfig(**{**SETTINGS, **settings})
    new_optimizer(TinyTask().model, config).zero_grad()  # imports what is slow to import
    directory.mkdir()
    assert not killed(*fork(lambda w: run(directory / "r", directory / "reference.safetensors", config, w)), 10**6, 0)
    rng, number, left = random.Random(7), 0, kills
    while True:
        place, final = directory / f"run-{number}", directory / f"run-{number}.safetensors"
        events = rng.randint(1, 12) if left else 10**6
        if killed(*fork(lambda w, p=place, f=final: run(p, f, config, w)), events, rng.uniform(0, 0.01)):
            left -= 1
        elif left:
            number += 1
        else:
            return number + 1


if __name__ == "__main__":
    cases = json.loads(sys.argv[2]).items()
    print(json.dumps({name: case(Path(sys.argv[1]) / name, given, int(sys.argv[3])) for name, given in cases}))
