"""int8 matrices in a file: `X.weight` of int8, its scales beside it as `X.weight_scale` and `X.input_scale`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wellread.errors import WeightsError
from wellread.formats.arrays import Array, StoredTensor
from wellread.formats.int8 import Int8Matrix

WEIGHT = ".weight"
SCALE, INPUT_SCALE = ".weight_scale", ".input_scale"
TABLE = "_embeddings.weight"  # how the names of tables end, which nothing is multiplied by


def join_scales(stored: Mapping[str, StoredTensor], *, source: object) -> dict[str, StoredTensor]:
    """Make one tensor of each int8 matrix and its scales, of shape [out], [out] and, for the inputs', [in].

    Raises: WeightsError that names all scales without a matrix, matrices without scales, and shapes that do not fit;
        when a matrix is read, one for scales or integers that a product cannot take.
    """
    joined = dict(stored)
    faults = []
    for name, tensor in stored.items():
        stem = name.removesuffix(WEIGHT)
        if tensor.dtype == "int8" and stem != name and f"{stem}{SCALE}" in stored:
            scales, input_scales = joined.pop(f"{stem}{SCALE}"), joined.pop(f"{stem}{INPUT_SCALE}", None)
            wrong = _misfits(stem, tensor, scales, input_scales)
            joined[name] = tensor if wrong else _joined(name, tensor, scales, input_scales)
            faults += wrong
        elif tensor.dtype == "int8" and stem != name:
            faults.append(f"{name} is of int8 and {stem}{SCALE} is missing")
    for name in joined:
        if name.endswith((SCALE, INPUT_SCALE)):
            faults.append(f"{name} has no int8 matrix and scale of its rows beside it")
    if faults:
        raise WeightsError(
            f"the int8 matrices of {source} must stand beside their scales; found that {'; '.join(sorted(faults))}; "
            "fetch the weights again, or quantise the module again"
        )
    return joined


def _misfits(stem: str, weight: StoredTensor, scales: StoredTensor, input_scales: StoredTensor | None) -> list[str]:
    """Say what of a matrix and its scales does not fit together."""
    if len(weight.shape) != 2:
        return [f"{stem}{WEIGHT} is of int8 and of shape {list(weight.shape)}, no matrix"]
    faults = []
    expected = [(SCALE, scales, weight.shape[:1])]
    if input_scales is not None:
        expected.append((INPUT_SCALE, input_scales, weight.shape[1:]))
    for ending, tensor, shape in expected:
        if tensor.shape != shape:
            faults.append(f"{stem}{ending} has shape {list(tensor.shape)} where the matrix needs {list(shape)}")
        if tensor.dtype != "float32":
            faults.append(f"{stem}{ending} holds {tensor.dtype} where scales are float32")
    return faults


def _joined(name: str, weight: StoredTensor, scales: StoredTensor, input_scales: StoredTensor | None) -> StoredTensor:
    def read() -> Int8Matrix:
        matrix = Int8Matrix(
            values=np.asarray(weight.as_stored(), np.int8),
            scales=np.asarray(scales.read(), np.float32),
            input_scales=None if input_scales is None else np.asarray(input_scales.read(), np.float32),
        )
        matrix.check(name, multiplied=not name.endswith(TABLE))
        return matrix

    return StoredTensor(shape=weight.shape, dtype="int8", read=lambda: read().product(), int8=read)


def split_scales(arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Give each int8 matrix the names of a file: its integers and its scales; arrays stay as they are."""
    split: dict[str, Array] = {}
    for name, array in arrays.items():
        if not isinstance(array, Int8Matrix):
            split[name] = array
            continue
        stem = name.removesuffix(WEIGHT)
        split |= {name: array.values, f"{stem}{SCALE}": array.scales}
        if array.input_scales is not None:
            split[f"{stem}{INPUT_SCALE}"] = array.input_scales
    return split
