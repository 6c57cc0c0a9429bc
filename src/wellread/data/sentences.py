"""Plain files to training sentences: one deterministic list, without repetitions."""

from __future__ import annotations

import csv
import gzip
import random
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wellread.errors import DataError

# A sentence ends at . ! or ? (and what closes a quotation) before a space and something that may begin another; in
# tokenised text, at such a mark with a space on either side.
SENTENCE_END = re.compile(r"""(?<=[.!?])["')\]]*\s+(?=["'(\[]*[A-Z0-9])|(?<=\s[.!?])\s+""")
CLAUSE_END = re.compile(r"[,;:]\s+|\s+--\s*|--")
MIN_WORDS = 4
MAX_WORDS = 90


def read_sentences(
    paths: Sequence[Path], *, limit: int = 0, clauses: float = 0.0, seed: int = 0, column: str = "text"
) -> list[str]:
    """Read files, cut their texts into sentences of 4 to 90 words and drop repetitions.

    `.txt` holds a text a line, `.tsv` a `column`; either may be gzipped. `clauses` is the share of sentences of
    which one clause of 4 words or more is taken too: short texts, of which books have few. `limit` keeps a random
    sample; 0 is all. The result depends on the files and `seed` alone.

    Raises: DataError for a file that is missing, of another kind, without such a column, or when nothing is left.
    """
    rng = random.Random(seed)
    found: dict[str, None] = {}
    for path in paths:
        for text in read_texts(path, column=column):
            for sentence in split_sentences(text):
                found[sentence] = None
                if rng.random() < clauses:
                    found.update(dict.fromkeys(_clause(sentence, rng)))
    sentences = list(found)
    if not sentences:
        raise DataError(
            f"sentences of {MIN_WORDS} to {MAX_WORDS} words were asked of {len(paths)} files; found none; check them"
        )
    if 0 < limit < len(sentences):
        sentences = rng.sample(sentences, limit)
    return sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Texts as they stand in files, and the second one of each where there are pairs."""

    texts: list[str]
    pairs: list[str] | None


def read_lines(
    paths: Sequence[Path], *, limit: int = 0, seed: int = 0, column: str = "text", pair_column: str = ""
) -> Lines:
    """Read the texts of files as they are; with `pair_column`, of .tsv files, the second text of each too.

    `limit` keeps a random sample, which depends on the files and `seed` alone; 0 is all.

    Raises: DataError, as `read_sentences`.
    """
    columns = [column, pair_column] if pair_column else [column]
    found = [row for path in paths for row in _rows(path, columns)]
    if not found:
        raise DataError(f"texts were asked of {len(paths)} files; found none; check them")
    if 0 < limit < len(found):
        found = random.Random(seed).sample(found, limit)
    return Lines(texts=[row[0] for row in found], pairs=[row[1] for row in found] if pair_column else None)


def read_texts(path: Path, *, column: str = "text") -> Iterator[str]:
    """Yield the texts of one file, empty ones left out. Raises: DataError."""
    return (row[0] for row in _rows(path, [column]))


def _rows(path: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the columns of one file, rows with an empty one left out."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    if kind not in (".txt", ".tsv"):
        raise DataError(f"texts were asked of {path}; wellread reads .txt and .tsv, each also .gz; convert the file")
    try:
        with _open(path) as lines:
            if kind == ".txt" and len(columns) > 1:
                raise DataError(
                    f"pairs were asked of {path}; a .txt holds one text a line; give a .tsv with the columns "
                    f"{', '.join(columns)}"
                )
            for row in _columns(path, lines, columns) if kind == ".tsv" else ([line] for line in lines):
                if all(text.strip() for text in row):
                    yield [text.strip() for text in row]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"texts were asked of {path}; it cannot be read as UTF-8: {error}; check the file") from error


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _columns(path: Path, lines: Iterable[str], columns: Sequence[str]) -> Iterator[list[str]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    for column in columns:
        if column not in (reader.fieldnames or []):
            raise DataError(
                f"a column {column} was asked of {path}; it has {', '.join(reader.fieldnames or ['none'])}; rename one "
                "of them, or name another"
            )
    for row in reader:
        yield [row[column] or "" for column in columns]


def split_sentences(text: str) -> list[str]:
    """Cut a text into sentences, and keep those of 4 to 90 words.

    >>> split_sentences('It was late. "Go home, all of you!" she said. Why?')
    ['"Go home, all of you!" she said.']
    """
    sentences = (" ".join(sentence.split()) for sentence in SENTENCE_END.split(text))
    return [sentence for sentence in sentences if MIN_WORDS <= sentence.count(" ") + 1 <= MAX_WORDS]


def _clause(sentence: str, rng: random.Random) -> list[str]:
    """Take one clause of a sentence that has several."""
    parts = [part.strip() for part in CLAUSE_END.split(sentence)]
    parts = [part for part in parts if part.count(" ") + 1 >= MIN_WORDS]
    return [rng.choice(parts)] if len(parts) > 1 else []
