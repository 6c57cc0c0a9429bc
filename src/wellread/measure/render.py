"""A report as a table, a page of Markdown, JSON and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from wellread.measure.cited import Cited
from wellread.measure.plot import draw_report
from wellread.measure.report import Report, Row
from wellread.metrics.metrics import Interval

PAGE, DATA = "report.md", "report.json"
PICTURES = {"size": "report.png", "speed": "report-speed.png"}  # of `plot.AXES`; each also as .svg
ELSEWHERE = "†"  # behind the name of what was measured elsewhere
NOTHING = "–"


def write_report(report: Report, directory: Path, *, pictures: bool = True) -> None:
    """Write `report.md` and `report.json` into a directory, and with `pictures` score against size and against speed.

    Raises: MissingExtra for pictures without matplotlib.
    """
    (directory / PAGE).write_text(page(report, pictures=pictures), "utf-8")
    (directory / DATA).write_text(as_json(report), "utf-8")
    for against, name in PICTURES.items() if pictures else ():
        draw_report(report, against, directory / name, (directory / name).with_suffix(".svg"))


def page(report: Report, *, pictures: bool = True) -> str:
    """Write the page: the tables, the pictures if there are any, and how all were made."""
    what = f"{report.task}, {report.examples:,} examples of {_plain(report.source)}"
    parts = [f"# {report.main} against size and speed: {what}", as_table(report)]
    parts += [f"![{report.main} against {against}: {what}]({name})" for against, name in PICTURES.items() if pictures]
    parts += [pairs_table(report)] if report.pairs else []
    return "\n\n".join([*parts, notes(report)]) + "\n"


def as_table(report: Report) -> str:
    """Write a Markdown table that is a plain one too: the first column to the left, the others to the right.

    Figures that are cited stand among the rows by their size, with a mark behind their names.
    """
    others = [name for name in report.rows[0].scores if name != report.main]
    header = ["name", "MB", "parameters", report.main, "95 %", *others, f"{report.unit}/s", "lowest to highest", "in"]
    header += [f"share of {_plain(report.teacher)}", "its speed"] if report.teacher else []
    rows = [(row.megabytes, _cells(row, report, others)) for row in report.rows]
    rows += [(row.megabytes, _cited_cells(row, len(header))) for row in report.cited]
    return aligned([header, *(cells for _, cells in sorted(rows, key=lambda row: row[0]))])


def pairs_table(report: Report) -> str:
    """Write a table of the pairs: by how much the first is better than the second, and whether that parts them."""
    header = ["first", "second", f"{report.main}, first less second", "95 %", "parts"]
    cells = [
        [
            _plain(pair.first),
            _plain(pair.second),
            f"{100 * pair.difference.value:+.2f}",
            f"{100 * pair.difference.low:+.2f} to {100 * pair.difference.high:+.2f}",
            "yes" if pair.parts else "no",
        ]
        for pair in report.pairs
    ]
    return aligned([header, *cells])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Write rows of cells, the header first, as a table of Markdown whose columns are as wide as their widest cell.

    >>> print(aligned([["name", "MB"], ["small", "5.9"]]))
    | name  |  MB |
    | ----- | --: |
    | small | 5.9 |
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def notes(report: Report) -> str:
    """Say how the numbers were made."""
    lines = [
        "Scores are times 100, and are those of modules in float32, whatever they work in; 95 % is the interval of the "
        "bootstrap over the examples.",
        "MB are millions of bytes, of all files that a module or a baseline needs, as they lie on disk.",
        f"{report.unit.capitalize()} a second: the median of {report.rounds} rounds in turn over "
        f"{report.speed_examples:,} examples{f', on {report.machine}' if report.machine else ''}; the column behind "
        "says what each computes in (pq8: 8-bit codes of a product quantiser).",
    ]
    if report.teacher:
        lines.append(
            f"The share is that of {report.teacher}'s {report.main}, times 100, with its interval; both are scored on "
            "the same draws of the examples. Its speed is a multiple of the teacher's."
        )
    if report.pairs:
        lines.append(
            "Pairs are scored on the same draws of the examples (Efron & Tibshirani 1993; Koehn 2004). Where the "
            "interval of the difference holds 0, these examples do not tell the two apart."
        )
    lines += [line for row in report.rows for line in _trained(row)]
    cited = (f"{_plain(row.name)}, {row.score:.2f}: {row.source} ({row.note})" for row in report.cited)
    lines += [f"{ELSEWHERE} was not measured here, but is cited: {row}." for row in cited]
    return "\n".join(f"- {line}" for line in lines)


def _trained(row: Row) -> Iterator[str]:
    """Say how a baseline came by its settings, and what they are."""
    if row.training_seconds is None or row.settings is None:
        return
    settings = ", ".join(f"{name} {value:,}" for name, value in row.settings.items())
    yield f"{row.name} was trained in this run, in {row.training_seconds:.1f} s on one core: {settings}."
    if row.tuned is not None:
        found = sorted(trial.accuracy for trial in row.tuned.trials if trial.accuracy is not None)
        yield (
            f"These settings are the best of {len(row.tuned.trials)} on {row.tuned.held_out:,} held-out rows of the "
            f"training file: {100 * found[-1]:.2f}, the others from {100 * found[0]:.2f} on; then all rows trained it."
        )
        if row.tuned.quantised:
            plain, again = (100 * (trial.accuracy or 0) for trial in row.tuned.quantised)
            retrained = "was" if row.tuned.retrain else "was not"
            yield (
                f"Its quantised form {retrained} trained once more after rows were cut: on the held-out rows it has "
                f"{again:.2f} with that and {plain:.2f} without."
            )


def as_json(report: Report) -> str:
    """Write every field of a report."""
    return json.dumps(asdict(report), ensure_ascii=False, indent=1) + "\n"


def _cells(row: Row, report: Report, others: Sequence[str]) -> list[str]:
    cells = [
        _plain(row.name),
        f"{row.megabytes:,.1f}",
        f"{row.parameters:,}",
        _times_100(row.scores[report.main].value),
        _ends(row.scores[report.main]),
        *(_times_100(row.scores[name].value) for name in others),
        f"{row.speed.rate:,.0f}",
        f"{row.speed.slowest:,.0f} to {row.speed.fastest:,.0f}",
        row.precision,
    ]
    if report.teacher:
        cells.append(NOTHING if row.share is None else f"{_times_100(row.share.value)} ({_ends(row.share)})")
        cells.append(NOTHING if row.speedup is None else f"x {row.speedup:,.2f}")
    return cells


def _cited_cells(row: Cited, count: int) -> list[str]:
    parameters = NOTHING if row.parameters is None else f"{row.parameters:,}"
    cells = [f"{_plain(row.name)} {ELSEWHERE}", f"{row.megabytes:,.1f}", parameters, f"{row.score:.2f}"]
    return cells + [NOTHING] * (count - len(cells))


def _times_100(score: float) -> str:
    return f"{100 * score:.2f}"


def _ends(score: Interval) -> str:
    return f"{_times_100(score.low)} to {_times_100(score.high)}"


def _plain(name: str) -> str:
    """Set a name of others so that it stays in its cell.

    >>> _plain("a|b")
    'a/b'
    """
    return " ".join(name.replace("|", "/").split())
