"""Labels as numbers: which label has which id, in an order that does not depend on the rows' order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellread.errors import DataError, nearest
from wellread.measure.tables import at
from wellread.weights.strict_json import parse_object


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """C labels; the id of a label is its place."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise DataError(f"a label map takes labels that differ; found {list(self.names)}; name each once")

    @classmethod
    def of(cls, labels: Iterable[str]) -> LabelMap:
        """Take the labels that occur: by number if all are whole numbers, by letters otherwise.

        >>> LabelMap.of(["10", "9", "10"]).names
        ('9', '10')
        """
        names = sorted(set(labels))
        numeric = all(name.removeprefix("-").isdecimal() for name in names)
        return cls(names=tuple(sorted(names, key=int) if numeric else names))

    def ids(self, labels: Sequence[str], *, source: str = "the labels", lines: Sequence[int] = ()) -> NDArray[np.int64]:
        """Return the id of every label, (N,). `source` and `lines` say where they stand, for the message.

        Raises: DataError for labels that the map has not, with the first few lines and how many.

        >>> LabelMap(names=("neg", "pos")).ids(["pos", "neg"]).tolist()
        [1, 0]
        """
        places = {name: place for place, name in enumerate(self.names)}
        bad = [label not in places for label in labels]
        if any(bad):
            unknown = list(dict.fromkeys(label for label, wrong in zip(labels, bad, strict=True) if wrong))
            raise DataError(
                f"the labels {', '.join(self.names)} were asked of {source}; {sum(bad)} of {len(bad)} are others, "
                f"{at(lines or range(1, len(bad) + 1), bad)}: {', '.join(map(repr, unknown[:5]))}"
                f"{nearest(unknown[0], self.names)}; mend them, or name all labels"
            )
        return np.asarray([places[label] for label in labels], np.int64)

    def save(self, path: Path) -> None:
        """Write the map as JSON."""
        path.write_text(json.dumps({"labels": self.names}, ensure_ascii=False, indent=2) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> LabelMap:
        """Read what `save` wrote. Raises: DataError."""
        try:
            names = parse_object(path.read_bytes()).get("labels")
        except (OSError, ValueError) as error:
            raise DataError(f"a label map was asked of {path}; it cannot be read: {error}; save it anew") from error
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"a list of labels was asked of {path}; found {str(names)[:60]}; save it anew")
        return cls(names=tuple(names))
