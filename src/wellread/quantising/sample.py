"""The texts that int8 is calibrated on, and those that it is measured on: the package's own, or a user's."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wellread.data.corpus import stream_texts
from wellread.encode import readable
from wellread.errors import DataError
from wellread.text.texts import as_texts, text_rows
from wellread.text.tokenizer import Tokenizer

Texts = Iterable[str] | Path | Sequence[Path]

LANGUAGES = ("en", "ko")
MOST = 1024  # texts that are used, half of them held out
FEWEST = 8
LONGEST = 2000  # characters of a text
LOOKED_AT = 1_000_000  # texts of a user that a sample is drawn from
READABLE = 0.5  # share of the tokens that must mean something for a language to be the module's


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Texts of which no two are equal."""

    calibration: list[str]  # what channel maxima, scales and roundings are chosen by
    held_out: list[str]  # what the loss is measured on
    source: str  # where they are from, in words


def sample_of(tokenizer: Tokenizer, texts: Texts | None, **reading: Any) -> Sample:
    """Draw texts of a user, or take the package's in the languages that a tokenizer reads.

    `reading` is what `stream_texts` takes. Raises: DataError where there are too few; InputError for no texts.
    """
    if texts is None:
        languages = [language for language in LANGUAGES if _reads(tokenizer, packaged(language)[:64])]
        if not languages:
            raise DataError(
                f"int8 is calibrated on texts; the package has some in {' and '.join(LANGUAGES)}, and this module's "
                "vocabulary reads neither; pass texts of its language"
            )
        mixed = [text for row in zip(*map(packaged, languages), strict=True) for text in row]
        # texts of one language stand next to each other, so that both halves have as many of each
        return _halves(mixed, len(languages), f"wellread's own in {' and '.join(languages)}")
    given: Iterable[Any] = [texts] if isinstance(texts, str | Path) else texts
    if isinstance(given, Sequence) and given and all(isinstance(text, Path) for text in given):
        source = ", ".join(path.name for path in given)
        stream: Iterable[str] = stream_texts(list(given), **reading)
    else:
        source, stream = "given in Python", as_texts(list(text_rows(given)))
    unique = list(dict.fromkeys(text[:LONGEST].strip() for text in islice(stream, LOOKED_AT) if text.strip()))
    if len(unique) < FEWEST:
        raise DataError(
            f"int8 is calibrated on texts, {FEWEST} or more that differ; found {len(unique)}; give some hundreds, or "
            "none for wellread's own"
        )
    return _halves(random.Random(0).sample(unique, min(len(unique), MOST)), 1, source)


def packaged(language: str) -> list[str]:
    """Return the 512 texts of a language; `texts/README.md` says where they come from.

    >>> len(packaged("en"))
    512
    """
    path = Path(__file__).parent / "texts" / f"{language}.txt"
    return path.read_text("utf-8").splitlines()


def _halves(texts: list[str], group: int, source: str) -> Sample:
    """Hold out every second group of texts."""
    number = np.arange(len(texts)) // group % 2
    halves = [[text for text, half in zip(texts, number, strict=True) if half == which] for which in (0, 1)]
    return Sample(calibration=halves[0], held_out=halves[1], source=source)


def _reads(tokenizer: Tokenizer, texts: list[str]) -> bool:
    """Say whether most tokens of texts are ones that a vocabulary of their language has."""
    tokens = [token for text in texts for token in readable(tokenizer, text)]
    return bool(tokens) and sum(tokens) / len(tokens) > READABLE
