"""How near vectors come to those of float64, and where bfloat16 is to be found."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from wellread.backends.native_kernel import refusal
from wellread.backends.openvino import precisions

NEEDS_NATIVE = pytest.mark.skipif(refusal() is not None, reason=f"the native backend: {refusal()}")
NEEDS_BF16 = pytest.mark.skipif("bf16" not in precisions(), reason="this CPU does not compute in bfloat16")
BF16_COSINE = 0.999  # of a vector in bfloat16 and the one in float64, at least; measured: 0.99997


def exact(backend: str) -> str:
    """Name the most exact precision of a backend, for comparisons at 1e-5."""
    return "f64" if backend == "numpy" else "f32"


def cosines(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return the cosine of each vector of `a` [N, E] with its own of `b` [N, E]: [N]."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
