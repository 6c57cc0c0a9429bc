"""A result as a table for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from benchmarks.machine import Machine

ABSENT = "-"
# field -> the key in JSON, which results have had since the first of them
JSON_KEYS = {"system": "contender", "workload": "work", "phase": "lap"}


class Result(Protocol):
    """What a benchmark returns: a dataclass with `rows`, or `sizes`."""

    @property
    def machine(self) -> Machine:
        """Where it was measured."""

    def paragraphs(self) -> list[str]:
        """Say what was done, and what came out: Markdown."""

    def derived(self) -> list[dict[str, Any]]:
        """Return, for each row, what the table derives from its fields."""


def render(result: Result) -> str:
    """Write a result as a line of what was done, a Markdown table, and a line of where."""
    machine = result.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    cpu = f"{machine.cpu}, {machine.cores} cores, {' and '.join(machine.precisions)}"
    return "\n\n".join([*result.paragraphs(), f"{cpu}; Python {machine.python}; {versions}"]) + "\n"


def as_json(result: Result) -> str:
    """Write a result as JSON: its fields, and what the table derives from them."""
    fields = asdict(result, dict_factory=lambda items: {JSON_KEYS.get(key, key): x for key, x in items})  # type: ignore[call-overload]
    for row, more in zip(fields.get("rows", fields.get("sizes")), result.derived(), strict=True):
        row |= more
    return json.dumps(fields, indent=1)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table, the first column to the left, the others to the right.

    >>> print(table(["who", "texts/s"], [["we", "1,200"], ["they", "7"]]))
    | who  | texts/s |
    | ---- | ------: |
    | we   |   1,200 |
    | they |       7 |
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        others = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return f"| {' | '.join([cells[0].ljust(widths[0]), *others])} |"

    return "\n".join(line(cells) for cells in (header, rule, *rows))


def ratio(value: float | None) -> str:
    """Write how many times as fast something is."""
    return ABSENT if value is None else f"{value:.2f}"


def mebibytes(count: int) -> str:
    """Write a size of memory."""
    return f"{count / 2**20:,.0f} MiB"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Write the lowest and the highest.

    >>> spread([2.0, 1.0, 4.0])
    '1.00 to 4.00'
    """
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"
