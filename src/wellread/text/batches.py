"""The one place where texts of different lengths are grouped into batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wellread.errors import InputError


def token_budget_batches(lengths: ArrayLike, *, max_tokens: int, max_rows: int) -> list[NDArray[np.int64]]:
    """Group N rows by length, longest first, so that little is padded and every batch costs about the same.

    `lengths` is int [N], in tokens. Each batch holds the int64 indices of at most `max_rows` rows, and its rows times
    its longest length is at most `max_tokens`; a row that is longer by itself is a batch of its own. Equal lengths keep
    their order. The longest come first, so that a lack of memory shows at once.

    Raises: InputError for lengths that are not whole numbers of at least 0 in one dimension, or a limit below 1.

    >>> [batch.tolist() for batch in token_budget_batches([2, 9, 3, 3], max_tokens=6, max_rows=8)]
    [[1], [2, 3], [0]]
    """
    sizes = np.asarray(lengths)
    if sizes.ndim != 1 or (sizes.size and (sizes.dtype.kind not in "iu" or sizes.min() < 0)):
        least = f" and minimum {sizes.min()}" if sizes.size and sizes.dtype.kind in "iuf" else ""
        raise InputError(
            "lengths must be whole numbers of at least 0, one a row; "
            f"found {sizes.dtype} of shape {sizes.shape}{least}; pass the number of tokens of each row"
        )
    for name, limit in (("max_tokens", max_tokens), ("max_rows", max_rows)):
        if limit < 1:
            raise InputError(f"{name} must be at least 1; found {limit}; raise it")
    order = np.argsort(-sizes.astype(np.int64), kind="stable")
    batches = []
    begin = 0
    while begin < len(order):
        longest = max(1, int(sizes[order[begin]]))
        rows = max(1, min(max_rows, max_tokens // longest))
        batches.append(order[begin : begin + rows])
        begin += rows
    return batches
