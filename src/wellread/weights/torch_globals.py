"""What a torch pickle may name: classes of storages, and the few calls that make a tensor of a storage.

Each call stands for the function of that name in torch (torch/_utils.py), which is never imported: it checks the
arguments and describes what torch would build.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_MAX_DIMENSIONS = 64  # checked first: a long tuple may be named again and again at no cost to the file

STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A flat run of numbers in the file; tensors are views of it."""

    key: str
    dtype: str  # a key of `dtypes.LAYOUTS`
    length: int  # numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A tensor as the pickle describes it; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def are_counts(*values: Any) -> bool:
    """Say whether all values are whole numbers of at least 0; True and False are not.

    >>> are_counts(0, 7), are_counts(-1), are_counts(True)
    (True, False, False)
    """
    return all(type(value) is int and value >= 0 for value in values)


def _empty(value: Any) -> bool:
    return value is None or (type(value) is dict and not value)


def _tensor(arguments: tuple[Any, ...]) -> View | None:
    """Storage, offset, shape, strides."""
    if len(arguments) != 4:
        return None
    storage, offset, shape, strides = arguments
    tuples = type(shape) is type(strides) is tuple and len(shape) == len(strides) <= _MAX_DIMENSIONS
    if type(storage) is not Storage or not tuples or not are_counts(offset, *shape, *strides):
        return None
    return View(storage=storage, offset=offset, shape=shape, strides=strides)


def _tensor_v2(arguments: tuple[Any, ...]) -> View | None:
    """The same, then whether it wants gradients, hooks (none), and, of late, conjugate or negative bits (none)."""
    known = len(arguments) in (6, 7) and type(arguments[4]) is bool and all(map(_empty, arguments[5:]))
    return _tensor(arguments[:4]) if known else None


def _parameter(arguments: tuple[Any, ...]) -> View | None:
    """A tensor, whether it wants gradients, and hooks (none)."""
    known = len(arguments) == 3 and type(arguments[0]) is View and type(arguments[1]) is bool and _empty(arguments[2])
    return arguments[0] if known else None


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any] | None:
    return None if arguments else {}


# what REDUCE may call; each returns None for arguments that torch does not write
CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_parameter": _parameter,
}
