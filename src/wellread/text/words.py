"""How WordPiece tokenizers cut a text into words: tables for `str.translate`.

The pipeline of TF Hub's preprocessors is NFKC_Casefold, NFD and the removal of nonspacing marks (for uncased texts);
then control and format characters become spaces, and punctuation and ideographs words by themselves. Each step looks at
one code point at a time, so the whole is a function of the code point. (NFD may also reorder marks; the few that would
still show are in no word that a vocabulary knows.) The tables are read off tensorflow-text by tools/unicode_tables.py.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLES = Path(__file__).parent / "unicode"
MAX_BYTES = 100  # a longer word is unknown
# Words that may be over-long: of four bytes a character, 26 are. Over 100 characters, the WordPiece model refuses them.
MAYBE_LONG = re.compile("[^ ]{26,100}")


def hf_ascii_rules(*, lower_case: bool) -> dict[int, str]:
    """Return what Hugging Face's BertTokenizer makes of each ASCII character: most controls vanish.

    >>> "Well-Read".translate(hf_ascii_rules(lower_case=True)).split(" ")
    ['well', '-', 'read']
    """
    rules = {code: chr(code).lower() if lower_case else chr(code) for code in range(0x20, 0x7F)}
    rules |= {code: f" {chr(code)} " for code in rules if not chr(code).isalnum() and chr(code) != " "}
    return dict.fromkeys((*range(0x20), 0x7F), "") | {ord(space): " " for space in "\t\n\r"} | rules


class TfHubRules(dict[int, str]):
    """What TF Hub's preprocessors make of each code point; filled as code points are met.

    >>> TfHubRules(lower_case=True).cut("Voilà, ½!").split(" ")
    ['voila', ',', '', '1⁄2', '!', '']
    """

    def __init__(self, *, lower_case: bool) -> None:
        super().__init__()
        self.lower_case = lower_case

    def __missing__(self, code: int) -> str:
        folded = _folded(code) if self.lower_case else chr(code)
        self[code] = "".join(map(_spaced, folded))
        return self[code]

    def cut(self, text: str) -> str:
        """Return the words of `text` with spaces between; every character of an over-long word is replaced by NUL."""
        words = text.translate(self)
        return words if words.isascii() else MAYBE_LONG.sub(_hide_long, words)

    def sources(self, text: str) -> NDArray[np.int64]:
        """Return, for each character of `cut(text)`, the position in `text` of the character that it comes from."""
        return np.repeat(np.arange(len(text)), [len(self[code]) for code in map(ord, text)])


def _hide_long(word: re.Match[str]) -> str:
    """Make an over-long word unknown: NUL is in no word, for it has become a space."""
    return word[0] if len(word[0].encode()) <= MAX_BYTES else "\0" * len(word[0])


def _spaced(character: str) -> str:
    """Put spaces around a character that is a word, or in place of one that only ends a word."""
    if character.isascii():  # English reads no table
        kind = "" if character.isalnum() else "alone" if character.isprintable() and character != " " else "space"
    else:
        run = table("words").find(ord(character))
        kind = run.target[0] if run else ""
    return {"": character, "alone": f" {character} ", "space": " "}[kind]


def _folded(code: int) -> str:
    """Return a code point casefolded, decomposed and without marks."""
    if code < 0x80:
        return chr(code).lower()
    if 0xAC00 <= code < 0xD7A4:  # a Hangul syllable decomposes by arithmetic: Unicode Standard, section 3.12
        leading, rest = divmod(code - 0xAC00, 588)
        vowel, trailing = divmod(rest, 28)
        jamo = chr(0x1100 + leading) + chr(0x1161 + vowel)
        return jamo + chr(0x11A7 + trailing) if trailing else jamo
    run = table("fold").find(code)
    return "".join(chr(int(target, 16) + code - run.first) for target in run.target) if run else chr(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Neighbouring code points that share a rule."""

    first: int
    last: int
    target: list[str]  # what the table says of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Runs in the order of their code points."""

    firsts: list[int]
    runs: list[Run]

    def find(self, code: int) -> Run | None:
        """Return the run that holds `code`, if any."""
        position = bisect_right(self.firsts, code) - 1
        return self.runs[position] if position >= 0 and code <= self.runs[position].last else None


@cache
def table(name: str) -> Table:
    """Read a table: lines of `first-last target ...`, or `first target ...` for a single code point."""
    runs = []
    for line in (TABLES / f"{name}.txt").read_text("ascii").splitlines()[1:]:
        span, *target = line.split()
        first, _, last = span.partition("-")
        runs.append(Run(first=int(first, 16), last=int(last or first, 16), target=target))
    return Table(firsts=[run.first for run in runs], runs=runs)
