"""Texts that cannot be encoded, told from those beside them that can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from wellread.errors import WellreadError

T = TypeVar("T")


def encode_what_can_be(
    encode: Callable[[list[str]], T], texts: Sequence[str], rows: Sequence[int]
) -> Iterator[tuple[Sequence[int], T | WellreadError]]:
    """Encode the texts of some rows together; where that fails, each half by itself, and so on.

    Yields rows with what `encode` makes of their texts, or one row with what is wrong with it.

    >>> from wellread.errors import TextError
    >>> def lengths(texts):
    ...     if "" in texts:
    ...         raise TextError("a text was expected; found none; write one")
    ...     return [len(text) for text in texts]
    >>> [(rows, found) for rows, found in encode_what_can_be(lengths, ["a", "bc", "", "d"], [0, 1, 2, 3])]
    [([0, 1], [1, 2]), ([2], TextError('a text was expected; found none; write one')), ([3], [1])]
    """
    if not rows:
        return
    try:
        found: T | WellreadError = encode([texts[row] for row in rows])
    except WellreadError as error:
        found = error
    if not isinstance(found, WellreadError) or len(rows) == 1:
        yield rows, found
        return
    middle = len(rows) // 2
    yield from encode_what_can_be(encode, texts, rows[:middle])
    yield from encode_what_can_be(encode, texts, rows[middle:])
