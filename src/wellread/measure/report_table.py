"""A report as a table for people, a page of Markdown, and JSON for programs; and all its files in one directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from wellread.measure.bootstrap import Interval
from wellread.measure.picture import draw_report
from wellread.measure.report import Report, Row

PAGE, DATA, PICTURES = "report.md", "report.json", ("report.png", "report.svg")


def write_report(report: Report, directory: Path) -> None:
    """Write `report.md`, `report.json`, `report.png` and `report.svg` into a directory.

    Raises: MissingExtra without matplotlib.
    """
    (directory / PAGE).write_text(page(report), "utf-8")
    (directory / DATA).write_text(as_json(report), "utf-8")
    draw_report(report, *(directory / name for name in PICTURES))


def as_table(report: Report) -> str:
    """Write a Markdown table that is a plain one too: the first column to the left, the others to the right."""
    others = [name for name in report.rows[0].scores if name != report.main]
    header = ["name", "MB", "parameters", report.main, "95 %", *others, f"{report.unit}/s", "lowest to highest"]
    cells = [header, *(_cells(row, report.main, others) for row in report.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def page(report: Report) -> str:
    """Write the page: the table, the picture, and how both were made."""
    what = f"{report.main} against size: {report.task}, {report.examples:,} examples of {_plain(report.source)}"
    return f"# {what}\n\n{as_table(report)}\n\n![{what}]({PICTURES[0]})\n\n{notes(report)}\n"


def notes(report: Report) -> str:
    """Say how the numbers were made."""
    precisions = ", ".join(sorted({row.precision for row in report.rows}))
    lines = [
        "Scores are times 100; 95 % is the interval of the bootstrap over the examples.",
        "MB are millions of bytes: of a module its weights in float32, of FastText its whole file.",
        f"{report.unit.capitalize()} a second ({precisions}): the median of {report.rounds} rounds in turn over "
        f"{report.speed_examples:,} examples{f', on {report.machine}' if report.machine else ''}.",
        *(
            f"{row.name} was trained in this run, in {row.training_seconds:.1f} s on one core: {_told(row.settings)}."
            for row in report.rows
            if row.training_seconds is not None and row.settings is not None
        ),
    ]
    return "\n".join(f"- {line}" for line in lines)


def as_json(report: Report) -> str:
    """Write every field of a report."""
    return json.dumps(asdict(report), ensure_ascii=False, indent=1) + "\n"


def _cells(row: Row, main: str, others: Sequence[str]) -> list[str]:
    return [
        _plain(row.name),
        f"{row.megabytes:,.1f}",
        f"{row.parameters:,}",
        _times_100(row.scores[main].value),
        _bounds(row.scores[main]),
        *(_times_100(row.scores[name].value) for name in others),
        f"{row.speed.rate:,.0f}",
        f"{row.speed.slowest:,.0f} to {row.speed.fastest:,.0f}",
    ]


def _told(settings: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in settings.items())


def _times_100(score: float) -> str:
    return f"{100 * score:.2f}"


def _bounds(found: Interval) -> str:
    return f"{_times_100(found.low)} to {_times_100(found.high)}"


def _plain(name: str) -> str:
    """Set a name of others so that it stays in its cell.

    >>> _plain("a|b")
    'a/b'
    """
    return " ".join(name.replace("|", "/").split())
