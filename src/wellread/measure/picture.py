"""Score against size as a picture, for a page and for print: a point a module, with its interval and its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from wellread.errors import require_extra
from wellread.measure.placement import Box, Mark, link, place
from wellread.measure.report import Report, Row

# Two colours of Okabe and Ito's set, that all eyes tell apart; their grey values differ too, and so do the marks.
STYLES = {
    "module": {"color": "#0072B2", "bar": "#7fb8d8", "mark": "o"},
    "baseline": {"color": "#D55E00", "bar": "#eaae7f", "mark": "D"},
}
INK, PALE, GRID = "#333333", "#8c8c8c", "#e2e2e2"
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
)  # for names in Hangul
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
        save(_figure(report), *paths)


def styled() -> Any:
    """Give the settings of every picture, for as long as it is drawn. Raises: MissingExtra without matplotlib."""
    require_extra("matplotlib", extra="report")
    known = set(import_module("matplotlib.font_manager").fontManager.get_font_names())
    fonts = [name for name in FONTS if name in known]
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


def _figure(report: Report) -> Any:
    figure = new_figure(4.2)
    panel = plain(figure.subplots())
    for row in report.rows:
        _point(panel, row, report.main)
    _size_axis(panel, [row.megabytes for row in report.rows])
    panel.margins(y=0.15)
    panel.set_ylabel(f"{report.main} × 100")
    panel.set_title(
        f"{report.task}, {report.examples:,} examples of {report.source}", loc="left", color=INK, fontsize=10
    )
    _names(figure, panel, report)
    return figure


def _point(panel: Any, row: Row, main: str) -> None:
    found = row.scores[main]
    value, low, high = (100 * number for number in (found.value, found.low, found.high))
    reach = [[max(value - low, 0)], [max(high - value, 0)]]
    style = STYLES["baseline" if row.training_seconds is not None else "module"]
    panel.errorbar([row.megabytes], [value], yerr=reach, fmt="none", capsize=2.5, elinewidth=1.1, ecolor=style["bar"])
    panel.plot([row.megabytes], [value], style["mark"], color=style["color"], **MARK)


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
    made = [[step * 10.0**power for power in powers for step in some] for some in steps]
    inside = [[tick for tick in some if low <= tick <= high] for some in made]
    return next((some for some in inside if len(some) >= 4), inside[-1])


def _names(figure: Any, panel: Any, report: Report) -> None:
    """Write every name beside its point, once the axes are settled; far ones get a line."""
    canvas = import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    canvas.draw()
    texts = [figure.text(0, 0, row.name, fontsize=NAME) for row in report.rows]  # to see how large they are
    sizes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    for text in texts:
        text.remove()
    marks = [_mark(panel, row, report.main, size) for row, size in zip(report.rows, sizes, strict=True)]
    frame = panel.get_window_extent()
    boxes = place(marks, Box(*(float(side) / DOTS for side in frame.extents)))
    for row, mark, box in zip(report.rows, marks, boxes, strict=True):
        _name(panel, (row.megabytes, 100 * row.scores[report.main].value), row.name, (mark, box))


def _mark(panel: Any, row: Row, main: str, size: Any) -> Mark:
    found = row.scores[main]
    ends = [(row.megabytes, 100 * value) for value in (found.value, found.low, found.high)]
    (x, y), (_, low), (_, high) = (panel.transData.transform(ends) / DOTS).tolist()
    bar = Box(x - RADIUS, min(low, y - RADIUS) - 1, x + RADIUS, max(high, y + RADIUS) + 1)
    return Mark(x=x, y=y, width=size.width / DOTS, height=size.height / DOTS, bar=bar)


def _name(panel: Any, point: tuple[float, float], name: str, placed: tuple[Mark, Box]) -> None:
    """Write a name where it was placed, in points, so that it stands there at any resolution."""
    mark, box = placed
    at = {"xy": point, "textcoords": "offset points", "annotation_clip": False}
    x, y = link(mark, box)
    panel.annotate(name, xytext=(box.left - mark.x, box.low - mark.y), va="bottom", color=INK, fontsize=NAME, **at)
    if math.hypot(x - mark.x, y - mark.y) > FAR:
        line = {"arrowstyle": "-", "color": PALE, "linewidth": 0.7, "shrinkA": 1, "shrinkB": RADIUS}
        panel.annotate("", xytext=(x - mark.x, y - mark.y), arrowprops=line, **at)
