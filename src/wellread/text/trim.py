"""A tokenizer without the pieces that nobody needs: WordPiece, BPE, Unigram and SentencePiece models, renumbered.

A text all of whose pieces stay keeps them. WordPiece takes the longest piece that fits, which is still there. Unigram
takes the best path: none is better than before, and the score of unknown characters, which the lowest score of all
pieces sets, stays because that piece does. BPE joins pieces step by step; every piece that a kept one is joined of
stays too.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import pre_tokenizers

from wellread.dataclass import dataclass
from wellread.formats.sentencepiece_model import NORMAL, UNIGRAM, keep_pieces, read_sentencepiece
from wellread.text.fast import FastEngine, from_library, parse_library
from wellread.text.sentencepiece import SPACE
from wellread.text.tokenizer import Tokenizer, load_tokenizer

MARKS = re.compile(f"^(?:##|{SPACE}|Ġ)(?=.)", re.DOTALL)  # what stands before the characters of a piece
FORMS = ("{}", "##{}", SPACE + "{}", "Ġ{}", "{}</w>")  # a piece that is one character
BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What a kind of vocabulary cannot do without."""

    always: frozenset[int]  # ids that stay in any case
    joined: Mapping[str, list[str]] = field(default_factory=dict)  # piece -> the pieces that it may be joined of
    outside: Collection[int] = ()  # ids of added tokens that are no pieces of the model: theirs follow all others


def needed(tokenizer: Tokenizer, wanted: Iterable[int], *, spelled: Iterable[int] = ()) -> NDArray[np.int64]:
    """Return the ids that a vocabulary must keep so that the `wanted` ones are found as before, in their new order.

    Beside them: special and added tokens, the alphabet of bytes, each single character of a piece that stays or is
    `spelled` (in every form that the vocabulary has of it), and what a piece of BPE is joined of.
    """
    index, pieces = tokenizer.vocabulary.index, tokenizer.vocabulary.pieces
    parts = PARTS[tokenizer.config.dialect](tokenizer)
    kept = {id for id in wanted if pieces[id]} | parts.always
    letters = {letter for id in {*kept, *spelled} - parts.always for letter in MARKS.sub("", pieces[id])}
    kept |= letter_ids(tokenizer, {SPACE, *letters})
    fresh = list(kept)
    while fresh:
        below = (index[part] for id in fresh for part in parts.joined.get(pieces[id], ()) if part in index)
        fresh = list(set(below) - kept)
        kept.update(fresh)
    return np.array(sorted(kept, key=lambda id: (id in parts.outside, id)), np.int64)


def letter_ids(tokenizer: Tokenizer, letters: Iterable[str]) -> set[int]:
    """Return the ids of the pieces that are one of `letters`, in every form that the vocabulary has."""
    index = tokenizer.vocabulary.index
    return {index[form] for letter in letters for mark in FORMS if (form := mark.format(letter)) in index}


def subset(tokenizer: Tokenizer, kept: NDArray[np.int64]) -> Tokenizer:
    """Return a tokenizer with the pieces of the ids `kept` alone, which `needed` names; they get 0, 1, 2 ..."""
    if isinstance(tokenizer.engine, FastEngine):
        return _fast_subset(tokenizer, kept)
    pieces = [tokenizer.vocabulary.pieces[id] for id in kept]
    config = replace(
        tokenizer.config,
        vocab_file=None if tokenizer.config.vocab_file is None else "vocab.txt",
        model_file=None if tokenizer.config.model_file is None else Path(tokenizer.config.model_file).name,
    )
    with tempfile.TemporaryDirectory(prefix="wellread.") as place:
        if config.model_file is not None:
            model = _smaller_model(tokenizer, set(pieces), kept)
            (Path(place) / config.model_file).write_bytes(model)
        if config.vocab_file is not None:
            (Path(place) / config.vocab_file).write_bytes("".join(f"{piece}\n" for piece in pieces).encode())
        return load_tokenizer(Path(place), config)


# -- SentencePiece --------------------------------------------------------------------------------------------------


def _smaller_model(tokenizer: Tokenizer, pieces: Collection[str], kept: NDArray[np.int64]) -> bytes:
    """Drop from a SentencePiece model what its vocabulary no longer has; what that never had stays."""
    model = tokenizer.model_bytes()
    if tokenizer.config.vocab_file is None:
        return keep_pieces(model, set(kept.tolist()))
    known = tokenizer.vocabulary.index
    stay = (piece.text in pieces or piece.text not in known for piece in read_sentencepiece(model).pieces)
    return keep_pieces(model, {id for id, stays in enumerate(stay) if stays})


def _sentencepiece_parts(tokenizer: Tokenizer) -> Parts:
    model, index = read_sentencepiece(tokenizer.model_bytes()), tokenizer.vocabulary.index
    scores = model.normal
    ends = {
        end(scores, key=scores.__getitem__) for end in (min, max) if scores
    }  # they score what is unknown, and symbols
    others = {piece.text for piece in model.pieces if piece.kind != NORMAL}
    always = {*tokenizer.special.ids, *(index[text] for text in ends | others if text in index)}
    joined = {} if model.form == UNIGRAM else {text: list(_halves(text, scores)) for text in scores}
    return Parts(always=frozenset(always), joined=joined)


def _halves(text: str, pieces: Collection[str]) -> Iterator[str]:
    """Yield the halves of a piece that are pieces themselves: SentencePiece's BPE may join it of any two."""
    for middle in range(1, len(text)):
        if text[:middle] in pieces and text[middle:] in pieces:
            yield from (text[:middle], text[middle:])


# -- the tokenizers library -----------------------------------------------------------------------------------------


def _fast_parts(tokenizer: Tokenizer) -> Parts:
    content, index = _content(tokenizer), tokenizer.vocabulary.index
    model = content["model"]
    always = {*tokenizer.special.ids, *(token["id"] for token in content["added_tokens"])}
    _renumbered(content["post_processor"], always.add)
    always |= {index[text] for text in [model.get("unk_token")] if text in index}
    joined: dict[str, list[str]] = {}
    if model["type"] == "Unigram":
        scores = [score for _, score in model["vocab"]]
        always |= {scores.index(min(scores))} | ({model["unk_id"]} if model["unk_id"] is not None else set())
    if model["type"] == "BPE":
        prefix = model["continuing_subword_prefix"] or ""
        for first, second in _merges(model):
            joined.setdefault(first + second.removeprefix(prefix), []).extend((first, second))
    if model.get("byte_fallback"):
        always |= {index[text] for text in index if BYTE_PIECE.fullmatch(text)}
    if _is_byte_level(content):
        always |= {index[letter] for letter in pre_tokenizers.ByteLevel.alphabet() if letter in index}
    ids = range(len(model["vocab"])) if model["type"] == "Unigram" else model["vocab"].values()
    return Parts(always=frozenset(always), joined=joined, outside=set(index.values()) - set(ids))


def _fast_subset(tokenizer: Tokenizer, kept: NDArray[np.int64]) -> Tokenizer:
    """Drop pieces from a `tokenizer.json`."""
    content = _content(tokenizer)
    model, numbers = content["model"], {old: new for new, old in enumerate(kept.tolist())}
    if model["type"] == "Unigram":
        model["vocab"] = [entry for id, entry in enumerate(model["vocab"]) if id in numbers]
        model["unk_id"] = numbers.get(model["unk_id"])
    else:
        model["vocab"] = {piece: numbers[id] for piece, id in model["vocab"].items() if id in numbers}
    if model["type"] == "BPE":
        prefix, vocab = model["continuing_subword_prefix"] or "", model["vocab"]
        model["merges"] = [
            [first, second]
            for first, second in _merges(model)
            if first in vocab and second in vocab and first + second.removeprefix(prefix) in vocab
        ]
    content["added_tokens"] = [{**token, "id": numbers[token["id"]]} for token in content["added_tokens"]]
    content["post_processor"] = _renumbered(content["post_processor"], numbers.__getitem__)
    library = parse_library(json.dumps(content).encode(), source="the trimmed tokenizer")
    return from_library(library, tokenizer.config, source="the trimmed tokenizer")


def _content(tokenizer: Tokenizer) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(tokenizer.model_bytes())
    return content


def _merges(model: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Yield the pairs of a BPE; older files write each as one text."""
    return (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])


def _renumbered(processor: Any, number: Callable[[int], Any]) -> Any:
    """Return a post-processor with other ids of its special tokens."""
    if isinstance(processor, list):
        return [_renumbered(each, number) for each in processor]
    if not isinstance(processor, dict):
        return processor
    changed = {key: _renumbered(value, number) for key, value in processor.items()}
    if "ids" in processor:  # of a template's special token
        return {**changed, "ids": [number(id) for id in processor["ids"]]}
    pairs = {key: [processor[key][0], number(processor[key][1])] for key in ("sep", "cls") if key in processor}
    return {**changed, **pairs}


def _is_byte_level(content: Mapping[str, Any]) -> bool:
    return any('"ByteLevel"' in json.dumps(content[part]) for part in ("normalizer", "pre_tokenizer"))


# -- what the dialects have in common -------------------------------------------------------------------------------


def _wordpiece_parts(tokenizer: Tokenizer) -> Parts:
    return Parts(always=frozenset(tokenizer.special.ids))


# dialect -> what its vocabularies cannot do without
PARTS: Mapping[str, Callable[[Tokenizer], Parts]] = {
    **{"hf": _wordpiece_parts, "tfhub": _wordpiece_parts},
    **{"spm": _sentencepiece_parts, "kobert": _sentencepiece_parts},
    "fast": _fast_parts,
}
