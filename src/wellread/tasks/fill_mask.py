"""Masked words of a text: the row with its masks, and the most probable tokens for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellread.backends.backend import FloatArray
from wellread.errors import InputError
from wellread.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledMask:
    """One guess for a masked word."""

    score: float  # probability, 0 to 1
    token: int  # id of the token
    token_str: str  # the token
    sequence: str  # the text with the guess in its place


def masked_row(tokenizer: Tokenizer, text: str) -> list[int]:
    """Turn a text with mask tokens into ids. Raises: InputError for one without."""
    mask = tokenizer.config.mask_token
    parts = tokenizer.tokenize(text.split(mask))
    if len(parts) == 1:
        raise InputError(f"a text with {mask} was asked for; found none in {text[:80]!r}; put one where to guess")
    return [id for i, part in enumerate(parts) for id in ([tokenizer.special.mask] if i else []) + part.tolist()]


def best_tokens(
    tokenizer: Tokenizer, row: list[int], position: int, logits: FloatArray, *, top_k: int
) -> list[FilledMask]:
    """Read the logits [V] of one mask, at `position` of `row`: its `top_k` most probable tokens."""
    probabilities = np.exp(logits.astype(np.float64) - logits.max())
    probabilities /= probabilities.sum()
    best = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
    return [
        FilledMask(
            score=float(probabilities[id]),
            token=id,
            token_str=tokenizer.pieces([id])[0],
            sequence=tokenizer.decode([*row[:position], id, *row[position + 1 :]], skip_special_tokens=False),
        )
        for id in best
    ]
