"""Plain files to training sentences: one deterministic list, without repetitions."""

from __future__ import annotations

import csv
import gzip
import random
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
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
    paths: Sequence[Path], *, limit: int | None = None, clauses: float = 0.0, seed: int = 0
) -> list[str]:
    """Read files, cut their texts into sentences of 4 to 90 words and drop repetitions.

    `.txt` holds a text a line, `.tsv` a column `text`; either may be gzipped. `clauses` is the share of sentences of
    which one clause of 4 words or more is taken too: short texts, of which books have few. `limit` keeps a random
    sample. The result depends on the files and `seed` alone.

    Raises: DataError for a file that is missing, of another kind, without such a column, or when nothing is left.
    """
    rng = random.Random(seed)
    found: dict[str, None] = {}
    for path in paths:
        for text in read_texts(path):
            for sentence in split_sentences(text):
                found[sentence] = None
                if rng.random() < clauses:
                    found.update(dict.fromkeys(_clause(sentence, rng)))
    sentences = list(found)
    if not sentences:
        raise DataError(
            f"sentences of {MIN_WORDS} to {MAX_WORDS} words were asked of {len(paths)} files; found none; check them"
        )
    if limit is not None and len(sentences) > limit:
        sentences = rng.sample(sentences, limit)
    return sentences


def read_texts(path: Path) -> Iterator[str]:
    """Yield the texts of one file, empty ones left out. Raises: DataError."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    if kind not in (".txt", ".tsv"):
        raise DataError(f"texts were asked of {path}; wellread reads .txt and .tsv, each also .gz; convert the file")
    try:
        with _open(path) as lines:
            for text in _column(path, lines) if kind == ".tsv" else lines:
                if text.strip():
                    yield text.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"texts were asked of {path}; it cannot be read as UTF-8: {error}; check the file") from error


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _column(path: Path, lines: Iterable[str]) -> Iterator[str]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if "text" not in (reader.fieldnames or []):
        raise DataError(
            f"a column text was asked of {path}; it has {', '.join(reader.fieldnames or ['none'])}; rename one of them"
        )
    for row in reader:
        yield row["text"] or ""


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
