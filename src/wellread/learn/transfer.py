"""The word table of one vocabulary made of another's.

Gee et al. 2022 (arXiv:2402.09977), fast vocabulary transfer: a new piece begins as the mean of the vectors of the old
pieces that its text is made of. What continues a word is looked for among what continues words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from wellread.text.masking import is_wordpiece, word_begins
from wellread.text.tokenizer import Tokenizer

Spelling = tuple[str, bool]  # the text of a piece, and whether it begins a word


def transferred_words(table: NDArray[np.float32], old: Tokenizer, new: Tokenizer) -> NDArray[np.float32]:
    """Make a word table [V', W] for the pieces of `new` of the table [V, W] of `old`.

    A special token takes the vector of its like; a piece that `old` cannot spell takes the mean of the table.
    """
    mean = table.mean(0)
    return np.stack([table[ids].mean(0) if ids else mean for ids in old_pieces(old, new)])


def old_pieces(old: Tokenizer, new: Tokenizer) -> list[list[int]]:
    """Return for every piece of `new` the ids of the pieces of `old` that its text is made of; none where none are."""
    spelt, wanted = spellings(old), spellings(new)
    known = {spelling: id for id, spelling in reversed([*enumerate(spelt)])}
    special = {
        ours: theirs
        for ours, theirs in zip(asdict(new.special).values(), asdict(old.special).values(), strict=True)
        if ours is not None and theirs is not None
    }
    apart = words_by_themselves(old, spelt, {text[:1] for text, _ in wanted})
    made = []
    for id, ((text, begins), row) in enumerate(zip(wanted, old.tokenize([text for text, _ in wanted]), strict=True)):
        begins = begins or text[:1] in apart
        if id in special:
            made.append([special[id]])
        elif "\N{REPLACEMENT CHARACTER}" in text:  # a part of a character
            made.append([])
        elif (text, begins) in known:
            made.append([known[text, begins]])
        else:
            ids = [int(piece) for piece in row if piece != old.special.unk]
            spelling = any(spelt[piece][0] for piece in ids)  # and not the sign of a word's beginning alone
            made.append([] if not spelling else ids if begins else continuing(ids, spelt, known))
    return made


def words_by_themselves(tokenizer: Tokenizer, spelt: list[Spelling], letters: Collection[str]) -> set[str]:
    """Return the letters that begin a word even inside one, as WordPiece reads punctuation and Chinese."""
    listed = sorted(letters)
    rows = tokenizer.tokenize([f"a{letter}" for letter in listed])
    return {letter for letter, row in zip(listed, rows, strict=True) if len(row) and spelt[row[-1]] == (letter, True)}


def continuing(ids: list[int], spelt: list[Spelling], known: Mapping[Spelling, int]) -> list[int]:
    """Return the pieces of what was read as a word as they are inside one: the first is replaced by its like."""
    first, begins = spelt[ids[0]]
    if not begins:
        return ids
    inside = known.get((first, False), ids[0])
    return [*([inside] if first else []), *ids[1:]]  # the sign of a word's beginning may be a piece of its own


def spellings(tokenizer: Tokenizer) -> list[Spelling]:
    """Return the text of every piece, without the signs of where words begin, and whether it begins a word."""
    mark = "##" if is_wordpiece(tokenizer) else ""
    texts = (tokenizer.engine.join([piece]).removeprefix(mark) for piece in tokenizer.vocabulary.pieces)
    plain = (unicodedata.normalize("NFC", text.strip()) for text in texts)
    return list(zip(plain, word_begins(tokenizer).tolist(), strict=True))
