"""Published figures of others, read from a file: a report shows them beside its own, marked as measured elsewhere."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from wellread.errors import ConfigError, DataError
from wellread.schema import record


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A figure that someone published."""

    name: str
    megabytes: float
    score: float  # the report's main score, times 100
    source: str  # the page that it stands on
    note: str  # on what it was measured, and whatever else is not as in the report
    parameters: int | None = None  # where the source says

    def __post_init__(self) -> None:
        """Refuse what no table could show."""
        bad = [name for name in ("name", "source", "note") if not getattr(self, name).strip()]
        bad += [name for name in ("megabytes", "score") if not 0 < getattr(self, name) < float("inf")]
        bad += ["parameters"] if self.parameters is not None and self.parameters < 1 else []
        bad += ["score"] if self.score > 100 else []
        if bad:
            raise ConfigError(
                f"a cited figure has a name, a source and a note, megabytes above 0 and a score from 0 to 100; found "
                f"another {' and '.join(dict.fromkeys(bad))} of {self.name!r}; correct it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CitedFile:
    """What such a file holds."""

    cited: tuple[Cited, ...]


def read_cited(path: Path) -> tuple[Cited, ...]:
    """Read a TOML file of tables [[cited]]: name, megabytes, score (times 100), source, note, and parameters if known.

    Raises: DataError for a file that cannot be read, is no TOML, or names a figure twice; ConfigError for other keys or
    values.
    """
    try:
        data = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cited figures were asked of {path}; it cannot be read: {error}; check the file") from error
    rows = record(CitedFile, data, source=path).cited
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"cited figures have names of their own; {path} has {', '.join(twice)} twice; tell them apart")
    return rows
