"""How the variables of a layer are named, shaped, drawn and filled, by the names of our tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from wellread.backends.keras import is_kernel
from wellread.config import EncoderConfig
from wellread.errors import WeightsError, nearest


def place(name: str) -> str:
    """Name a variable: PyTorch allows no dots in a parameter's name.

    >>> place("pooler.dense.bias")
    'pooler_dense_bias'
    """
    return name.replace(".", "_")


def laid_out(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a variable: that of the tensor, but dense maps are [in, out]."""
    return shape[::-1] if is_kernel(name, shape) else shape


def initializer(name: str, config: EncoderConfig) -> Any:
    """Draw fresh weights as BERT's are: normal with deviation `initializer_range`, cut at two; ones and zeros else."""
    if name.endswith("bias"):
        return keras.initializers.Zeros()
    if name.endswith("LayerNorm.weight"):
        return keras.initializers.Ones()
    return keras.initializers.TruncatedNormal(stddev=config.initializer_range)


def set_trainable(layer: Any, value: bool) -> None:
    """Say of a layer, and of those inside it, whether they train.

    Keras on TensorFlow passes over an assignment that changes nothing on the outside, whatever the state within.
    """
    layer.trainable = not value
    layer.trainable = value


def assign(variables: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Fill every variable from the array of its name.

    Raises: WeightsError that lists every name or shape that differs.
    """
    faults = [f"{name} is missing" for name in variables.keys() - arrays.keys()]
    faults += [f"{name} is surplus{nearest(name, variables)}" for name in arrays.keys() - variables.keys()]
    faults += [
        f"{name} has shape {list(arrays[name].shape)} where the layer has {list(variables[name].shape)}"
        for name in variables.keys() & arrays.keys()
        if tuple(variables[name].shape) != tuple(arrays[name].shape)
    ]
    if faults:
        raise WeightsError(
            f"the weights of an encoder layer were to be loaded; found that {'; '.join(sorted(faults))}; "
            "load those that were saved with it"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
