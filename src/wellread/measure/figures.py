"""What every picture looks like: its colours, fonts and files, and round numbers on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from wellread.errors import require_extra

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
DPI = 200
LEAST_SPAN = 2.5  # the largest number on a logarithmic axis over the smallest, at least


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


def log_range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis: room on both sides, and `LEAST_SPAN` between them however alike the values are.

    >>> low, high = log_range([50.0, 50.0])
    >>> round(low), round(high)
    (27, 92)
    """
    middle = math.sqrt(min(values) * max(values))
    span = max(max(values) / min(values), LEAST_SPAN) ** 1.34
    return middle / math.sqrt(span), middle * math.sqrt(span)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two: powers of ten, with halves and fifths where there are few.

    >>> log_ticks(3, 120)
    [5.0, 10.0, 20.0, 50.0, 100.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = ((1,), (1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8))
    ticks = [[step * 10.0**power for power in powers for step in some] for some in steps]
    inside = [[tick for tick in some if low <= tick <= high] for some in ticks]
    return next((some for some in inside if len(some) >= 4), inside[-1])
