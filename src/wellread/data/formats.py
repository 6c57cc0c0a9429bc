"""Formats of files: what a name stands for, what a file's ending says, what a kind of file calls its columns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from pathlib import Path

from wellread.dataclass import dataclass
from wellread.errors import DataError, nearest

FilePath = str | os.PathLike[str]
STDIN = "-"
ROLES = ("id", "text", "pair", "label", "label_set", "score", "tags", "answers")

# What a kind of file calls its columns, unless the caller names others.
KINDS: dict[str, dict[str, str]] = {
    "txt": {"text": "text"},
    "csv": {"text": "text"},
    "tsv": {"text": "text"},
    "jsonl": {"text": "text"},
    "json": {"text": "text"},
    "pandas": {"text": "text"},
    "parquet": {"text": "text"},
    "conll": {"text": "tokens", "tags": "tags"},
    "squad": {"id": "id", "text": "question", "pair": "context", "answers": "answers"},
}
ENDINGS = {
    ".txt": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".conll": "conll",
    ".squad": "squad",
}


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
    import tomllib

    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    listed = {"names", "labels"}  # tuples of ours that TOML has as lists
    return {
        name: Format(**{key: tuple(value) if key in listed else value for key, value in row.items()})  # type: ignore[arg-type]
        for name, row in rows.items()
    }


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


def ending_of(path: FilePath) -> str:
    """Return how the name of a file ends, in lower case and without .gz.

    >>> ending_of("Train.TSV.gz")
    '.tsv'
    """
    return Path(Path(path).name.lower().removesuffix(".gz")).suffix


def kind_of(path: FilePath) -> str:
    """Tell the kind of a file by its ending, .gz left out; standard input holds lines. Raises: DataError.

    >>> kind_of("train.TSV.gz")
    'tsv'
    """
    if os.fspath(path) == STDIN:
        return "txt"
    ending = ending_of(path)
    if ending not in ENDINGS:
        raise DataError(
            f"the kind of {path} was asked of its name; wellread knows files that end in {', '.join(ENDINGS)}, all "
            f"also with .gz; name its kind with kind=, or its format with format={nearest(ending, ENDINGS)}"
        )
    return ENDINGS[ending]
