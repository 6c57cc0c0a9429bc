"""Kinds and formats of files of labelled data: what a name stands for, and what a file's ending says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from wellread.errors import DataError, nearest

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
