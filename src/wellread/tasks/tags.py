"""Tags of tokens and labels of pieces: a piece bears the label of the token that it begins; and back, with entities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import FloatArray
from wellread.errors import InputError
from wellread.tasks.characters import beginnings, locate
from wellread.tasks.classes import softmax
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer

IGNORED = -100  # the label of a piece that is not judged; what Hugging Face's collators and torch's losses call it
OUTSIDE = "O"

Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aligned:
    """The pieces of N texts and, of every token, the piece that its label is read from."""

    texts: list[str]
    spans: list[list[tuple[int, int]]]  # [N][tokens], the characters of each token
    rows: Ragged  # [N], ids without special tokens
    places: Ragged  # [N], of each token the first piece that holds some of it, from 0; -1 if none does
    begins: Ragged  # [N], of each token 1 if that piece begins in it, 0 if it begins in an earlier one or there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEntity:
    """A stretch of a text that bears a name."""

    entity: str  # its type, as PER
    text: str
    start: int  # its first character
    end: int  # the character behind its last
    score: float  # the mean probability of its tokens' tags, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """The tags of a text."""

    tags: list[str]  # one for every token
    tokens: list[tuple[int, int]]  # the characters of each token
    scores: list[float]  # the probability of each tag; 0 for a token that no piece holds, or that was cut off
    entities: list[FoundEntity]


def words(text: str) -> list[tuple[int, int]]:
    """Split a text at white space.

    >>> words(" 서울  역")
    [(1, 3), (5, 6)]
    """
    return [found.span() for found in re.finditer(r"\S+", text)]


def align(tokenizer: Tokenizer, texts: Sequence[str], spans: Sequence[Spans] | None = None) -> Aligned:
    """Tokenize N texts and find the pieces of their tokens; `spans` are the tokens' characters, words if not given.

    A token may be a word or a single character: several tokens may lie in one piece, which then belongs to the first.

    Raises: InputError for spans that leave their text, overlap or are not in order, or are not those of N texts.
    """
    located = locate(tokenizer, texts)
    tokens = [words(text) for text in located.texts] if spans is None else [list(map(tuple, row)) for row in spans]
    _check(located.texts, tokens)  # type: ignore[arg-type]
    base = beginnings(located.texts)
    counts = [len(row) for row in tokens]
    begin, limit = np.asarray([span for row in tokens for span in row], np.int64).reshape(-1, 2).T
    shift = np.repeat(base, counts)
    row_of = np.repeat(np.arange(len(tokens)), located.tokens.lengths)
    starts, limits = (side.values + base[row_of] for side in (located.starts, located.limits))
    found = _holding(starts, limits, begin + shift, limit + shift)
    there = found >= 0
    first = np.repeat(located.tokens.splits[:-1], counts)
    splits = np.cumsum([0, *counts])
    begun = there & (starts[found] >= begin + shift) if len(starts) else there
    return Aligned(
        texts=located.texts,
        spans=tokens,  # type: ignore[arg-type]
        rows=located.tokens,
        places=Ragged(values=np.where(there, found - first, -1).astype(np.int32), splits=splits),
        begins=Ragged(values=begun.astype(np.int32), splits=splits),
    )


def _check(texts: list[str], spans: list[list[tuple[int, int]]]) -> None:
    if len(texts) != len(spans):
        raise InputError(f"tokens of {len(texts)} texts were asked for; found those of {len(spans)}; match them")
    for row, (text, tokens) in enumerate(zip(texts, spans, strict=True)):
        ends = [end for span in tokens for end in span]
        if ends != sorted(ends) or (ends and (ends[0] < 0 or ends[-1] > len(text))):
            raise InputError(
                f"tokens must be spans of characters in order, inside their text; found {str(tokens)[:60]} in row "
                f"{row}, a text of {len(text)} characters; correct them"
            )


def _holding(
    starts: NDArray[np.int64], limits: NDArray[np.int64], begin: NDArray[np.int64], limit: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return, of each token, the first piece that has a character of it; -1 where there is none."""
    real = np.flatnonzero(limits > starts)
    if not len(real):
        return np.full(len(begin), -1, np.int64)
    near = np.searchsorted(limits[real], begin, side="right")
    inside = near < len(real)
    found = real[np.where(inside, near, 0)]
    return np.where(inside & (starts[found] < limit), found, -1)


def piece_labels(aligned: Aligned, labels: Sequence[Sequence[int]]) -> Ragged:
    """Turn the label of every token into labels of pieces, [N]; IGNORED for all but the first piece of a token.

    Raises: InputError for rows that have not as many labels as tokens.
    """
    counts = aligned.places.lengths
    bad = [row for row, given in enumerate(labels) if len(given) != counts[row]] if len(labels) == len(counts) else [0]
    if bad:
        raise InputError(
            f"a label for every token of {len(counts)} texts was asked for; found others in {len(bad)} of "
            f"{len(labels)} rows, the first is row {bad[0]}; match them"
        )
    made = np.full(len(aligned.rows.values), IGNORED, np.int32)
    judged = aligned.begins.values == 1
    at = np.repeat(aligned.rows.splits[:-1], counts) + aligned.places.values
    flat = np.asarray([label for row in labels for label in row], np.int32)
    made[at[judged]] = flat[judged]
    return Ragged(values=made, splits=aligned.rows.splits)


def read_tags(aligned: Aligned, row: int, logits: FloatArray, labels: Sequence[str]) -> Tagged:
    """Read the tags of a text from the logits [pieces, C] of its pieces; pieces beyond them were cut off.

    A token has the tag of its piece. Where the piece begins in an earlier token, as it may if tokens are characters,
    B-X goes on as I-X. A token that no piece holds is O, but a blank inside an entity belongs to it.
    """
    chances = softmax(np.asarray(logits))
    best = chances.argmax(-1).tolist()
    tags, scores = [], []
    for place, begins in zip(aligned.places[row].tolist(), aligned.begins[row].tolist(), strict=True):
        known = 0 <= place < len(best)
        tag = labels[best[place]] if known else OUTSIDE
        tags.append(tag if begins else inner(tag))
        scores.append(float(chances[place, best[place]]) if known else 0.0)
    text, spans = aligned.texts[row], aligned.spans[row]
    tags = _bridged(tags, [text[begin:limit].isspace() for begin, limit in spans])
    return Tagged(tags=tags, tokens=spans, scores=scores, entities=_entities(text, spans, tags, scores))


def inner(tag: str) -> str:
    """Return the tag of what goes on: I-X for B-X.

    >>> inner("B-LC"), inner("O")
    ('I-LC', 'O')
    """
    return f"I-{tag[2:]}" if tag.startswith("B-") else tag


def _bridged(tags: list[str], blank: list[bool]) -> list[str]:
    """Let blanks between a token and one that goes on with its entity belong to the entity."""
    made = list(tags)
    for place in range(len(made)):
        if blank[place] and place and made[place] == OUTSIDE:
            behind = next((tag for tag, empty in zip(tags[place:], blank[place:], strict=True) if not empty), OUTSIDE)
            if behind.startswith("I-") and inner(made[place - 1]) == behind:
                made[place] = behind
    return made


def _entities(text: str, spans: Spans, tags: list[str], scores: list[float]) -> list[FoundEntity]:
    """Join tokens to entities: B-X begins one, I-X or a tag without mark goes on with one of its type or begins one."""
    found, begin = [], 0
    for place in range(1, len(tags) + 1):
        if place < len(tags) and not tags[place].startswith("B-") and tags[place] == inner(tags[begin]):
            continue
        if tags[begin] != OUTSIDE:
            start, end = spans[begin][0], spans[place - 1][1]
            told = [score for score in scores[begin:place] if score] or [0.0]
            kind = tags[begin][2:] if tags[begin][:2] in ("B-", "I-") else tags[begin]
            found.append(
                FoundEntity(entity=kind, text=text[start:end], start=start, end=end, score=sum(told) / len(told))
            )
        begin = place
    return found
