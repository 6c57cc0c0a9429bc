"""The texts of files, one after another, however large they are; and the sentences that a student is trained on."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from wellread.data.formats import FilePath, Format
from wellread.data.tables import PART, format_of, no_column, read_rows, source_of
from wellread.errors import DataError

Moved = Callable[[int], None]

# A sentence ends at . ! or ? (and what closes a quotation) before a space and something that may begin another; in
# tokenised text, at such a mark with a space on either side.
SENTENCE_END = re.compile(r"""(?<=[.!?])["')\]]*\s+(?=["'(\[]*[A-Z0-9])|(?<=\s[.!?])\s+""")
CLAUSE_END = re.compile(r"[,;:]\s+|\s+--\s*|--")
KEYWORDS = {"text": "column", "pair": "pair_column"}  # what names the column of a role
MIN_WORDS = 4
MAX_WORDS = 90


def stream_texts(
    paths: Sequence[FilePath],
    *,
    column: str | None = None,
    kind: str | None = None,
    format: str | None = None,
    moved: Moved | None = None,
) -> Iterator[str]:
    """Yield the texts of files in their order, empty ones too; `-` is standard input.

    A file of lines holds a text a line. Of a table one `column` is taken: the one called text, or the only one of
    texts, where none is named. `kind` or `format` say what the files are where their endings do not. `moved` is told
    how many bytes of all files are read.

    Raises: DataError for a file that is missing, damaged, of an unclear kind, not UTF-8, or without such a column.
    """
    columns, before = {"text": column} if column else {}, 0
    for path in paths:
        form = format_of(path, format=format, kind=kind, columns=columns)
        shift = None if moved is None else lambda position, before=before: moved(before + position)
        yield from (row[0] for row in _text_rows(path, form, ("text",), shift))
        if moved is not None:
            before += Path(path).stat().st_size
            moved(before)


def total_bytes(paths: Sequence[FilePath]) -> int:
    """Return the size of all files. Raises: DataError for one that is missing."""
    missing = [str(path) for path in paths if not Path(path).is_file()]
    if missing:
        raise DataError(f"texts were asked of {len(paths)} files; found no {', '.join(missing)}; check the paths")
    return sum(Path(path).stat().st_size for path in paths)


def _text_rows(path: FilePath, form: Format, roles: Sequence[str], moved: Moved | None = None) -> Iterator[list[str]]:
    """Yield the texts of some roles of every row; null is an empty text."""
    source = source_of(path)
    rows = read_rows(path, form, texts=len(roles) == 1, moved=moved)
    first = list(islice(rows, PART))
    if first:
        column = "text" if form.kind == "txt" else text_column([row for _, row in first], form, source)
        names = [column, *(form.columns[role] for role in roles[1:])]
    for line, row in chain(first, rows):
        texts = []
        for name, role in zip(names, roles, strict=True):
            if name not in row:
                raise no_column(name, row, f"line {line} of {source}", role=KEYWORDS[role])
            value = "" if row[name] is None else row[name]
            text = form.joiner.join(map(str, value)) if isinstance(value, list) else value
            if not isinstance(text, str):
                raise DataError(
                    f"texts were asked of {source}; line {line} holds {value!r:.60}; name the column of the texts with "
                    f"{KEYWORDS[role]}="
                )
            texts.append(text)
        yield texts


def text_column(rows: Sequence[Mapping[str, object]], form: Format, source: str) -> str:
    """Choose the column of the texts: the one that `form` names, or the only one that holds words and not numbers.

    Raises: DataError for a column that is not there, or where none is named and there are several.
    """
    columns = rows[0].keys()
    name = form.roles["text"]
    if name in columns or "text" in form.columns:
        if name not in columns:
            raise no_column(name, columns, source, role="column")
        return name
    texts = [column for column in columns if any(_is_words(row.get(column)) for row in rows)]
    if len(texts) != 1:
        raise DataError(
            f"one column of texts was asked of {source}; found {len(texts)} among {', '.join(columns)}; name one with "
            "column="
        )
    return texts[0]


def _is_words(value: object) -> bool:
    """Say whether a cell holds a text that is no number."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def read_texts(path: FilePath, *, column: str | None = None, kind: str | None = None) -> Iterator[str]:
    """Yield the texts of one file, without space around them; empty ones are left out. Raises: DataError."""
    return (text.strip() for text in stream_texts([path], column=column, kind=kind) if text.strip())


def read_lines(
    paths: Sequence[FilePath],
    *,
    limit: int = 0,
    seed: int = 0,
    column: str | None = None,
    pair_column: str | None = None,
    kind: str | None = None,
) -> tuple[list[str], list[str] | None]:
    """Read the texts of files as they are and, with `pair_column`, the second text of each; rows with an empty one go.

    `limit` keeps a random sample, which depends on the files and `seed` alone; 0 is all.

    Raises: DataError, as `stream_texts`, or where nothing is left.
    """
    columns = {role: name for role, name in (("text", column), ("pair", pair_column)) if name}
    roles = ("text", "pair") if pair_column else ("text",)
    streams = (_text_rows(path, format_of(path, kind=kind, columns=columns), roles) for path in paths)
    stripped = ([text.strip() for text in row] for row in chain.from_iterable(streams))
    rows = [row for row in stripped if all(row)]
    if not rows:
        raise DataError(f"texts were asked of {len(paths)} files; found none; check them")
    if 0 < limit < len(rows):
        rows = random.Random(seed).sample(rows, limit)
    return [row[0] for row in rows], [row[1] for row in rows] if pair_column else None


def read_sentences(
    paths: Sequence[FilePath],
    *,
    limit: int = 0,
    clauses: float = 0.0,
    seed: int = 0,
    column: str | None = None,
    kind: str | None = None,
) -> list[str]:
    """Read files, cut their texts into sentences of 4 to 90 words and drop repetitions.

    `clauses` is the share of sentences of which one clause of 4 words or more is taken too: short texts, of which
    books have few. `limit` keeps a random sample; 0 is all. The result depends on the files and `seed` alone.

    Raises: DataError, as `stream_texts`, or where nothing is left.
    """
    rng = random.Random(seed)
    unique: dict[str, None] = {}  # in the order of their first occurrence
    for path in paths:
        for text in read_texts(path, column=column, kind=kind):
            for sentence in split_sentences(text):
                unique[sentence] = None
                if rng.random() < clauses:
                    parts = [part.strip() for part in CLAUSE_END.split(sentence)]
                    parts = [part for part in parts if part.count(" ") + 1 >= MIN_WORDS]
                    if len(parts) > 1:
                        unique[rng.choice(parts)] = None
    sentences = list(unique)
    if not sentences:
        raise DataError(
            f"sentences of {MIN_WORDS} to {MAX_WORDS} words were asked of {len(paths)} files; found none; check them"
        )
    return rng.sample(sentences, limit) if 0 < limit < len(sentences) else sentences


def split_sentences(text: str) -> list[str]:
    """Cut a text into sentences, and keep those of 4 to 90 words.

    >>> split_sentences('It was late. "Go home, all of you!" she said. Why?')
    ['"Go home, all of you!" she said.']
    """
    sentences = (" ".join(sentence.split()) for sentence in SENTENCE_END.split(text))
    return [sentence for sentence in sentences if MIN_WORDS <= sentence.count(" ") + 1 <= MAX_WORDS]
