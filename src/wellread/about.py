"""What people know of a module and its files do not tell: its licence, the texts that it learnt from, its scores."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellread.dataclass import dataclass
from wellread.errors import ConfigError
from wellread.schema import as_dict, record

ABOUT = "about"  # its place in a module's provenance
MADE_OF_ANOTHER = ("wellread trim", "wellread quantise")  # what these make is still what it was made of


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSource:
    """Texts that a module learnt from."""

    name: str  # of the file or the data set
    licence: str
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A score, and the interval that it lies in with 95 %."""

    name: str  # what was measured, and on what
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Write it as a card does."""
        known = self.low is not None and self.high is not None
        return f"{self.value:g} [{self.low:g}, {self.high:g}]" if known else f"{self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What people know of a module; of what is left out the card says nothing."""

    title: str = ""
    licence: str = ""  # an SPDX identifier, such as apache-2.0
    languages: tuple[str, ...] = ()  # BCP 47 tags
    texts: tuple[TextSource, ...] = ()
    scores: tuple[Measured, ...] = ()
    notes: str = ""  # Markdown


def read_about(path: Path) -> About:
    """Read a TOML file of what people know of a module.

    Raises: ConfigError for what is no TOML, or names keys that there are not.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"what is known of a module was asked of {path}; it is no TOML file: {error}; check it"
        ) from None
    return record(About, data, source=path)


def as_provenance(about: About) -> dict[str, Any]:
    """Return what a module's provenance holds of it, as JSON would give it back.

    >>> as_provenance(About(languages=("ko",)))["about"]["languages"]
    ['ko']
    """
    return {ABOUT: json.loads(json.dumps(as_dict(about)))}


def noted(provenance: Mapping[str, Any], key: str) -> Any:
    """Return what a provenance, or that of the module which it was trimmed or quantised from, notes; None: nothing.

    >>> noted({"made_by": "wellread trim", "from": {"columns": {"text": "document"}}}, "columns")
    {'text': 'document'}
    """
    while key not in provenance and provenance.get("made_by") in MADE_OF_ANOTHER:
        provenance = provenance["from"]
    return provenance.get(key)


def about_of(provenance: Mapping[str, Any]) -> About:
    """Return what people know of a module, as its provenance notes it."""
    known = noted(provenance, ABOUT)
    return record(About, known, source="the module's provenance") if isinstance(known, Mapping) else About()
