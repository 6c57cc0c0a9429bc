"""A report as pictures: score against size, and score against speed, each with its Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from wellread.measure.figures import DPI, INK, PALE, log_range, log_ticks, new_figure, plain, save, styled
from wellread.measure.labels import Box, Mark, link, place
from wellread.measure.report import Report

# Two colours of Okabe and Ito's set, that all eyes tell apart, and a grey; the marks differ too.
STYLES: dict[str, dict[str, Any]] = {
    "module": {"color": "#0072B2", "bar": "#7fb8d8", "mark": "o", "says": "module"},
    "baseline": {"color": "#D55E00", "bar": "#eaae7f", "mark": "D", "says": "FastText of this run"},
    "cited": {"color": "#6e6e6e", "bar": "#6e6e6e", "mark": "s", "says": "measured elsewhere"},
}
RADIUS = 4.0  # of a mark, in points
FILLED: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.7}
HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 1.1}
FRONT: dict[str, Any] = {"color": "#009E73", "linewidth": 1.1, "alpha": 0.55, "zorder": 1}
NAME = 8.5  # the size of a name
FAR = 7.0  # from here on a name has a line to its point
DOTS = DPI / 72  # of a point
SAMPLES = 24  # places on each stretch of the front that names keep away from


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What the score is drawn against."""

    label: str
    rising: bool  # whether more of it is better


AXES = {"size": Axis(label="size as shipped, MB", rising=False), "speed": Axis(label="{unit} a second", rising=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A row of the report in the picture."""

    name: str
    kind: str  # of STYLES
    x: float
    value: float  # the score, times 100
    low: float  # the ends of its interval
    high: float


def draw_report(report: Report, against: str, *paths: Path) -> None:
    """Draw the main score of every row against its "size" or "speed"; a path's ending says the kind of file.

    Raises: MissingExtra without matplotlib.
    """
    with styled():
        save(report_figure(report, against), *paths)


def points_of(report: Report, against: str) -> list[Point]:
    """Return a point for every row, and against size also for every figure that is cited."""
    points = []
    for row in report.rows:
        score = row.scores[report.main]
        point = Point(
            name=f"{row.name} (teacher)" if row.name == report.teacher else row.name,
            kind="module" if row.training_seconds is None else "baseline",
            x=row.megabytes if against == "size" else row.speed.rate,
            value=100 * score.value,
            low=100 * min(score.low, score.value),
            high=100 * max(score.high, score.value),
        )
        points.append(point)
    cited = report.cited if against == "size" else ()
    return points + [
        Point(name=row.name, kind="cited", x=row.megabytes, value=row.score, low=row.score, high=row.score)
        for row in cited
    ]


def front(points: Sequence[tuple[float, float]], *, rising: bool = False) -> list[int]:
    """Return which of the points (x, score) no other beats, from the least x on, or with `rising` from the largest.

    A point is beaten by one that scores at least as much at no more of x, or with `rising` at no less.

    >>> front([(10, 0.8), (20, 0.7), (30, 0.9)])
    [0, 2]
    >>> front([(10, 0.8), (20, 0.7), (30, 0.6), (5, 0.8)], rising=True)
    [2, 1, 0]
    """
    order = sorted(range(len(points)), key=lambda i: (-points[i][0] if rising else points[i][0], -points[i][1]))
    best, kept = -math.inf, []
    for i in order:
        if points[i][1] > best:
            best = points[i][1]
            kept.append(i)
    return kept


def report_figure(report: Report, against: str = "size") -> Any:
    """Return the figure of the main score of every row against its size or its speed."""
    points, axis = points_of(report, against), AXES[against]
    figure = new_figure(4.4)
    panel = plain(figure.subplots())
    kinds = {}
    for point in points:
        style = STYLES[point.kind]
        look = HOLLOW if point.kind == "cited" else FILLED
        if point.kind != "cited":
            reach = [[point.value - point.low], [point.high - point.value]]
            bar = {"fmt": "none", "capsize": 2.5, "elinewidth": 1.1, "ecolor": style["bar"]}
            panel.errorbar([point.x], [point.value], yerr=reach, **bar)
        size = {"markersize": 2 * RADIUS - 1, "color": style["color"], "zorder": 3, "linestyle": ""}
        kinds[style["says"]] = panel.plot([point.x], [point.value], style["mark"], **size, **look)[0]
    _log_axis(panel, [point.x for point in points], axis.label.format(unit=report.unit))
    panel.margins(y=0.15)
    panel.set_ylabel(f"{report.main} × 100")
    panel.set_title(
        f"{report.task}, {report.examples:,} examples of {report.source}", loc="left", color=INK, fontsize=10
    )
    line = _front(panel, [point for point in points if point.kind != "cited"], axis)
    kinds["Pareto front of this run"] = line
    figure.legend([*kinds.values()], [*kinds], loc="outside lower center", ncols=4, frameon=False, fontsize=NAME)
    _names(figure, panel, points, line)
    return figure


def _log_axis(panel: Any, values: Sequence[float], label: str) -> None:
    """Make a logarithmic axis with plain numbers, wide enough for names beside the points."""
    low, high = log_range(values)
    panel.set_xscale("log")
    panel.set_xlim(low, high)
    ticks = import_module("matplotlib.ticker")
    panel.xaxis.set_major_locator(ticks.FixedLocator(log_ticks(low, high)))
    panel.xaxis.set_major_formatter(ticks.FuncFormatter(lambda value, _: f"{value:,.10g}"))
    panel.xaxis.set_minor_locator(ticks.NullLocator())
    panel.set_xlabel(label)


def _front(panel: Any, points: Sequence[Point], axis: Axis) -> Any:
    """Draw the Pareto front as a staircase: what score is to be had at each size, or at each speed."""
    best = [points[i] for i in front([(point.x, point.value) for point in points], rising=axis.rising)]
    low, high = panel.get_xlim()
    xs = [*(point.x for point in best), low if axis.rising else high]
    corners = [(x, point.value) for point, after in zip(best, xs[1:], strict=True) for x in (point.x, after)]
    return panel.plot(*zip(*corners, strict=True), **FRONT)[0]


def _names(figure: Any, panel: Any, points: Sequence[Point], line: Any) -> None:
    """Write every name beside its point, once the axes are settled; far ones get a line."""
    canvas = import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    canvas.draw()
    texts = [figure.text(0, 0, point.name, fontsize=NAME) for point in points]  # to see how large they are
    sizes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    for text in texts:
        text.remove()
    marks = []
    for point, size in zip(points, sizes, strict=True):
        ends = [(point.x, value) for value in (point.value, point.low, point.high)]
        (x, y), (_, low), (_, high) = (panel.transData.transform(ends) / DOTS).tolist()
        bar = Box(x - RADIUS, min(low, y - RADIUS) - 1, x + RADIUS, max(high, y + RADIUS) + 1)
        marks.append(Mark(x=x, y=y, width=size.width / DOTS, height=size.height / DOTS, bar=bar))
    corners = panel.transData.transform(line.get_xydata()) / DOTS
    along = [np.linspace(a, b, SAMPLES) for a, b in pairwise(corners)]
    frame = Box(*(float(side) / DOTS for side in panel.get_window_extent().extents))
    boxes = place(marks, frame, [(float(x), float(y)) for part in along for x, y in part])
    for point, mark, box in zip(points, marks, boxes, strict=True):
        _name(panel, point, mark, box)


def _name(panel: Any, point: Point, mark: Mark, box: Box) -> None:
    """Write a name where it was placed, in points, so that it stands there at any resolution."""
    at = {"xy": (point.x, point.value), "textcoords": "offset points", "annotation_clip": False}
    x, y = link(mark, box)
    ink = STYLES["cited"]["color"] if point.kind == "cited" else INK
    panel.annotate(
        point.name, xytext=(box.left - mark.x, box.low - mark.y), va="bottom", color=ink, fontsize=NAME, **at
    )
    if math.hypot(x - mark.x, y - mark.y) > FAR:
        line = {"arrowstyle": "-", "color": PALE, "linewidth": 0.7, "shrinkA": 1, "shrinkB": RADIUS}
        panel.annotate("", xytext=(x - mark.x, y - mark.y), arrowprops=line, **at)
