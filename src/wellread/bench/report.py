"""A result as a table for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from wellread.bench.contenders import BASELINES
from wellread.bench.encode import EncodeResult, Row
from wellread.bench.growth import GrowthResult
from wellread.bench.hub import WHAT, HubResult
from wellread.bench.machine import Machine
from wellread.bench.startup import StartupResult, StartupRow
from wellread.bench.tfhub import TfhubResult, TfhubRow

Result = EncodeResult | StartupResult | GrowthResult | TfhubResult | HubResult
MEBIBYTE = 1024 * 1024
NOTHING = "-"


def render(result: Result) -> str:
    """Write a result as a line of what was done, a Markdown table, and a line of where."""
    if isinstance(result, EncodeResult):
        what, header, rows = _encode(result)
    elif isinstance(result, StartupResult):
        what, header, rows = _startup(result)
    elif isinstance(result, TfhubResult):
        what, header, rows = _tfhub(result)
    elif isinstance(result, HubResult):
        what, header, rows = _hub(result)
    else:
        what, header, rows = _growth(result)
    return f"{what}\n\n{table(header, rows)}\n\n{where(result.machine)}\n"


def as_json(result: Result) -> str:
    """Write a result as JSON: its fields, and what the table derives from them."""
    made = asdict(result)
    if isinstance(result, EncodeResult):
        for row, fields in zip(result.rows, made["rows"], strict=True):
            fields["rate"] = row.measured and row.measured.rate
            fields["ratio_to"] = {baseline: result.ratio(row, baseline) for baseline in BASELINES}
    elif isinstance(result, StartupResult):
        for start, fields in zip(result.rows, made["rows"], strict=True):
            fields["median"] = start.median
    elif isinstance(result, TfhubResult):
        for one, fields in zip(result.rows, made["rows"], strict=True):
            fields["median"], fields["ratio"] = one.median, result.ratio(one)
    elif isinstance(result, HubResult):
        for lap, fields in zip(result.rows, made["rows"], strict=True):
            fields["median"], fields["ratio"] = lap.median, result.ratio(lap)
    else:
        for size, fields in zip(result.sizes, made["sizes"], strict=True):
            fields["seconds_a_text"] = size.seconds_a_text
    return json.dumps(made, indent=1)


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


def _encode(result: EncodeResult) -> tuple[str, list[str], list[list[str]]]:
    what = f"{result.model}: {result.texts:,} texts, median of {result.rounds} rounds in turn (lowest to highest)"
    ratios = [f"x {baseline}" for baseline in BASELINES]
    header = ["contender", "texts/s", "spread", *ratios, "precision", "mean cosine", "min cosine"]
    header += ["first vector", "peak", "note"]
    return what, header, [_encode_row(result, row) for row in result.rows]


def _encode_row(result: EncodeResult, row: Row) -> list[str]:
    found = row.measured
    if found is None:
        return [row.contender.name, *[NOTHING] * 9, str(row.lacks)]
    return [
        row.contender.name,
        f"{found.rate:,.1f}",
        f"{min(found.rates):,.1f} to {max(found.rates):,.1f}",
        *(_times(result.ratio(row, baseline)) for baseline in BASELINES),
        found.precision,
        f"{found.cosine_mean:.6f}",
        f"{found.cosine_min:.6f}",
        f"{found.load_seconds:.2f} s",
        _size(found.peak_bytes),
        "",
    ]


def _startup(result: StartupResult) -> tuple[str, list[str], list[list[str]]]:
    what = f"{result.model}: from the start of a process to its first vector, median of {result.rounds} rounds in turn"
    (ours,) = (row.median for row in result.rows if row.name == "wellread")
    return (
        what,
        ["program", "seconds", "spread", "x wellread", "note"],
        [_startup_row(row, ours) for row in result.rows],
    )


def _startup_row(row: StartupRow, ours: float | None) -> list[str]:
    if row.median is None:
        return [row.name, *[NOTHING] * 3, str(row.lacks)]
    spread = f"{min(row.seconds):.3f} to {max(row.seconds):.3f}"
    return [row.name, f"{row.median:.3f}", spread, _times(row.median / ours if ours else None), ""]


def _growth(result: GrowthResult) -> tuple[str, list[str], list[list[str]]]:
    what = f"{result.model}, {result.contender}: the cost of a text, median of {result.rounds} rounds"
    least = result.sizes[0].seconds_a_text
    rows = [
        [
            f"{size.texts:,}",
            f"{1000 * size.seconds_a_text:.3f}",
            _times(size.seconds_a_text / least),
            _size(size.peak_bytes),
        ]
        for size in result.sizes
    ]
    return what, ["texts", "ms a text", "x the first", "peak"], rows


def _tfhub(result: TfhubResult) -> tuple[str, list[str], list[list[str]]]:
    what = f"{result.model}: median of {result.rounds} rounds in turn (lowest to highest), x the fastest peer"
    header = ["work", "contender", "speed", "spread", "x peer", "note"]
    return what, header, [_tfhub_row(result, row) for row in result.rows]


def _tfhub_row(result: TfhubResult, row: TfhubRow) -> list[str]:
    low, high = min(row.seconds), max(row.seconds)
    if row.texts is None:
        speed, spread = f"{row.median:.2f} s", f"{low:.2f} to {high:.2f}"
    else:
        speed = f"{row.texts / row.median:,.1f} texts/s"
        spread = f"{row.texts / high:,.1f} to {row.texts / low:,.1f}"
    return [row.work, row.contender, speed, spread, _times(result.ratio(row)), row.note]


def _hub(result: HubResult) -> tuple[str, list[str], list[list[str]]]:
    file, archive, load = (f"{1000 * result.opening[kind]:.1f} ms" for kind in ("file", "archive", "load"))
    what = (
        f"a module of {result.size / 1e6:,.0f} MB from a server on this machine, median of {result.rounds} rounds in "
        f"turn; once pulled, resolved in {file} (archive {archive}), the default loaded in {load} beyond reading its "
        f"weights, {result.connections} connections"
    )
    rows = [
        [
            " ".join(WHAT[row.job]),
            f"{row.median:.2f}",
            f"{min(row.seconds):.2f} to {max(row.seconds):.2f}",
            _times(result.ratio(row)),
        ]
        for row in result.rows
    ]
    return what, ["handle and work", "seconds", "spread", "x plain"], rows


def _times(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{ratio:.2f}"


def _size(count: int) -> str:
    return f"{count / MEBIBYTE:,.0f} MiB"


def where(machine: Machine) -> str:
    """Say what the machine is, and which versions were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{machine.cpu}, {machine.cores} cores, {' and '.join(machine.precisions)}; Python {machine.python}; {versions}"
    )
