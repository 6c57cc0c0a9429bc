"""How TensorFlow lays a dense map out, and the way between that and ours, [out, in]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One layout: both ways take an array and the number of heads H; no number is changed."""

    to_theirs: Callable[[Array, int], Array]
    to_ours: Callable[[Array, int], Array]


# Shape letters: D hidden, H heads, K head width (D = H K).
LAYOUTS = {
    "as_is": Layout(to_theirs=lambda x, heads: x, to_ours=lambda x, heads: x),
    "transposed": Layout(to_theirs=lambda x, heads: x.T, to_ours=lambda x, heads: x.T),
    "to_heads": Layout(  # [D, D] and [D, H, K]
        to_theirs=lambda x, heads: x.T.reshape(x.shape[1], heads, -1),
        to_ours=lambda x, heads: x.reshape(x.shape[0], -1).T,
    ),
    "by_head": Layout(  # [D] and [H, K]
        to_theirs=lambda x, heads: x.reshape(heads, -1), to_ours=lambda x, heads: x.reshape(-1)
    ),
    "from_heads": Layout(  # [D, D] and [H, K, D]
        to_theirs=lambda x, heads: x.T.reshape(heads, -1, x.shape[0]),
        to_ours=lambda x, heads: x.reshape(-1, x.shape[-1]).T,
    ),
}


def theirs(layout: str, array: Array, heads: int) -> Array:
    """Lay an array of ours out as TensorFlow does.

    >>> theirs("to_heads", np.zeros((12, 12)), 4).shape, theirs("from_heads", np.zeros((12, 12)), 4).shape
    ((12, 4, 3), (4, 3, 12))
    """
    return np.ascontiguousarray(LAYOUTS[layout].to_theirs(array, heads))


def ours(layout: str, array: Array, heads: int) -> Array:
    """Lay an array of TensorFlow's out as we do.

    >>> ours("from_heads", np.zeros((4, 3, 12)), 4).shape
    (12, 12)
    """
    return np.ascontiguousarray(LAYOUTS[layout].to_ours(array, heads))


def their_shape(layout: str, shape: tuple[int, ...], heads: int) -> tuple[int, ...]:
    """Return the shape that an array of ours of `shape` has in TensorFlow; nothing is allocated.

    >>> their_shape("by_head", (12,), 4)
    (4, 3)
    """
    empty = np.broadcast_to(np.zeros((), np.bool_), shape)
    return LAYOUTS[layout].to_theirs(empty, heads).shape
