"""The primitives that the encoder is written in; a backend is one class that implements them.

Shape letters, used throughout the project: B batch, T tokens, P predictions, D hidden, H heads, K head width, F inner
(feed-forward), V vocabulary, L layers, W embeddings (as wide as D, unless they are factorised). A weight is passed by
*name*, so that a backend may keep it in any layout, precision or device, with scales beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Ops(Protocol[T]):
    """What a backend must be able to do with its tensors `T`. `[...]` is the shape of the result."""

    def embedding(self, ids: T, name: str) -> T:
        """Look up rows of the table `name` [V, D] for ids [B, T]: [B, T, D]."""

    def positions(self, ids: T, name: str, offset: int) -> T:
        """Return the rows of the position table `name` for ids [B, T]: [T, D] or [B, T, D].

        Without `offset` they are the first T. With one, the id `offset - 1` is padding and has the row of that number;
        the other tokens count from row `offset` on and pass over padding, as in RoBERTa (Liu et al. 2019).
        """

    def add(self, a: T, b: T) -> T:
        """Return a + b, broadcast."""

    def dropout(self, x: T, rate: float) -> T:
        """Zero elements at `rate` while training, scale the others by 1 / (1 - rate); else the identity."""

    def linear(self, x: T, name: str) -> T:
        """Return x W' + b with `name`.weight [out, in] and, where the checkpoint has one, `name`.bias [out]."""

    def logits(self, x: T, table: str, bias: str) -> T:
        """Multiply x [B, P, D] with the transposed word table [V, D] and add the bias [V]: [B, P, V]."""

    def layer_norm(self, x: T, name: str, eps: float) -> T:
        """Normalise the last axis to mean 0, variance 1 (biased, plus eps); scale and shift (Ba et al. 2016)."""

    def activation(self, x: T, kind: str) -> T:
        """Apply gelu (erf), gelu_tanh, relu, silu, tanh or another of config.DENSE_ACTIVATIONS to every element."""

    def mask_bias(self, mask: T) -> T:
        """Turn a mask of ones and zeros [B, T] into what `attention` adds to its scores: [B, 1, 1, T]."""

    def relative_bias(self, bias: T, queries: T, buckets: NDArray[np.int32], name: str) -> T:
        """Add to `bias` [B, 1, 1, T] the biases by position for `queries` [B, Tq, D]: [B, H, Tq, T].

        `buckets` [P, P] holds the row of the table `name` [R, H] for each position of a query and a key.
        """

    def attention(self, query: T, key: T, value: T, bias: T, *, heads: int, rate: float, name: str) -> T:
        """Attend: softmax(Q K' / sqrt(K) + bias) V per head, dropout at `rate` on the probabilities: [B, Tq, D].

        Where every key is masked, the probabilities are uniform, as in TF Hub's modules.
        """

    def first(self, x: T) -> T:
        """Keep position 0 of x [B, T, D]: [B, 1, D]."""

    def squeeze(self, x: T) -> T:
        """Drop the axis of one position from x [B, 1, D]: [B, D]."""

    def gather_rows(self, x: T, positions: T) -> T:
        """Pick positions [B, P] of x [B, T, D], row by row: [B, P, D]."""

    def ramp(self, mask: T) -> T:
        """Number the positions of mask [B, T]: the mask times 1, 2, ..., T."""

    def argmax(self, numbers: T) -> T:
        """Return the first position of the largest of whole numbers [B, T]: [B, 1]."""

    def mean(self, x: T, weights: T, *, root: bool = False) -> T:
        """Average x [B, T, D] by whole weights [B, T], such as a mask: [B, D]; zeros where all are zero.

        With `root` the sum is divided by the square root of the sum of the weights.
        """

    def max(self, x: T, mask: T) -> T:
        """Return the maximum of x [B, T, D] where mask [B, T] is one: [B, D]; zeros where it is nowhere."""

    def concat(self, vectors: Sequence[T]) -> T:
        """Put vectors [B, D] side by side: [B, D + D + ...]."""

    def normalize(self, x: T) -> T:
        """Scale x [B, D] to unit length; a vector of zeros stays."""
