"""Search in a directory again and again, killed at given moments and resumed.

    python -m shrinking.kills DIRECTORY

leaves `reference`, of a search that was never killed, and `killed`. Every search is a process of its own, forked before
any thread is there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from learn.kills import fork
from shrinking.searches import base, config, inputs
from torch import nn

from wellread.learn import log
from wellread.learn.settings import LoopConfig
from wellread.learn.step import new_optimizer
from wellread.shrinking import reporting
from wellread.shrinking.shrink import shrink

# each search is killed once this is there
MOMENTS = ("candidates/*/rung-1/vectors-run/checkpoint-2", "candidates/*/rung-1/module", "candidates/*/rung-2/vectors")


def search(directory: Path, name: str) -> None:
    log.draw_runs = lambda *given, **named: None
    reporting.find_spec = lambda name: None
    place = directory / name
    resume = (place / "shrink.json").exists()
    shrink(
        base(directory / "files"), task="vectors", output_dir=place, config=config(), resume=resume, **inputs("vectors")
    )


def killed(directory: Path, moment: str) -> None:
    child, _ = fork(lambda _: search(directory, "killed"))
    while not list((directory / "killed").glob(moment)):
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the search ended before it was killed"
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(directory: Path) -> None:
    new_optimizer(nn.Linear(1, 1), LoopConfig()).zero_grad()  # imports what is slow to import
    for moment in MOMENTS:
        killed(directory, moment)
    for name in ("killed", "reference"):
        child, _ = fork(lambda _, name=name: search(directory, name))
        assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
