"""F1 of tagged entities, as seqeval counts them: an entity is right if its first token, last token and type are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wellread.dataclass import dataclass
from wellread.errors import DataError
from wellread.metrics.tag_scheme import TagScheme, scheme_of

FIELDS = ("right", "predicted", "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Tokens that bear a name together."""

    kind: str
    start: int  # its first token, from 0
    stop: int  # the token behind its last


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityCounts:
    """How many entities of N sentences and K types were right, were predicted and were there."""

    kinds: tuple[str, ...]  # in order of the alphabet
    counts: NDArray[np.int64]  # (N, K, 3): right, predicted, true

    def f1(self, rows: NDArray[np.int64] | slice = slice(None)) -> float:
        """Return F1 of all types together (micro), 0 to 1; 0 where there are none."""
        right, predicted, true = self.counts[rows].sum((0, 1)).tolist()
        return float(2 * right / max(predicted + true, 1))

    def precision(self, rows: NDArray[np.int64] | slice = slice(None)) -> float:
        """Return the share of the predicted entities that are right."""
        right, predicted, _ = self.counts[rows].sum((0, 1)).tolist()
        return float(right / max(predicted, 1))

    def recall(self, rows: NDArray[np.int64] | slice = slice(None)) -> float:
        """Return the share of the true entities that were found."""
        right, _, true = self.counts[rows].sum((0, 1)).tolist()
        return float(right / max(true, 1))

    def macro_f1(self, rows: NDArray[np.int64] | slice = slice(None)) -> float:
        """Return the mean F1 of the types that are true or predicted somewhere."""
        right, predicted, true = self.counts[rows].sum(0).T
        there = (predicted + true) > 0
        return float((2 * right[there] / (predicted + true)[there]).mean()) if there.any() else 0.0


def entities(tags: Sequence[str], *, strict: bool = False, scheme: TagScheme | None = None) -> list[Entity]:
    """Find the entities of one sentence of T tags of a `scheme`; where none is given, that of the tags themselves.

    I-TYPE that follows neither B-TYPE nor I-TYPE begins an entity, as in seqeval's default and conlleval; with `strict`
    it belongs to none, as in seqeval's mode `strict` with the scheme IOB2.

    Raises: DataError for tags of no known scheme.

    >>> [(found.kind, found.start, found.stop) for found in entities(["B-PS", "I-PS", "O", "I-LC"])]
    [('PS', 0, 2), ('LC', 3, 4)]
    >>> len(entities(["B-PS", "I-PS", "O", "I-LC"], strict=True))
    1
    """
    scheme = scheme or scheme_of(tags)
    spans: list[Entity] = []
    begin: int | None = None
    for position, tag in enumerate((*tags, scheme.outside)):
        if begin is not None and scheme.goes_on(tags[position - 1], tag):
            continue
        if begin is not None:
            spans.append(Entity(kind=scheme.split(tags[begin])[1], start=begin, stop=position))
        mark, _ = scheme.split(tag)
        begin = None if mark == "O" or (strict and scheme.marked and mark in ("I", "E")) else position
    return spans


def count_entities(
    true: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    strict: bool = False,
    labels: Sequence[str] = (),
) -> EntityCounts:
    """Compare the tags of N sentences; `labels` are others of their scheme.

    Raises: DataError for no sentences, different counts, or tags of no known scheme.
    """
    if len(true) != len(predicted) or not len(true):
        raise DataError(
            f"tagging F1 takes as many tagged sentences twice; found {len(true)} and {len(predicted)}; match them"
        )
    bad = [number for number, (a, b) in enumerate(zip(true, predicted, strict=True)) if len(a) != len(b)]
    if bad:
        raise DataError(
            f"tagging F1 takes a predicted tag for every token; {len(bad)} sentences differ, the first are "
            f"{', '.join(map(str, bad[:5]))} (from 0): sentence {bad[0]} has {len(true[bad[0]])} tags and "
            f"{len(predicted[bad[0]])} were predicted; match them"
        )
    scheme = scheme_of([*labels, *(tag for side in (true, predicted) for row in side for tag in row)])
    pairs = [
        (set(entities(a, strict=strict, scheme=scheme)), set(entities(b, strict=strict, scheme=scheme)))
        for a, b in zip(true, predicted, strict=True)
    ]
    kinds = sorted({entity.kind for pair in pairs for side in pair for entity in side})
    columns = {kind: index for index, kind in enumerate(kinds)}
    counts = np.zeros((len(pairs), len(kinds), len(FIELDS)), np.int64)
    for row, (gold, guess) in enumerate(pairs):
        for field, group in enumerate((gold & guess, guess, gold)):
            for entity in group:
                counts[row, columns[entity.kind], field] += 1
    return EntityCounts(kinds=tuple(kinds), counts=counts)


def tagging_f1(
    true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], *, average: str = "micro", strict: bool = False
) -> float:
    """Return F1 of the entities of N sentences, 0 to 1: `micro` over all of them, or `macro`, the mean over types.

    Source: the definition of CoNLL-2003 (Tjong Kim Sang & De Meulder), as seqeval counts it.

    Raises: DataError for another average, no sentences, different counts, or tags of another form.

    >>> tagging_f1([["B-PS", "I-PS", "O", "B-LC"]], [["B-PS", "O", "O", "B-LC"]])
    0.5
    """
    if average not in ("micro", "macro"):
        raise DataError(f"the average {average!r} was asked of tagging F1; it has micro and macro; name one of them")
    counts = count_entities(true, predicted, strict=strict)
    return counts.f1() if average == "micro" else counts.macro_f1()
