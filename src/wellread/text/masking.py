"""Which tokens a masked language model has to guess, and what it sees in their places.

Three kinds: *pieces* (Devlin et al. 2018, section 3.1); *words*, all pieces of a word together (the whole-word masking
of google-research/bert); *smoothed*, rare pieces more often (Lample and Conneau 2019, and DistilBERT after it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import ConfigError, nearest
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer
from wellread.text.vocabulary import SpecialTokens

KINDS = ("pieces", "words", "smoothed")
SMOOTHING = -0.7  # the power of a piece's count: XLM's, and DistilBERT's
# SplitMix64 (Steele, Lea and Flood 2014) turns a counter into 64 bits that look random.
STRIDE, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class Rng(Protocol):
    """What draws numbers: `row_rng`, or a generator of NumPy."""

    def random(self, size: tuple[int, int, int]) -> NDArray[np.float64]:
        """Return uniform numbers in [0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masking:
    """How to mask; `masking_of` makes one for a tokenizer."""

    special: SpecialTokens  # never masked
    vocab_size: int  # V; random replacements are drawn from all of them, special ones too
    kind: str = "pieces"  # of KINDS
    rate: float = 0.15  # of a row's tokens
    mask_share: float = 0.8  # of the chosen become [MASK]
    random_share: float = 0.1  # become any piece; what is left stays as it is
    begins: NDArray[np.bool_] | None = None  # [V], for words: whether the piece begins one
    weights: NDArray[np.float64] | None = None  # [V], for smoothed: how readily the piece is chosen

    def __post_init__(self) -> None:
        """Refuse what no masking can be made of, all faults at once."""
        faults = [f"kind {self.kind!r}{nearest(self.kind, KINDS)}"] if self.kind not in KINDS else []
        if not 0 < self.rate < 1:
            faults.append(f"rate {self.rate}")
        if min(self.mask_share, self.random_share) < 0 or self.mask_share + self.random_share > 1:
            faults.append(f"mask_share {self.mask_share} and random_share {self.random_share}")
        for kind, name in (("words", "begins"), ("smoothed", "weights")):
            table = getattr(self, name)
            if self.kind == kind and (table is None or len(table) != self.vocab_size):
                faults.append(f"{name} for {0 if table is None else len(table)} of {self.vocab_size} pieces")
        if self.special.mask is None:
            faults.append("a vocabulary without a mask token")
        if faults:
            raise ConfigError(
                f"tokens were to be masked; found {'; '.join(faults)}; kind is one of {', '.join(KINDS)}, rate lies "
                "between 0 and 1, the shares are 0 or more and at most 1 together, a table has a place for every piece"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masked:
    """A batch as the model sees it, and what it has to guess."""

    input_word_ids: NDArray[np.int32]  # [B, T]
    positions: NDArray[np.int64]  # [P], in the flattened batch [B * T], ascending
    labels: NDArray[np.int32]  # [P], what stood there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowRng:
    """Uniform numbers that depend on a seed, an epoch, the number of a row and the column alone."""

    keys: NDArray[np.uint64]  # [B]

    def random(self, size: tuple[int, int, int]) -> NDArray[np.float64]:
        """Return `size` [N, B, T] numbers in [0, 1)."""
        draws, columns = (np.arange(1, n + 1, dtype=np.uint64) for n in (size[0], size[2]))
        counters = (draws[:, None, None] << np.uint64(32)) + columns
        bits = _splitmix(self.keys[:, None] + counters * STRIDE)
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def row_rng(seed: int, epoch: int, rows: NDArray[np.integer]) -> RowRng:
    """Return what draws for rows [B] of an epoch the same numbers in whatever batch they stand.

    >>> alone, together = row_rng(5, 0, np.array([7])), row_rng(5, 0, np.array([6, 7, 8]))
    >>> bool((alone.random((4, 1, 3))[:, 0] == together.random((4, 3, 9))[:, 1, :3]).all())
    True
    """
    key = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
    return RowRng(keys=_splitmix(key ^ _splitmix((rows.astype(np.uint64) + np.uint64(1)) * STRIDE)))


def _splitmix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * FIRST
    x = (x ^ (x >> np.uint64(27))) * SECOND
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def masking_of(
    tokenizer: Tokenizer, *, kind: str = "pieces", rate: float = 0.15, counts: NDArray[np.integer] | None = None
) -> Masking:
    """Return the masking of a tokenizer; `counts` [V] of its pieces in the text are for smoothed."""
    return Masking(
        special=tokenizer.special,
        vocab_size=tokenizer.vocab_size,
        kind=kind,
        rate=rate,
        begins=word_begins(tokenizer) if kind == "words" else None,
        weights=None if counts is None else np.maximum(counts, 1.0) ** SMOOTHING,
    )


def is_wordpiece(tokenizer: Tokenizer) -> bool:
    """Say whether pieces inside words begin with "##"."""
    return tokenizer.config.dialect in ("hf", "tfhub") or getattr(tokenizer.engine, "model", "") == "WordPiece"


def word_begins(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Say of every piece whether it begins a word: no "##" in WordPiece, "▁" in SentencePiece, "Ġ" in bytes."""
    pieces = tokenizer.vocabulary.pieces
    if is_wordpiece(tokenizer):
        return np.array([not piece.startswith("##") for piece in pieces])
    return np.array([piece.startswith(("▁", "Ġ")) for piece in pieces])


def tokenize_with_masks(tokenizer: Tokenizer, texts: Sequence[str], mark: str) -> Ragged:
    """Turn texts into ids, the mask token's wherever `mark` stands.

    The tokenizers library finds its mask token itself, with the spaces beside it that it takes along. Of the other
    dialects some split it like other text: they get what stands between.

    Raises: ConfigError for a vocabulary without a mask token, where a text has a mark.
    """
    marked = [mark in text for text in texts]
    if not any(marked):
        return tokenizer.tokenize(texts)
    token, id = tokenizer.config.mask_token, tokenizer.special.mask
    if token is None or id is None:
        raise ConfigError(
            f"{sum(marked)} of {len(texts)} texts with masks were to be read; found a vocabulary without a mask token; "
            "mask nothing, or take another module"
        )
    if tokenizer.config.dialect == "fast":
        return tokenizer.tokenize([text.replace(mark, token) for text in texts])
    parts = [text.split(mark) for text in texts]
    rows = iter(tokenizer.tokenize(list(chain.from_iterable(parts))))
    ids = np.array([id], np.int32)
    return Ragged.from_rows(
        [np.concatenate([next(rows), *(x for _ in row[1:] for x in (ids, next(rows)))]) for row in parts]
    )


def piece_counts(rows: Ragged, vocab_size: int) -> NDArray[np.int64]:
    """Count every piece in rows of ids: int64 [V].

    >>> piece_counts(Ragged.from_rows([[5, 6], [5]]), 7).tolist()
    [0, 0, 0, 0, 0, 2, 1]
    """
    part, counts = 1 << 20, np.zeros(vocab_size, np.int64)
    for begin in range(0, len(rows.values), part):
        counts += np.bincount(rows.values[begin : begin + part], minlength=vocab_size)
    return counts


def mask_tokens(batch: Mapping[str, NDArray[np.int32]], *, masking: Masking, rng: Rng) -> Masked:
    """Choose about `rate` of the tokens of every row, at least one, and replace them.

    Pieces and words are drawn without replacement, as many as `rate * n` asks; the last is taken with the probability
    that leaves the average over many rows at `rate`. n are the row's tokens without the special ones; for smoothed with
    them, as its sources count. XLM draws from a whole batch; here every row has a share of its own, so that, with
    `row_rng`, masks do not depend on how rows are put into batches. Special tokens and padding are never chosen; a row
    of nothing else gets no mask.

    >>> special = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)
    >>> batch = {"input_word_ids": np.array([[2, 7, 3]], np.int32), "input_mask": np.ones((1, 3), np.int32)}
    >>> masked = mask_tokens(batch, masking=Masking(special=special, vocab_size=9), rng=np.random.default_rng(1))
    >>> masked.input_word_ids.tolist(), masked.positions.tolist(), masked.labels.tolist()
    ([[2, 4, 3]], [1], [7])
    """
    ids, real = batch["input_word_ids"], batch["input_mask"] != 0
    draws = rng.random((4, *ids.shape))
    free = real & ~np.isin(ids, masking.special.ids)
    targets = masking.rate * (real if masking.kind == "smoothed" else free).sum(1)
    positions = _choose_positions(ids, free, targets, masking, draws)
    labels = ids.ravel()[positions]
    fate, other = (draws[i].ravel()[positions] for i in (1, 2))
    pieces = np.where(
        fate < masking.mask_share + masking.random_share, (other * masking.vocab_size).astype(np.int32), labels
    )
    inputs = ids.copy()
    assert masking.special.mask is not None  # or there would be no Masking
    inputs.ravel()[positions] = np.where(fate < masking.mask_share, masking.special.mask, pieces)
    return Masked(input_word_ids=inputs, positions=positions, labels=labels)


def _choose_positions(
    ids: NDArray[np.int32],
    free: NDArray[np.bool_],
    targets: NDArray[np.float64],
    masking: Masking,
    draws: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Draw units, words or single pieces, until a row has its target [B]; return the positions of their tokens.

    Units come in the order of exponential times: the first is each with the probability of its weight, and so on.
    """
    begins = free
    if masking.kind == "words" and masking.begins is not None:
        begins = free & (masking.begins[ids] | ~np.pad(free, ((0, 0), (1, 0)))[:, :-1])
    firsts = np.flatnonzero(begins)
    rows = firsts // ids.shape[1]
    unit_of = np.cumsum(begins.ravel()) - 1  # of every free position
    sizes = np.bincount(unit_of[free.ravel()], minlength=len(firsts))
    times = -np.log1p(-draws[0].ravel()[firsts])
    if masking.kind == "smoothed" and masking.weights is not None:
        times /= masking.weights[ids.ravel()[firsts]]
    order = np.lexsort((times, rows))
    before = np.cumsum(sizes[order]) - sizes[order]  # tokens of the units that come earlier
    before -= before[np.searchsorted(rows, rows)]  # in the same row; `rows` is sorted, and so is rows[order]
    enough = before + draws[3, rows, 0] * sizes[order] >= targets[rows]
    is_target = np.zeros(len(firsts), bool)
    is_target[order] = ~enough | (before == 0)
    return np.flatnonzero(free.ravel() & np.append(is_target, False)[unit_of])
