"""A tensor that lies in a file: its shape and type are known, its values are read when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """One tensor of a checkpoint file.

    `read()` returns a C-contiguous array of `shape`; every floating type (float16, bfloat16, float32, float64) comes as
    float32, integers and booleans as they are stored.
    """

    shape: tuple[int, ...]
    dtype: str  # as the file names it: "float32", "bfloat16", "int64" ...
    read: Callable[[], Array]


def bfloat16_to_float32(words: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Widen bfloat16 bit patterns, kept as uint16, to float32 (the upper half of its bits).

    >>> bfloat16_to_float32(np.array([0x3F80, 0xC000], np.uint16)).tolist()
    [1.0, -2.0]
    """
    return (words.astype(np.uint32) << np.uint32(16)).view(np.float32)
