"""CoNLL files: a token and its tag a row, an empty line behind every sentence."""

from __future__ import annotations

from pathlib import Path

from wellread.errors import DataError
from wellread.measure.tables import Table, at, read_lines

DOCUMENT = "-DOCSTART-"  # a row of CoNLL-2003 that is no token


def read_conll(path: Path, *, comment: str = "") -> Table:
    """Read the first column as tokens and the last as tags: the columns `tokens` and `tags`, a list a sentence.

    Columns are separated by tabs if the first row has one, and by white space if not; a token of a file with tabs may
    therefore be a space. Lines that begin with `comment` are passed over, as are rows of -DOCSTART-.

    Raises: DataError for rows with another number of columns than the first (all are counted), or no row at all.
    """
    read = read_lines(path)
    rows = [(number, line) for number, line in enumerate(read, 1) if not (comment and line.startswith(comment))]
    tabs = "\t" in next((line for _, line in rows if line.strip()), "")
    split = [(number, _fields(line, tabs)) for number, line in rows]
    width = next((len(fields) for _, fields in split if fields), 0)
    bad = [bool(fields) and (len(fields) != width or width < 2 or not fields[-1]) for _, fields in split]
    if any(bad) or not width:
        _refuse(path, [number for number, _ in split], bad, max(width, 2), "tabs" if tabs else "white space")
    return _sentences(path, split)


def _fields(line: str, tabs: bool) -> list[str]:
    if not tabs:
        fields = line.split()
        return [] if fields[:1] == [DOCUMENT] else fields
    return [] if not line or line.startswith(DOCUMENT) else line.split("\t")


def _refuse(path: Path, numbers: list[int], bad: list[bool], width: int, separator: str) -> None:
    asked = f"{width} columns, a token first and a tag last, separated by {separator}, were asked of {path}"
    if not any(bad):
        raise DataError(f"{asked}; it holds no row; check the file")
    raise DataError(f"{asked}; {sum(bad)} rows are not so, {at(numbers, bad)}; mend them")


def _sentences(path: Path, rows: list[tuple[int, list[str]]]) -> Table:
    tokens: list[object] = []
    tags: list[object] = []
    lines: list[int] = []
    inside: list[list[str]] = []
    for number, fields in (*rows, (0, [])):
        if fields:
            if not inside:
                lines.append(number)
            inside.append(fields)
        elif inside:
            tokens.append([row[0] for row in inside])
            tags.append([row[-1] for row in inside])
            inside = []
    return Table(source=str(path), columns={"tokens": tokens, "tags": tags}, lines=lines)
