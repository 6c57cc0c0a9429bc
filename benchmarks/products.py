"""The native products alone: how fast the library multiplies, which an encoder that is made of them can come near."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import cpu_count
from wellread.backends.native import Weights
from wellread.backends.native_kernel import DTYPES, Handle, check, chosen, functions
from wellread.config import EncoderConfig
from wellread.encoder.encoder import layer_name

ROWS = 192  # tokens of a call: with a matrix of a small encoder, all stays in the caches
SECONDS = 0.1  # of each matrix


def useful_operations(config: EncoderConfig, lengths: NDArray[np.int64]) -> float:
    """Count the multiplications and additions of the blocks for texts of `lengths` tokens [N], without padding.

    >>> config = EncoderConfig(vocab_size=9, hidden_size=4, num_hidden_layers=2, num_attention_heads=1,
    ...     intermediate_size=8)
    >>> useful_operations(config, np.array([1, 3])) == 2 * (4 * 2 * (4 * 4 * 4 + 2 * 4 * 8) + (1 + 9) * 2 * 2 * 4)
    True
    """
    width, inner = config.hidden_size, config.intermediate_size
    tokens, pairs = float(np.sum(lengths)), float(np.sum(np.square(lengths, dtype=np.float64)))
    maps = 2 * (4 * width * width + 2 * width * inner)  # a token
    attention = 2 * 2 * width  # a pair of tokens: its score, and its share of the sum
    return config.num_hidden_layers * (tokens * maps + pairs * attention)


def product_rate(backend: Any) -> float | None:
    """Return the operations a second of the fastest matrix on all cores; None for a backend without such products.

    The matrix is multiplied again and again by the same rows, in the backend's variant and precision.
    """
    if backend.name != "native":
        return None
    return max(_rate(linear) for linear in _linears(backend))


def _linears(backend: Any) -> list[tuple[Any, int, int]]:
    """Pack a matrix of each shape of the blocks: what the library holds, rows and columns; int8 where some are."""
    int8 = backend.precision == "int8"
    config, weights = backend.checkpoint.config, Weights(backend.checkpoint.tensors, int8=int8)
    precision = "bf16" if backend.precision == "bf16" else "f32"  # int8 matrices are multiplied as such in either
    variant = chosen(precision)
    assert variant is not None
    packed = []
    for name in ("attention.output.dense", "intermediate.dense", "output.dense"):
        blocks = (weights.dense(f"{layer_name(config, i)}.{name}") for i in range(config.num_hidden_layers))
        matrix = next((block for block in blocks if not int8 or block.dtype == DTYPES["int8"]), None)
        if matrix is not None:
            packed.append((Handle("wellread_linear", matrix, variant, precision), matrix.rows, matrix.columns))
    return packed


def _rate(linear: tuple[Any, int, int]) -> float:
    """Return the operations a second of one matrix, a thread a core."""
    handle, rows, columns = linear
    counts: list[int] = []
    until = time.perf_counter() + SECONDS

    def multiply() -> None:
        x = np.random.default_rng(0).standard_normal((ROWS, columns), np.float32)
        product = np.empty((ROWS, rows), np.float32)
        calls = 0
        while calls == 0 or time.perf_counter() < until:
            check(functions().wellread_linear(handle.address, x.ctypes.data, ROWS, product.ctypes.data, 0, 1))
            calls += 1
        counts.append(calls)

    started = time.perf_counter()
    _together([threading.Thread(target=multiply) for _ in range(cpu_count())])
    seconds = time.perf_counter() - started
    return sum(counts) * 2.0 * ROWS * rows * columns / seconds


def _together(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
