"""Tags of tokens: a piece bears the label of the token that it begins; and back, with entities.

Devlin et al. 2018, section 5.3: the label of a token stands on its first piece.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import FloatArray
from wellread.config import HeadConfig
from wellread.data.examples import Examples
from wellread.dataclass import dataclass
from wellread.encode import logits_of
from wellread.errors import DataError, InputError
from wellread.metrics.entities import count_entities, entities
from wellread.metrics.tag_scheme import TagScheme, scheme_of
from wellread.tasks.characters import beginnings, locate
from wellread.tasks.classify import softmax
from wellread.tasks.task import Advance, Inputs, Predictions, Predictor, Scores, Scoring, Spans, Targets, Task, needed
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer

IGNORED = -100  # the label of a piece that is not judged; what Hugging Face's collators and torch's losses call it


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

    def __str__(self) -> str:
        return "\t".join(f"{entity.entity}={entity.text}" for entity in self.entities)


def words(text: str) -> list[tuple[int, int]]:
    """Split a text at white space.

    >>> words(" 서울  역")
    [(1, 3), (5, 6)]
    """
    return [match.span() for match in re.finditer(r"\S+", text)]


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
    pieces = _holding(starts, limits, begin + shift, limit + shift)
    there = pieces >= 0
    first = np.repeat(located.tokens.splits[:-1], counts)
    splits = np.cumsum([0, *counts])
    begins = there & (starts[pieces] >= begin + shift) if len(starts) else there
    return Aligned(
        texts=located.texts,
        spans=tokens,  # type: ignore[arg-type]
        rows=located.tokens,
        places=Ragged(values=np.where(there, pieces - first, -1).astype(np.int32), splits=splits),
        begins=Ragged(values=begins.astype(np.int32), splits=splits),
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
    pieces = real[np.where(inside, near, 0)]
    return np.where(inside & (starts[pieces] < limit), pieces, -1)


def piece_labels(aligned: Aligned, labels: Sequence[Sequence[int]]) -> Ragged:
    """Turn the label of every token into labels of pieces, [N]; IGNORED for all but the first piece of a token.

    Raises: InputError for rows that have not as many labels as tokens.
    """
    counts = aligned.places.lengths
    bad = [row for row, ids in enumerate(labels) if len(ids) != counts[row]] if len(labels) == len(counts) else [0]
    if bad:
        raise InputError(
            f"a label for every token of {len(counts)} texts was asked for; found others in {len(bad)} of "
            f"{len(labels)} rows, the first is row {bad[0]}; match them"
        )
    values = np.full(len(aligned.rows.values), IGNORED, np.int32)
    begins = aligned.begins.values == 1
    pieces = np.repeat(aligned.rows.splits[:-1], counts) + aligned.places.values
    values[pieces[begins]] = np.asarray([label for row in labels for label in row], np.int32)[begins]
    return Ragged(values=values, splits=aligned.rows.splits)


def read_tags(aligned: Aligned, row: int, logits: FloatArray, labels: Sequence[str]) -> Tagged:
    """Read the tags of a text from the logits [pieces, C] of its pieces; pieces beyond them were cut off.

    A token has the tag of its piece. Where the piece begins in an earlier token, as it may if tokens are characters,
    the token goes on with that one's entity. A token that no piece holds is in none, but a blank inside an entity
    belongs to it. Raises: DataError for labels of no known scheme.
    """
    scheme = scheme_of(labels, source="the labels of this module")
    probabilities = softmax(np.asarray(logits))
    best = probabilities.argmax(-1).tolist()
    tags: list[str] = []
    scores = []
    for piece, begins in zip(aligned.places[row].tolist(), aligned.begins[row].tolist(), strict=True):
        has_logits = 0 <= piece < len(best)
        tag = labels[best[piece]] if has_logits else scheme.outside
        if tags and not begins:
            tags[-1], tag = scheme.opened(tags[-1]), scheme.inner(tag)
        tags.append(tag)
        scores.append(float(probabilities[piece, best[piece]]) if has_logits else 0.0)
    text, spans = aligned.texts[row], aligned.spans[row]
    tags = _bridged(tags, [text[begin:limit].isspace() for begin, limit in spans], scheme)
    found = [
        FoundEntity(
            entity=entity.kind,
            text=text[spans[entity.start][0] : spans[entity.stop - 1][1]],
            start=spans[entity.start][0],
            end=spans[entity.stop - 1][1],
            score=_mean(scores[entity.start : entity.stop]),
        )
        for entity in entities(tags, scheme=scheme)
    ]
    return Tagged(tags=tags, tokens=spans, scores=scores, entities=found)


def _bridged(tags: list[str], blank: list[bool], scheme: TagScheme) -> list[str]:
    """Let blanks between a token and one that goes on with its entity belong to the entity."""
    bridged = list(tags)
    for i in range(1, len(tags)):
        if blank[i] and scheme.split(bridged[i])[0] == "O":
            behind = next((tag for tag, empty in zip(tags[i:], blank[i:], strict=True) if not empty), scheme.outside)
            if scheme.marked and scheme.goes_on(bridged[i - 1], behind):
                bridged[i] = scheme.inner(behind)
    return bridged


def _mean(scores: list[float]) -> float:
    real = [score for score in scores if score] or [0.0]  # a blank has none
    return sum(real) / len(real)


def predict(predictor: Predictor, inputs: Inputs, advance: Advance) -> Predictions:
    """Tag the tokens of N texts: those that are given, or words."""
    aligned = align(predictor.tokenizer, inputs.texts, inputs.tokens)
    tagged: list[Tagged | None] = [None] * len(inputs.texts)
    lengths, first = np.minimum(aligned.rows.lengths, predictor.packer.room), predictor.packer.template.first_column
    for rows, values in logits_of(predictor.backend, [aligned.rows], predictor.packer):
        for row, logits in zip(rows.tolist(), values, strict=True):
            tagged[row] = read_tags(aligned, row, logits[first : first + lengths[row]], predictor.head.labels)
        advance(len(rows))
    return Predictions(values=list(tagged), truncated=aligned.rows.lengths - lengths)


def targets(
    tokenizer: Tokenizer, examples: Examples, head: HeadConfig, *, max_seq_length: int, stride: int
) -> tuple[list[Ragged], Targets]:
    """Make rows of a text whose tokens' first pieces have the ids of their tags."""
    ids = {name: id for id, name in enumerate(head.labels)}
    aligned = align(tokenizer, examples.texts, examples.spans)
    return [aligned.rows], piece_labels(aligned, [[ids[tag] for tag in row] for row in examples.tags or []])


def check(examples: Examples) -> None:
    """Refuse tags of no known scheme, which could be neither read nor scored. Raises: DataError."""
    scheme_of((tag for row in examples.tags or [] for tag in row), source=examples.source)


def score(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    """Score tags by the entities that they form: F1, macro F1, precision and recall.

    Raises: DataError for predictions that are no lists of tags, or not one for every token.
    """
    rows = needed(examples, "tags")
    bare = sum(not isinstance(row, list) for row in predicted)
    if bare:
        raise DataError(f"lists of tags were asked of the predictions; {bare} of {len(predicted)} are none; mend them")
    true, tags = ([list(map(str, row)) for row in side] for side in (rows, predicted))  # type: ignore[arg-type]
    counts = count_entities(true, tags, labels=scoring.labels)
    return {"f1": counts.f1, "macro_f1": counts.macro_f1, "precision": counts.precision, "recall": counts.recall}


TAG = Task(
    name="tag",
    head="tag",
    takes_pairs="no",
    columns=("tags", "spans"),
    target="tags",
    targets=targets,
    loss="cross_entropy",
    predict=predict,
    scored=lambda prediction: prediction.tags,
    score=score,
    main_score="f1",
    summary="a label for each word of a text",
    pipeline="token-classification",
    usage='["A text.", "Another."]',
    check=check,
    takes_tokens=True,
)
