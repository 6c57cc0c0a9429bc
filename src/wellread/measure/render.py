"""A report as a table, a page of Markdown, JSON, and a plot of score against size."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from wellread.errors import require_extra
from wellread.measure.report import Report, Row
from wellread.metrics.metrics import Interval

# Beside a point comes first, then above and below it, then the corners: (across, up), in the label's own size.
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
DISTANCES = (6, 11, 18, 28, 40, 54, 70, 90)  # from the point to the nearest side of its label
STEPS = tuple(step / 12 for step in range(13))  # where a line is looked at
COVERED, CROSSED = 10.0, 30.0  # what a unit of area and a point of a line cost; a place costs its rank
PASSES = 8  # in which every label may move, seeing where the others are


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in any unit; y grows upwards."""

    left: float
    low: float
    right: float
    high: float

    def overlap(self, other: Box) -> float:
        """Return the area that both cover.

        >>> Box(0, 0, 4, 2).overlap(Box(3, 1, 9, 9))
        1
        """
        across = min(self.right, other.right) - max(self.left, other.left)
        up = min(self.high, other.high) - max(self.low, other.low)
        return max(across, 0) * max(up, 0)

    def outside(self, other: Box) -> float:
        """Return how much of this box's area lies beyond another."""
        return (self.right - self.left) * (self.high - self.low) - self.overlap(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point with a name."""

    x: float
    y: float
    width: float  # of its label
    height: float
    bar: Box  # what the point and its error bar cover

    def label(self, across: int, up: int, distance: float) -> Box:
        """Return where the label stands in a direction of the point, at a distance from it."""
        reach = distance / math.hypot(across, up)
        left = self.x + across * (reach + self.width / 2) - self.width / 2
        low = self.y + up * (reach + self.height / 2) - self.height / 2
        return Box(left, low, left + self.width, low + self.height)


def place(marks: Sequence[Mark], frame: Box) -> list[Box]:
    """Choose the box of each mark's label inside `frame`: near its point, and free of all else where there is room.

    Each label takes the best of its places while the others stay; all take turns until none moves. No chance is in it:
    the same marks give the same boxes.
    """
    boxes = [mark.label(*DIRECTIONS[0], DISTANCES[0]) for mark in marks]
    for _ in range(PASSES):
        before = list(boxes)
        for i in range(len(marks)):
            boxes[i] = _best(i, marks, boxes, frame)
        if boxes == before:
            break
    return boxes


def link(mark: Mark, box: Box) -> tuple[float, float]:
    """Return the place on a label that is nearest to its point.

    >>> link(Mark(x=0, y=0, width=2, height=2, bar=Box(0, 0, 0, 0)), Box(5, -1, 7, 1))
    (5, 0)
    """
    return min(max(mark.x, box.left), box.right), min(max(mark.y, box.low), box.high)


def _best(i: int, marks: Sequence[Mark], boxes: Sequence[Box], frame: Box) -> Box:
    """Return the cheapest place of label `i` while all others stay."""
    others = [(mark, box) for j, (mark, box) in enumerate(zip(marks, boxes, strict=True)) if j != i]
    bars = [mark.bar for mark in marks]
    lines = [point for mark, box in others for point in _line(mark, box)]

    def cost(ranked: tuple[int, Box]) -> float:
        rank, box = ranked
        covered = sum(box.overlap(bar) for bar in bars) + sum(box.overlap(other) for _, other in others)
        ways = [*_line(marks[i], box)]
        crossed = sum(_inside(point, box) for point in lines)
        crossed += sum(_inside(point, other) for point in ways for _, other in others)
        return COVERED * (covered + box.outside(frame)) + CROSSED * crossed + rank

    places = (marks[i].label(*direction, distance) for distance in DISTANCES for direction in DIRECTIONS)
    return min(enumerate(places), key=cost)[1]


def _line(mark: Mark, box: Box) -> Iterator[tuple[float, float]]:
    """Give points of the line from a point to its label."""
    x, y = link(mark, box)
    return ((mark.x + part * (x - mark.x), mark.y + part * (y - mark.y)) for part in STEPS)


def _inside(point: tuple[float, float], box: Box) -> bool:
    return box.left < point[0] < box.right and box.low < point[1] < box.high


# Two colours of Okabe and Ito's set, that all eyes tell apart; their grey values differ too, and so do the marks.
STYLES = {
    "module": {"color": "#0072B2", "bar": "#7fb8d8", "mark": "o"},
    "baseline": {"color": "#D55E00", "bar": "#eaae7f", "mark": "D"},
}
INK, PALE, GRID = "#333333", "#8c8c8c", "#e2e2e2"
# all but the first are for names in Hangul
FONTS = ("DejaVu Sans", "Noto Sans CJK KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")
SETTINGS = {
    "svg.hashsalt": "wellread",  # so that the same report gives the same file
    "font.size": 9,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a name may have dollars in it
}
RADIUS = 4.0  # of a mark, in points
MARK: dict[str, Any] = {"markersize": 2 * RADIUS - 1, "markeredgecolor": "white", "markeredgewidth": 0.7, "zorder": 3}
NAME = 8.5  # the size of a name
FAR = 7.0  # from here on a name has a line to its point
DPI = 200
DOTS = DPI / 72  # of a point
LEAST_SPAN = 2.5  # the largest size on the axis over the smallest, at least


def draw_report(report: Report, *paths: Path) -> None:
    """Draw the main score of every row against its size; a path's ending says the kind of file.

    Raises: MissingExtra without matplotlib.
    """
    with styled():
        save(report_figure(report), *paths)


def styled() -> Any:
    """Give the settings of every picture, for as long as it is drawn. Raises: MissingExtra without matplotlib."""
    require_extra("matplotlib", extra="report")
    installed = set(import_module("matplotlib.font_manager").fontManager.get_font_names())
    fonts = [name for name in FONTS if name in installed]
    return import_module("matplotlib").rc_context({**SETTINGS, "font.family": fonts})


def save(figure: Any, *paths: Path) -> None:
    """Write a figure without the time at which it was made."""
    for path in paths:
        figure.savefig(path, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else {"Software": "wellread"})


def new_figure(height: float) -> Any:
    """Return an empty figure of the width of a page."""
    return import_module("matplotlib.figure").Figure(figsize=(6.4, height), dpi=DPI, layout="constrained")


def plain(panel: Any) -> Any:
    """Take from a panel what says nothing, and give it lines to read values off."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color=GRID, linewidth=0.7)
    panel.set_axisbelow(True)
    return panel


def report_figure(report: Report) -> Any:
    """Return the figure of the main score of every row against its size."""
    figure = new_figure(4.2)
    panel = plain(figure.subplots())
    for row in report.rows:
        value, low, high = (100 * number for number in _bounds(row.scores[report.main]))
        reach = [[max(value - low, 0)], [max(high - value, 0)]]
        style, x = STYLES["baseline" if row.training_seconds is not None else "module"], [row.megabytes]
        panel.errorbar(x, [value], yerr=reach, fmt="none", capsize=2.5, elinewidth=1.1, ecolor=style["bar"])
        panel.plot(x, [value], style["mark"], color=style["color"], **MARK)
    _size_axis(panel, [row.megabytes for row in report.rows])
    panel.margins(y=0.15)
    panel.set_ylabel(f"{report.main} × 100")
    panel.set_title(
        f"{report.task}, {report.examples:,} examples of {report.source}", loc="left", color=INK, fontsize=10
    )
    _names(figure, panel, report)
    return figure


def _bounds(score: Interval) -> tuple[float, float, float]:
    return score.value, score.low, score.high


def _size_axis(panel: Any, sizes: Sequence[float]) -> None:
    """Make a logarithmic axis of sizes, with plain numbers, wide enough for names beside the points."""
    low, high = size_range(sizes)
    panel.set_xscale("log")
    panel.set_xlim(low, high)
    ticks = import_module("matplotlib.ticker")
    panel.xaxis.set_major_locator(ticks.FixedLocator(size_ticks(low, high)))
    panel.xaxis.set_major_formatter(ticks.FuncFormatter(lambda size, _: f"{size:,.10g}"))
    panel.xaxis.set_minor_locator(ticks.NullLocator())
    panel.set_xlabel("size in MB (float32)")


def size_range(sizes: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis: room on both sides, and `LEAST_SPAN` between them however alike the sizes are.

    >>> low, high = size_range([50.0, 50.0])
    >>> round(low), round(high)
    (28, 88)
    """
    middle = math.sqrt(min(sizes) * max(sizes))
    span = max(max(sizes) / min(sizes), LEAST_SPAN) ** 1.24
    return middle / math.sqrt(span), middle * math.sqrt(span)


def size_ticks(low: float, high: float) -> list[float]:
    """Return round sizes between two: powers of ten, with halves and fifths where there are few.

    >>> size_ticks(3, 120)
    [5.0, 10.0, 20.0, 50.0, 100.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = ((1,), (1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8))
    ticks = [[step * 10.0**power for power in powers for step in some] for some in steps]
    inside = [[tick for tick in some if low <= tick <= high] for some in ticks]
    return next((some for some in inside if len(some) >= 4), inside[-1])


def _names(figure: Any, panel: Any, report: Report) -> None:
    """Write every name beside its point, once the axes are settled; far ones get a line."""
    canvas = import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    canvas.draw()
    texts = [figure.text(0, 0, row.name, fontsize=NAME) for row in report.rows]  # to see how large they are
    sizes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    for text in texts:
        text.remove()
    marks = []
    for row, size in zip(report.rows, sizes, strict=True):
        ends = [(row.megabytes, 100 * value) for value in _bounds(row.scores[report.main])]
        (x, y), (_, low), (_, high) = (panel.transData.transform(ends) / DOTS).tolist()
        bar = Box(x - RADIUS, min(low, y - RADIUS) - 1, x + RADIUS, max(high, y + RADIUS) + 1)
        marks.append(Mark(x=x, y=y, width=size.width / DOTS, height=size.height / DOTS, bar=bar))
    frame = panel.get_window_extent()
    boxes = place(marks, Box(*(float(side) / DOTS for side in frame.extents)))
    for row, mark, box in zip(report.rows, marks, boxes, strict=True):
        _name(panel, (row.megabytes, 100 * row.scores[report.main].value), row.name, (mark, box))


def _name(panel: Any, point: tuple[float, float], name: str, placed: tuple[Mark, Box]) -> None:
    """Write a name where it was placed, in points, so that it stands there at any resolution."""
    mark, box = placed
    at = {"xy": point, "textcoords": "offset points", "annotation_clip": False}
    x, y = link(mark, box)
    panel.annotate(name, xytext=(box.left - mark.x, box.low - mark.y), va="bottom", color=INK, fontsize=NAME, **at)
    if math.hypot(x - mark.x, y - mark.y) > FAR:
        line = {"arrowstyle": "-", "color": PALE, "linewidth": 0.7, "shrinkA": 1, "shrinkB": RADIUS}
        panel.annotate("", xytext=(x - mark.x, y - mark.y), arrowprops=line, **at)


PAGE, DATA, PICTURES = "report.md", "report.json", ("report.png", "report.svg")


def write_report(report: Report, directory: Path, *, pictures: bool = True) -> None:
    """Write `report.md` and `report.json` into a directory, and with `pictures` also `report.png` and `report.svg`.

    Raises: MissingExtra for pictures without matplotlib.
    """
    (directory / PAGE).write_text(page(report, picture=pictures), "utf-8")
    (directory / DATA).write_text(as_json(report), "utf-8")
    if pictures:
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


def page(report: Report, *, picture: bool = True) -> str:
    """Write the page: the table, the picture if there is one, and how both were made."""
    what = f"{report.main} against size: {report.task}, {report.examples:,} examples of {_plain(report.source)}"
    parts = [f"# {what}", as_table(report), *([f"![{what}]({PICTURES[0]})"] if picture else []), notes(report)]
    return "\n\n".join(parts) + "\n"


def notes(report: Report) -> str:
    """Say how the numbers were made."""
    precisions = ", ".join(sorted({row.precision for row in report.rows}))
    lines = [
        "Scores are times 100; 95 % is the interval of the bootstrap over the examples.",
        "MB are millions of bytes: of a module its weights in float32, of FastText its whole file.",
        f"{report.unit.capitalize()} a second ({precisions}): the median of {report.rounds} rounds in turn over "
        f"{report.speed_examples:,} examples{f', on {report.machine}' if report.machine else ''}.",
        *(
            f"{row.name} was trained in this run, in {row.training_seconds:.1f} s on one core: "
            f"{', '.join(f'{name} {value:,}' for name, value in row.settings.items())}."
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
        f"{_times_100(row.scores[main].low)} to {_times_100(row.scores[main].high)}",
        *(_times_100(row.scores[name].value) for name in others),
        f"{row.speed.rate:,.0f}",
        f"{row.speed.slowest:,.0f} to {row.speed.fastest:,.0f}",
    ]


def _times_100(score: float) -> str:
    return f"{100 * score:.2f}"


def _plain(name: str) -> str:
    """Set a name of others so that it stays in its cell.

    >>> _plain("a|b")
    'a/b'
    """
    return " ".join(name.replace("|", "/").split())
