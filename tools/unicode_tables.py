"""Read the Unicode rules of TF Hub's WordPiece preprocessors off tensorflow-text and write them as two tables.

    python tools/unicode_tables.py          needs the extra `tf`; takes about a minute

`words.txt` tells which characters end a word (`space`) and which are words by themselves (`alone`). `fold.txt` tells
what becomes of a character in an uncased text: `first-last target` where a run goes to a run, `first target ...` where
one goes to several, `first-last` where they vanish. Code points are hexadecimal; Hangul is left to arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow_text
from tensorflow_text.python.ops.bert_tokenizer import BasicTokenizer

HERE = Path(__file__).parent.parent / "src" / "wellread" / "text" / "unicode"
HANGUL = range(0xAC00, 0xD7A4)
CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
CHUNK = 65536


def kinds() -> dict[int, str]:
    """Tell what each code point does between two letters, where it is no letter itself."""
    tokenizer = BasicTokenizer(lower_case=False)
    found = {}
    for part in _chunks(CODES):
        rows = tokenizer.tokenize([f"a{chr(code)}b" for code in part]).to_list()
        for code, row in zip(part, rows, strict=True):
            if len(row) > 1:
                found[code] = "space" if len(row) == 2 else "alone"
    return found


def folds() -> dict[int, tuple[int, ...]]:
    """Tell what each code point becomes in an uncased text, where it changes."""
    tokenizer = BasicTokenizer(lower_case=True)
    found = {}
    for part in _chunks([code for code in CODES if code not in HANGUL]):
        for code, folded in zip(part, tokenizer.lower_case([chr(code) for code in part]).numpy(), strict=True):
            target = tuple(map(ord, folded.decode()))
            if target != (code,):
                found[code] = target
    return found


def _chunks(codes: Sequence[int]) -> Iterator[Sequence[int]]:
    return (codes[begin : begin + CHUNK] for begin in range(0, len(codes), CHUNK))


def runs(table: dict[int, tuple[int, ...]]) -> Iterator[str]:
    """Write each run of neighbours that vanish, or that go to neighbours, as one line."""
    codes = sorted(table)
    begin = 0
    while begin < len(codes):
        first, target = codes[begin], table[codes[begin]]
        length = 1
        if len(target) < 2:
            while table.get(first + length) == tuple(code + length for code in target):
                length += 1
        yield " ".join([_span(first, length), *(f"{code:04X}" for code in target)])
        begin += length


def same(table: dict[int, str]) -> Iterator[str]:
    """Write each run of neighbours of one kind as one line."""
    codes = sorted(table)
    begin = 0
    while begin < len(codes):
        first, length = codes[begin], 1
        while table.get(first + length) == table[first]:
            length += 1
        yield f"{_span(first, length)} {table[first]}"
        begin += length


def _span(first: int, length: int) -> str:
    return f"{first:04X}" if length == 1 else f"{first:04X}-{first + length - 1:04X}"


def main() -> None:
    """Write both tables."""
    origin = f"# read off tensorflow-text {tensorflow_text.__version__} by tools/unicode_tables.py"
    for name, lines in (("words", same(kinds())), ("fold", runs(folds()))):
        (HERE / f"{name}.txt").write_text("\n".join([origin, *lines, ""]))


if __name__ == "__main__":
    main()
