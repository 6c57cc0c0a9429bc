"""The inputs of an encoder layer, checked, and its variables: named, shaped, drawn and filled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from wellread.backends.keras import is_kernel
from wellread.config import EncoderConfig
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import MLM_INPUT
from wellread.errors import InputError, WeightsError, nearest


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


ADVICE = "pass what the preprocessor returns, or inputs of dtype int32"


def checked(config: EncoderConfig, given: Any, *, mlm: bool = False) -> dict[str, Any]:
    """Return the inputs as tensors of whole numbers [B, T], and with `mlm` the positions [B, P].

    A family without type table takes its two inputs and passes over a third. Symbolic inputs are checked too.

    Raises: InputError for what is no dict, for names that are missing or unknown, for anything but whole numbers of two
        dimensions, for more tokens than positions.
    """
    needed = (*(INPUTS if config.type_vocab_size else INPUTS[:2]), *([MLM_INPUT] if mlm else []))
    if not isinstance(given, Mapping):
        raise InputError(
            f"inputs must be a dict of {', '.join(needed)}; found {type(given).__name__}; name each of them"
        )
    known = (*INPUTS, *([MLM_INPUT] if mlm else []))
    missing = [name for name in needed if name not in given]
    unknown = [f"{name}{nearest(name, known)}" for name in given if name not in known]
    if missing or unknown:
        raise InputError(
            f"inputs must be {', '.join(needed)}; found {', '.join(map(str, given))}; "
            + ", ".join([f"add {name}" for name in missing] + [f"remove {name}" for name in unknown])
        )
    tensors = {name: _tensor(name, given[name]) for name in known if name in given}
    _check_shapes(config, {name: tuple(tensors[name].shape) for name in tensors if name != MLM_INPUT})
    return tensors


def _tensor(name: str, given: Any) -> Any:
    """Make a tensor of what is none yet; refuse what does not hold whole numbers."""
    tensor = given if isinstance(given, keras.KerasTensor) else ops.convert_to_tensor(given)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "int" not in dtype or len(tensor.shape) != 2:
        raise InputError(
            f"{name} must be whole numbers of shape [batch, tokens]; found {dtype} of shape {list(tensor.shape)}; "
            f"{ADVICE}"
        )
    return tensor


def _check_shapes(config: EncoderConfig, shapes: Mapping[str, tuple[int | None, ...]]) -> None:
    """Refuse inputs of different sizes, as far as these are known, and more tokens than the encoder has positions."""
    for axis in (0, 1):
        if len({shape[axis] for shape in shapes.values()} - {None}) > 1:
            found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise InputError(f"the inputs must have one shape; found {found}; pack them together")
    tokens = max((shape[1] or 0 for shape in shapes.values()), default=0)
    if tokens > config.max_position_embeddings:
        raise InputError(
            f"a sequence must have 1 to {config.max_position_embeddings} tokens, the rows of the position table; "
            f"found {tokens}; ask the preprocessor for less"
        )
