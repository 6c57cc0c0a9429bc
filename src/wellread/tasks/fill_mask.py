"""Masked words of a text: the row with its masks, and the most probable tokens for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wellread.backends.backend import FloatArray
from wellread.dataclass import dataclass
from wellread.encoder.heads import MLM_INPUT
from wellread.errors import InputError
from wellread.text.masking import tokenize_with_masks
from wellread.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledMask:
    """One guess for a masked word."""

    score: float  # probability, 0 to 1
    token: int  # id of the token
    token_str: str  # the token
    sequence: str  # the text with the guess in its place


def fill_masks(
    tokenizer: Tokenizer, text: str, mlm: Callable[[Mapping[str, Any]], FloatArray], *, max_length: int, top_k: int
) -> list[list[FilledMask]]:
    """Guess each mask of a text of at most `max_length` tokens; `mlm` turns inputs into logits [1, P, V].

    Raises: InputError for a text without masks; TextError for one that is too long.
    """
    mask, template = tokenizer.config.mask_token, tokenizer.template
    mask_id = tokenizer.special.mask
    if mask is None or mask_id is None:
        raise InputError(
            f"a text with masks was to be filled; this module's vocabulary has no {mask or 'mask token'}; take "
            "one that has"
        )
    if mask not in text:
        raise InputError(f"a text with {mask} was asked for; found none in {text[:80]!r}; put one where to guess")
    row = tokenize_with_masks(tokenizer, [text], mask)[0].tolist()
    packed = template.pack([[row]], seq_length=min(len(row) + template.overhead(), max_length), on_long="error")
    positions = np.flatnonzero(packed.input_word_ids[0] == mask_id).astype(np.int32)
    return [
        best_tokens(tokenizer, row, int(position) - template.first_column, logits, top_k=top_k)
        for position, logits in zip(positions, mlm({**packed, MLM_INPUT: positions[None]})[0], strict=True)
    ]


def spelling(tokenizer: Tokenizer, id: int) -> str:
    """Return a token as a reader sees it: its text where pieces are spelt in a code of bytes, else the piece."""
    fast = tokenizer.config.dialect == "fast"
    return tokenizer.decode([id], skip_special_tokens=False) if fast else tokenizer.pieces([id])[0]


def best_tokens(
    tokenizer: Tokenizer, row: list[int], position: int, logits: FloatArray, *, top_k: int
) -> list[FilledMask]:
    """Read the logits [V] of one mask, at `position` of `row`: its `top_k` most probable tokens.

    Rows of the word table beyond the vocabulary, which many models have to be of a round size, are no tokens.
    """
    probabilities = np.exp(logits.astype(np.float64) - logits.max())
    probabilities /= probabilities.sum()
    best = np.argsort(-probabilities[: tokenizer.vocab_size], kind="stable")[:top_k].tolist()
    return [
        FilledMask(
            score=float(probabilities[id]),
            token=id,
            token_str=spelling(tokenizer, id),
            sequence=tokenizer.decode([*row[:position], id, *row[position + 1 :]], skip_special_tokens=False),
        )
        for id in best
    ]
