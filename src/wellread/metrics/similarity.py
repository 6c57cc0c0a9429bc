"""How alike vectors are: sentence-transformers' four functions, of every vector with every other and pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.errors import InputError

FloatArray = NDArray[np.floating]


def unit(vectors: FloatArray) -> FloatArray:
    """Scale every row to length 1; a row of zeros stays."""
    scaled: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the Euclidean distances [N, M]: in float64, where the difference of the squares is exact enough."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T)
    distances: FloatArray = np.sqrt(np.maximum(squares, 0))
    return distances


def _blocks(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the Manhattan distances [N, M], a row at a time: all differences at once are N times as many numbers."""
    return np.stack([np.abs(b - row).sum(1) for row in a]) if len(a) else np.zeros((0, len(b)), np.float32)


# name -> of every vector of a [N, E] with every one of b [M, E]: [N, M]
EVERY: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "cosine": lambda a, b: unit(a) @ unit(b).T,
    "dot": lambda a, b: a @ b.T,
    "euclidean": lambda a, b: -_distances(a, b),
    "manhattan": lambda a, b: -_blocks(a, b),
}
# name -> of each vector of a [N, E] with that of b [N, E]: [N]
PAIRWISE: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "cosine": lambda a, b: (unit(a) * unit(b)).sum(-1),
    "dot": lambda a, b: (a * b).sum(-1),
    "euclidean": lambda a, b: -np.linalg.norm(a - b, axis=-1),
    "manhattan": lambda a, b: -np.abs(a - b).sum(-1),
}


def similarity(name: str, a: Any, b: Any) -> FloatArray:
    """Compare every vector of `a` [N, E] with every one of `b` [M, E]: float32 [N, M]; one vector [E] is a row.

    Distances come with a minus: the larger the more alike. Raises: InputError for vectors of two widths.

    >>> similarity("euclidean", [[0.0, 0.0], [3.0, 4.0]], [3.0, 4.0]).tolist()
    [[-5.0], [-0.0]]
    """
    a, b = (np.atleast_2d(as_vectors(vectors)) for vectors in (a, b))
    _check_widths(a, b)
    return np.asarray(EVERY[name](a, b), np.float32)


def similarity_pairwise(name: str, a: Any, b: Any) -> FloatArray:
    """Compare each vector of `a` [N, E] with the one of `b` [N, E] in its place: float32 [N].

    >>> similarity_pairwise("dot", [[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [0.0, 2.0]]).tolist()
    [3.0, 8.0]
    """
    a, b = as_vectors(a), as_vectors(b)
    _check_widths(a, b)
    if a.shape != b.shape:
        raise InputError(
            f"both sides must have equally many vectors; found {list(a.shape)} and {list(b.shape)}; match them up, or "
            "call similarity, which compares each with every other"
        )
    return np.asarray(PAIRWISE[name](a, b), np.float32)


def as_vectors(given: Any) -> FloatArray:
    """Take vectors [N, E] or one [E], as arrays, tensors on the CPU or lists of either. Raises: InputError."""
    try:
        array = np.asarray(given, np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"vectors were expected, as encode returns them; {error}; pass an array [N, E]") from None
    if array.ndim not in (1, 2):
        raise InputError(
            f"vectors were expected, as encode returns them; found an array of shape {list(array.shape)}; "
            "pass an array [N, E]"
        )
    return array


def _check_widths(a: FloatArray, b: FloatArray) -> None:
    if a.shape[-1] != b.shape[-1]:
        raise InputError(
            f"vectors of one width were expected; found {a.shape[-1]} and {b.shape[-1]} numbers; "
            "compare vectors of one module and one truncate_dim"
        )
