"""Model and optimizer as named arrays, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn, optim

from wellread.errors import CheckpointError

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


def restore_model(arrays: Arrays, model: nn.Module, optimizer: optim.Optimizer) -> None:
    """Undo `model_arrays`. Raises: CheckpointError where names or shapes are not the model's."""
    named = _named(model)
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


def _named(model: nn.Module) -> dict[str, Tensor]:
    return dict(chain(model.named_parameters(), model.named_buffers()))


def _shape(tensors: Mapping[str, Tensor] | Arrays, name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


def _numpy(tensor: Tensor) -> NDArray[np.generic]:
    array: NDArray[np.generic] = tensor.detach().cpu().numpy()
    return array
