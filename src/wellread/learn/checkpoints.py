"""Checkpoints of a run: directories `checkpoint-<step>` of safetensors and JSON, each whole or not there.

Random states need no room in them: every step seeds its own (`loop.py`), so its number is the whole random state.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn, optim

from wellread.errors import CheckpointError, TrainingError
from wellread.files import sha256, whole_directory
from wellread.formats.safetensors import read_safetensors, write_safetensors
from wellread.schema import read_json, record, write_json

Arrays = dict[str, NDArray[np.generic]]


def model_arrays(model: nn.Module) -> Arrays:
    """Copy parameters and buffers out, by name; what is shared stands there once."""
    return {name: _numpy(tensor) for name, tensor in _named(model).items()}


def optimizer_arrays(model: nn.Module, optimizer: optim.Optimizer) -> Arrays:
    """Copy what the optimizer keeps of each parameter, as `<its name of it>.<name of the parameter>`."""
    return {
        f"{key}.{name}": _numpy(tensor)
        for name, parameter in model.named_parameters()
        for key, tensor in optimizer.state.get(parameter, {}).items()
    }


def restore_model(arrays: Arrays, model: nn.Module) -> None:
    """Undo `model_arrays`. Raises: CheckpointError where names or shapes are not the model's."""
    restore_tensors(arrays, _named(model))


def restore_tensors(arrays: Arrays, named: Mapping[str, Tensor]) -> None:
    """Fill tensors from arrays of their names. Raises: CheckpointError where names or shapes are not the model's."""
    wrong = [name for name in {*named, *arrays} if _shape(named, name) != _shape(arrays, name)]
    if wrong:
        raise CheckpointError(f"tensors that are not the model's: {', '.join(sorted(wrong))}")
    with torch.no_grad():
        for name, tensor in named.items():
            tensor.copy_(torch.from_numpy(arrays[name]))


def restore_optimizer(arrays: Arrays, model: nn.Module, optimizer: optim.Optimizer) -> None:
    """Undo `optimizer_arrays`. Raises: CheckpointError for a parameter that the model does not have."""
    parameters = dict(model.named_parameters())
    for full, array in arrays.items():
        key, _, name = full.partition(".")
        if name not in parameters:
            raise CheckpointError(f"a state {full} of no parameter of the model")
        optimizer.state[parameters[name]][key] = torch.from_numpy(array).clone().to(parameters[name].device)


def fingerprint(model: nn.Module) -> str:
    """Return the SHA-256 of names, shapes, values and of what is frozen, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in _named(model).items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.requires_grad}\n".encode())
        digest.update(np.ascontiguousarray(_numpy(tensor)).tobytes())
    return digest.hexdigest()


def _arrays(path: Path) -> Arrays:
    return {name: tensor.read() for name, tensor in read_safetensors(path).items()}


def _named(model: nn.Module) -> dict[str, Tensor]:
    return dict(chain(model.named_parameters(), model.named_buffers()))


def _shape(tensors: Mapping[str, Tensor] | Arrays, name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


def _numpy(tensor: Tensor) -> NDArray[np.generic]:
    array: NDArray[np.generic] = tensor.detach().cpu().numpy()
    return array


FORMAT = 1
NAME = re.compile(r"checkpoint-(\d+)")
MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
AVERAGE = "average.safetensors"  # of the weights, where a run keeps a moving one


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a run stands, and of what it is a run."""

    step: int  # done; the position of schedule and random states too
    epoch: int  # of the next step
    batch: int  # steps of that epoch that are done
    identity: Mapping[str, Any]  # of data, model and settings
    files: Mapping[str, str] = field(default_factory=dict)  # name -> SHA-256
    format: int = FORMAT


def save(
    output_dir: Path,
    model: nn.Module,
    optimizer: optim.Optimizer,
    state: State,
    *,
    averages: Mapping[str, Tensor],
    limit: int,
) -> Path:
    """Write `checkpoint-<step>`, then remove the oldest ones beyond `limit`, unless that is 0.

    Raises: TrainingError where the disk refuses; the checkpoints before are kept.
    """
    directory = output_dir / f"checkpoint-{state.step}"
    try:
        _remove(directory)  # of the same run, from before it was resumed at an earlier step
        with whole_directory(directory) as partial:
            write_safetensors(partial / MODEL, model_arrays(model))
            write_safetensors(partial / OPTIMIZER, optimizer_arrays(model, optimizer))
            if averages:
                write_safetensors(partial / AVERAGE, {name: _numpy(tensor) for name, tensor in averages.items()})
            files = {path.name: sha256(path) for path in sorted(partial.glob("*.safetensors"))}
            write_json(partial / STATE, {**asdict(state), "files": files})
    except (CheckpointError, OSError) as error:
        raise TrainingError(
            f"{directory} was to be written; found that {error}; make room, then resume: {last_good(output_dir)}"
        ) from error
    for old in checkpoints(output_dir)[:-limit] if limit else []:
        _remove(old)
    return directory


def load(
    directory: Path,
    model: nn.Module,
    optimizer: optim.Optimizer,
    identity: Mapping[str, Any],
    *,
    averages: Mapping[str, Tensor],
) -> State:
    """Put model, optimizer and averages where they were at a checkpoint, and return its state.

    Raises: TrainingError for a checkpoint that is damaged, or of other data, another model or other settings.
    """
    try:
        state = record(State, read_json(directory / STATE), source=directory / STATE)
        if state.format != FORMAT:
            raise CheckpointError(f"format {state.format} where this wellread reads {FORMAT}")
        for name in dict.fromkeys([MODEL, OPTIMIZER, *state.files]):
            if sha256(directory / name) != state.files.get(name):
                raise CheckpointError(f"{name} has another SHA-256 than was recorded")
        _compare(directory, state.identity, identity)
        restore_model(_arrays(directory / MODEL), model)
        restore_optimizer(_arrays(directory / OPTIMIZER), model, optimizer)
        if averages:
            restore_tensors(_arrays(directory / AVERAGE), averages)
    except (CheckpointError, OSError) as error:
        raise TrainingError(
            f"{directory} was to be resumed; found it damaged: {error}; remove it to resume from the one before"
        ) from error
    return state


def identity(directory: Path) -> Mapping[str, Any]:
    """Return what the run of a checkpoint depends on; nothing of one that `load` will find damaged."""
    try:
        return record(State, read_json(directory / STATE), source=directory / STATE).identity
    except (CheckpointError, OSError):
        return {}


def resumable(output_dir: Path, resume: bool | str | Path | None) -> Path | None:
    """Return the checkpoint that a run is to begin with: none, the last of `output_dir` (True), or the one given.

    What a killed run left half written is removed.

    Raises: TrainingError for a checkpoint that is not there, or a new run where there are checkpoints of another.
    """
    for partial in output_dir.glob(".checkpoint-*"):
        shutil.rmtree(partial, ignore_errors=True)
    last = next(reversed(checkpoints(output_dir)), None)
    if not resume:
        if last:
            raise TrainingError(
                f"a new run was to begin in {output_dir}; found {last.name} of another; resume it with "
                "resume_from_checkpoint=True (--resume), begin anew with overwrite=True (--overwrite), or choose "
                "another directory"
            )
        return None
    checkpoint = last if resume is True else Path(resume)
    if checkpoint is None or not (checkpoint / STATE).is_file():
        raise TrainingError(
            f"a checkpoint of {output_dir} was to be resumed; found none{f' in {checkpoint}' if checkpoint else ''}; "
            "name a directory checkpoint-<step>, or begin without resuming"
        )
    return checkpoint


def checkpoints(output_dir: Path) -> list[Path]:
    """List the checkpoints of a run, the earliest first."""
    directories = [path for path in output_dir.glob("checkpoint-*") if path.is_dir() and NAME.fullmatch(path.name)]
    return sorted(directories, key=step_of)


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was saved, by its name."""
    return int(checkpoint.name.split("-")[1])


def remove_all(output_dir: Path) -> None:
    """Remove the checkpoints of an earlier run, and its best weights; tokens and a teacher's outputs stay."""
    for directory in (*checkpoints(output_dir), *output_dir.glob("best-*")):
        _remove(directory)


def last_good(output_dir: Path) -> str:
    """Say which checkpoint a run can be resumed from."""
    directories = checkpoints(output_dir)
    return f"the last checkpoint is {directories[-1]}" if directories else "no checkpoint was saved yet"


def _remove(directory: Path) -> None:
    """Take the name away first, so that a kill leaves no half of a checkpoint under it."""
    if directory.exists():
        away = directory.with_name(f".{directory.name}.removed")
        directory.replace(away)
        shutil.rmtree(away)


def _compare(directory: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Name everything that is not as it was."""
    changed = [
        f"{key} is {now.get(key)!r} and was {then.get(key)!r}"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    ]
    if changed:
        raise TrainingError(
            f"{directory} was to be resumed with the same data, model and settings; found that {'; '.join(changed)}; "
            "set them back, begin anew with overwrite=True (--overwrite), or choose another directory"
        )
