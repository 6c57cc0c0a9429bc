"""A vocabulary and whether texts are lower-cased before it, inferred where no file says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from wellread.config import TokenizerConfig
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.vocabulary import Vocabulary

_NAMED = re.compile(r"(?<![a-z])(un)?cased(?![a-z])")  # as in "uncased_L-12_H-768_A-12"
_SPECIAL = re.compile(r"\[.*\]|<.*>")  # "[CLS]" is written in capitals everywhere


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """A tokenizer, and which of its rules no file states: rule -> value and reason."""

    tokenizer: Tokenizer
    inferred: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A conclusion and its reason."""

    do_lower_case: bool
    why: str


def read_wordpiece(directory: Path, config: TokenizerConfig, *, do_lower_case: bool | None) -> Text:
    """Load a WordPiece tokenizer; `do_lower_case` is what a file says, or None where it must be inferred.

    Raises: TextError for a vocabulary that is missing or damaged.
    """
    if do_lower_case is not None:
        return Text(tokenizer=load_tokenizer(directory, replace(config, do_lower_case=do_lower_case)))
    pieces = Vocabulary.read(directory / str(config.vocab_file), config).pieces
    case = infer_case(directory.resolve().name, pieces)
    tokenizer = load_tokenizer(directory, replace(config, do_lower_case=case.do_lower_case))
    return Text(tokenizer=tokenizer, inferred={"do_lower_case": f"{case.do_lower_case}: {case.why}"})


def infer_case(name: str, pieces: Iterable[str]) -> Case:
    """Conclude from the `name` of a model's directory, or from the pieces of its vocabulary.

    >>> infer_case("uncased_L-12_H-768_A-12", ["Paris"]).do_lower_case
    True
    >>> infer_case("bert", ["[CLS]", "the", "Paris"])
    Case(do_lower_case=False, why="the vocabulary holds 'Paris'")
    """
    if named := _NAMED.search(name.lower()):
        return Case(do_lower_case=named[1] is not None, why=f"the directory is named {named[0]}")
    upper = next((piece for piece in pieces if piece != piece.lower() and not _SPECIAL.fullmatch(piece)), None)
    if upper is not None:
        return Case(do_lower_case=False, why=f"the vocabulary holds {upper!r}")
    return Case(do_lower_case=True, why="the vocabulary holds no upper-case letter")
