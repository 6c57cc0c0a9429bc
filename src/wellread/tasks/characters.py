"""Where the pieces of a text stand in it, in characters: what tags and answers are told in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer, whole

SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], np.uint32)  # none of Unicode's lies beyond


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Located:
    """The pieces of N texts and the characters starts:limits of its text that each comes from.

    White space at the ends of a piece is no part of it; a piece of nothing else has starts equal to limits. The three
    are of the same splits.
    """

    texts: list[str]  # with lone surrogates replaced, as the tokenizer reads them
    tokens: Ragged
    starts: Ragged
    limits: Ragged


def locate(tokenizer: Tokenizer, texts: Sequence[str]) -> Located:
    """Tokenize N texts, without special tokens, and find the characters of every piece."""
    tokenized = tokenizer.tokenize_with_offsets(texts)
    texts = [whole(text) for text in texts]
    joined = "".join(texts)
    base = beginnings(texts)
    # of each byte of UTF-8, and of its end, how many characters begin before it
    leads = (np.frombuffer(joined.encode(), np.uint8) & 0xC0) != 0x80
    at = np.concatenate([np.zeros(1, np.int64), np.cumsum(leads)])
    bytes_before = np.cumsum([0, *(len(text.encode()) for text in texts)])
    rows = np.repeat(np.arange(len(texts)), tokenized.tokens.lengths)
    starts, limits = (at[side.values + bytes_before[rows]] for side in (tokenized.starts, tokenized.limits))
    starts, limits = _trimmed(joined, starts, limits)
    return Located(
        texts=texts,
        tokens=tokenized.tokens,
        starts=Ragged(values=(starts - base[rows]).astype(np.int32), splits=tokenized.tokens.splits),
        limits=Ragged(values=(limits - base[rows]).astype(np.int32), splits=tokenized.tokens.splits),
    )


def beginnings(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return where each of N texts would begin if they were joined: [N].

    >>> beginnings(["ab", "", "c"]).tolist()
    [0, 2, 2]
    """
    return np.cumsum([0, *map(len, texts)])[:-1]


def _trimmed(
    text: str, starts: NDArray[np.int64], limits: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move both ends of spans inwards over white space."""
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    places = np.arange(len(codes))
    blank = np.isin(codes, SPACES)
    following = np.append(np.where(blank, len(codes), places), len(codes))
    following = np.minimum.accumulate(following[::-1])[::-1]  # of each place, the next that is not blank
    preceding = np.concatenate([[0], np.maximum.accumulate(np.where(blank, 0, places + 1))])
    starts = np.minimum(following[starts], limits)
    return starts, np.maximum(preceding[limits], starts)
