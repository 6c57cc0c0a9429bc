"""Fine-tune a made module, killed at random steps and resumed.

    python -m learn.finetune_kills DIRECTORY TASK KILLS

leaves `reference.safetensors`, of a run that was never killed, and `killed.safetensors` in DIRECTORY. Every run is a
process of its own, forked before any thread is there.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from learn.kills import fork
from learn.made_lessons import made_module, made_rows, settings
from torch import nn

from wellread.formats.safetensors import write_safetensors
from wellread.learn.checkpoints import checkpoints
from wellread.learn.finetune import finetune
from wellread.learn.step import new_optimizer

CONFIG = settings(num_train_epochs=2, save_steps=2, save_total_limit=0, head_dropout=0.2)


def run(directory: Path, task: str, name: str) -> None:
    module = made_module(directory / "files", hidden_dropout_prob=0.1)
    place = directory / name
    made = finetune(
        module,
        made_rows(task, 192),
        task=task,
        output_dir=place,
        config=CONFIG,
        resume_from_checkpoint=bool(checkpoints(place)),
    )
    write_safetensors(directory / f"{name}.safetensors", made.checkpoint.arrays())


def killed(directory: Path, task: str, step: int) -> None:
    """Kill a run as soon as it has saved the checkpoint of a step."""
    child, _ = fork(lambda _: run(directory, task, "killed"))
    while not (directory / "killed" / f"checkpoint-{step}").exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the run ended before it was killed"
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(directory: Path, task: str, kills: int) -> None:
    new_optimizer(nn.Linear(1, 1), CONFIG.loop).zero_grad()  # imports what is slow to import
    for step in sorted(random.Random(7).sample(range(2, 21, 2), kills)):  # of 24
        killed(directory, task, step)
    for name in ("killed", "reference"):
        child, _ = fork(lambda _, name=name: run(directory, task, name))
        assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
