"""Formats of labelled data: what a name stands for, what a file's ending says, CoNLL's and SQuAD's files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from wellread.data.tables import Table, at, read_bytes, read_lines
from wellread.errors import DataError, nearest
from wellread.schema import parse_object

ROLES = ("id", "text", "pair", "label", "score", "tags", "answers")

# What a kind of file calls its columns, unless the caller names others.
KINDS: dict[str, dict[str, str]] = {
    "tsv": {"text": "text"},
    "csv": {"text": "text"},
    "jsonl": {"text": "text"},
    "parquet": {"text": "text"},
    "conll": {"text": "tokens", "tags": "tags"},
    "squad": {"id": "id", "text": "question", "pair": "context", "answers": "answers"},
}
ENDINGS = {**{f".{kind}": kind for kind in KINDS}, ".json": "squad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How a file of labelled data is read."""

    kind: str  # one of KINDS
    columns: Mapping[str, str] = field(default_factory=dict)  # keys of ROLES; goes before what KINDS says
    names: tuple[str, ...] = ()  # the columns of a file that need not have a header
    surplus: bool = False  # whether rows may have more columns than names
    labels: tuple[str, ...] = ()  # in the order of their ids; none if any will do
    joiner: str = " "  # stands between the tokens of a text that is a list
    comment: str = ""  # how lines of CoNLL begin that are passed over
    rules: str = "squad"  # by which answers are scored; one of spans.RULES
    source: str = field(default="", compare=False)  # the page that describes it

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(
                f"a file of the kind {self.kind!r} was asked for; wellread reads {', '.join(KINDS)}; name one of them"
                f"{nearest(self.kind, KINDS)}"
            )
        unknown = [role for role in self.columns if role not in ROLES]
        if unknown:
            raise DataError(
                f"columns were named for {', '.join(unknown)}; examples have {', '.join(ROLES)}; use these"
                f"{nearest(unknown[0], ROLES)}"
            )

    @property
    def roles(self) -> dict[str, str]:
        """Which column is what, with what the kind calls them where no other is named."""
        return {**KINDS[self.kind], **self.columns}


@cache
def formats() -> dict[str, Format]:
    """Return the known formats by name."""
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {name: _format(row) for name, row in rows.items()}


def _format(row: dict[str, object]) -> Format:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Format(**values)  # type: ignore[arg-type]


def known_format(name: str) -> Format:
    """Return a format by name. Raises: DataError that names the nearest.

    >>> known_format("nsmc").roles
    {'text': 'document', 'id': 'id', 'label': 'label'}
    """
    if name not in formats():
        raise DataError(
            f"the format {name!r} was asked for; wellread knows {', '.join(formats())}; name one of them"
            f"{nearest(name, formats())}"
        )
    return formats()[name]


def kind_of(path: Path) -> str:
    """Tell the kind of a file by its ending, .gz left out. Raises: DataError.

    >>> kind_of(Path("train.tsv.gz"))
    'tsv'
    """
    ending = Path(path.name.removesuffix(".gz")).suffix
    if ending not in ENDINGS:
        raise DataError(
            f"examples were asked of {path}; wellread knows files that end in {', '.join(ENDINGS)}; "
            f"name its kind, or its format{nearest(ending, ENDINGS)}"
        )
    return ENDINGS[ending]


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


def read_squad(path: Path) -> Table:
    """Read the columns `id`, `question`, `context` and `answers`, a question a row; `lines` counts questions from 1.

    Raises: DataError for a file that is not JSON in UTF-8 or of another form, or that has no question.
    """
    try:
        rows = list(_questions(parse_object(read_bytes(path).removeprefix(b"\xef\xbb\xbf"))))
    except ValueError as error:
        raise DataError(f"SQuAD's JSON was asked of {path}; it cannot be read: {error}; check the file") from None
    except (KeyError, TypeError) as error:
        raise DataError(
            "data, of paragraphs, of a context and qas, each with id, question and answers, was asked of "
            f"{path}; found another form: {type(error).__name__} {error}; convert the file to SQuAD's form"
        ) from None
    if not rows:
        raise DataError(f"questions were asked of {path}; it holds none; check the file")
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return Table(source=str(path), columns=columns, lines=range(1, len(rows) + 1))


def _questions(found: dict[str, Any]) -> Iterator[dict[str, object]]:
    for article in found["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield {
                    "id": str(question["id"]),
                    "question": question["question"],
                    "context": paragraph["context"],
                    "answers": list(question["answers"]),
                }
