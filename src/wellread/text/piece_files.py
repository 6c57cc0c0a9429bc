"""The pieces of a class of tokenizers: in tokenizer.json, in vocab.json with merges.txt, or in vocab.txt."""

from __future__ import annotations

import base64
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellread.errors import TextError
from wellread.text.tokenizer_check import check_model, model_type, parse_content, steps_of
from wellread.text.tokenizer_class import Pieces, TokenizerClass
from wellread.text.tokenizer_json import NAME
from wellread.text.vocabulary import read_bounded, read_lines

VOCABULARY, BPE_VOCABULARY, MERGES = "vocab.txt", "vocab.json", "merges.txt"


def read_pieces(directory: Path, content: Mapping[str, Any] | None, kind: TokenizerClass) -> Pieces:
    """Read the pieces of a class: from tokenizer.json, vocab.json and merges.txt, or vocab.txt."""
    if content is not None:
        model = content["model"]
        if model_type(model) == "Unigram":
            return Pieces(scores=[(piece, score) for piece, score in model["vocab"]], charsmap=charsmap_of(content))
        return Pieces(vocab=model["vocab"], merges=_merges(model.get("merges")))
    if kind.model == "BPE":
        vocab = parse_content(read_bounded(directory / BPE_VOCABULARY, "vocabulary"), source=directory / BPE_VOCABULARY)
        check_model({"type": "BPE", "vocab": vocab}, source=directory / BPE_VOCABULARY)
        return Pieces(vocab=vocab, merges=read_merges(directory / MERGES))
    if kind.model == "Unigram":
        raise TextError(
            f"the tokenizer of {directory} was to be read as {kind.name}'s; found neither {NAME} nor a SentencePiece "
            f"model (*.model); fetch one of them, or pass ignore=['tokenizer_class'] where {VOCABULARY} is WordPiece's"
        )
    lines = read_lines(directory / VOCABULARY)
    return Pieces(vocab={line: id for id, line in enumerate(lines) if line})


def _merges(merges: Any) -> list[tuple[str, str]]:
    """Return the merges of a tokenizer.json, each a list of two or, in older files, a line."""
    pairs = [tuple(merge.split(" ", 1) if isinstance(merge, str) else merge) for merge in merges or []]
    wrong = [pair for pair in pairs if len(pair) != 2 or not all(isinstance(piece, str) for piece in pair)]
    if wrong:
        raise TextError(
            f"each of {len(pairs)} merges must be of two pieces; found {reprlib.repr(wrong[0])}; fetch the file again"
        )
    return [(first, second) for first, second in pairs]


def charsmap_of(content: Mapping[str, Any]) -> bytes:
    """Return the first map of characters in the normalizer of a tokenizer.json; empty if there is none."""
    maps = (step["precompiled_charsmap"] for step in steps_of(content, "normalizer") if step["type"] == "Precompiled")
    return base64.b64decode(next(maps, ""))


def read_merges(path: Path) -> list[tuple[str, str]]:
    """Read merges.txt, two pieces a line. Raises: TextError for a file that is missing, or a line of other than two."""
    merges = []
    for number, line in enumerate(read_bounded(path, "list of merges").decode("utf-8", "replace").split("\n"), 1):
        line = line.removesuffix("\r")
        parts = line.split(" ")
        if line.startswith("#version") or not line:
            continue
        if len(parts) != 2:
            raise TextError(
                f"{path} must have two pieces a line; found {len(parts)} in line {number}: {reprlib.repr(line)}; fetch "
                "the file again"
            )
        merges.append((parts[0], parts[1]))
    return merges
