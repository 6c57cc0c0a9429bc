"""A tiny task: rows of different lengths, dropout, parameters that get no gradient; and a process that trains it.

    python -m learn.tiny_task DIRECTORY SETTINGS

trains without dropout, under torchrun too; SETTINGS is JSON of LoopConfig. It prints every event, and leaves the
weights in DIRECTORY/final.safetensors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tiny import tiny_checkpoint, tiny_config

from wellread.backends.torch import TorchEncoder
from wellread.formats.safetensors import read_safetensors, write_safetensors
from wellread.learn.loop import train
from wellread.learn.settings import LoopConfig
from wellread.learn.step import Inputs, Loss

N = 37
SETTINGS = {
    "max_steps": 20,
    "per_device_train_batch_size": 8,
    "learning_rate": 1e-2,
    "warmup_steps": 3,
    "save_steps": 3,
    "adam_epsilon": 1e-5,  # some gradients are 0 but for rounding: they must stay small
    "bf16": "false",
    "seed": 5,
}


def encoder(*, dropout: float = 0.2, seed: int = 0) -> TorchEncoder:
    config = tiny_config(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    return TorchEncoder(tiny_checkpoint(config, seed=seed)).train()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TinyTask:
    """Draw every token's last hidden state to a vector of its own; the pooler and the MLM head stay as they are."""

    model: TorchEncoder = field(default_factory=encoder)
    data_seed: int = 0
    bad_row: int | None = None  # one whose loss is no number

    def lengths(self, epoch: int) -> np.ndarray:
        return np.random.default_rng(self.data_seed).integers(3, 12, N)

    def collate(self, rows: np.ndarray, epoch: int) -> Inputs:
        lengths = self.lengths(epoch)[rows]
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.stack([np.random.default_rng([self.data_seed, row]).integers(5, 99, 12) for row in rows])
        ids = np.where(mask, ids[:, : lengths.max()], 0)
        bad = np.isin(rows, [] if self.bad_row is None else [self.bad_row])
        arrays = {"input_word_ids": ids, "input_mask": mask, "input_type_ids": np.zeros_like(ids)}
        return {**{k: torch.from_numpy(v.astype(np.int32)) for k, v in arrays.items()}, "bad": torch.from_numpy(bad)}

    def loss(self, inputs: Inputs) -> Loss:
        made = self.model(inputs, ["sequence_output"])["sequence_output"]
        assert isinstance(made, torch.Tensor)
        targets = torch.sin(inputs["input_word_ids"][:, :, None] * torch.arange(1, 13, device=made.device))
        squares = (made - targets).square().mean(-1) * inputs["input_mask"]
        if inputs["bad"].any():
            squares = squares * float("nan")
        return Loss(total=squares.sum(), count=int(inputs["input_mask"].sum()))

    def identity(self) -> dict[str, object]:
        return {"data": self.data_seed}


def timeless(provenance: Mapping[str, object]) -> dict[str, object]:
    """Leave out of a provenance what differs between a run and one that was cut short: how long it took."""
    return {key: value for key, value in provenance.items() if key != "time"}


def trained(directory: Path, *, resume: bool | Path = False, task: TinyTask | None = None, **settings: object):
    """Train in this process; return the weights."""
    task = task or TinyTask()
    list(train(task, LoopConfig(**{**SETTINGS, **settings}), directory, resume_from_checkpoint=resume))
    return task.model.arrays()


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start a Python process that finds the modules of tests."""
    paths = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *arguments], env={**os.environ, **own, **variables}, **pipes)


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a process that is to end well, and return what it printed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def weights(path: Path) -> dict[str, np.ndarray]:
    return {name: tensor.read() for name, tensor in read_safetensors(path).items()}


def assert_bit_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert np.array_equal(array, second[name]), name


def main(directory: Path, settings: str) -> None:
    task = TinyTask(model=encoder(dropout=0.0))
    config = LoopConfig(**{**SETTINGS, **json.loads(settings)})
    for event in train(task, config, directory):
        print(type(event).__name__, event.step, flush=True)
    if os.environ.get("RANK", "0") == "0":
        write_safetensors(directory / "final.safetensors", task.model.arrays())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
