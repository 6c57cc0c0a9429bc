"""Several runs in one picture: their losses and scores against steps and against tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from wellread.errors import DataError
from wellread.learn.log import LOG, read_log
from wellread.measure.render import new_figure, plain, save, styled

FILES = ("curves.png", "curves.svg")
# Okabe and Ito's colours, with dashes beside them for those who see or print none.
LINES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"), ("#56B4E9", (0, (5, 1, 1, 1, 1, 1))))
Line = Mapping[str, Any]


def is_run(directory: Path) -> bool:
    """Say whether a training run left its log in a directory."""
    return (directory / LOG).is_file()


def read_run(directory: Path) -> list[dict[str, Any]]:
    """Read the log of a run. Raises: DataError for one that says nothing, or that is no log."""
    try:
        log = read_log(directory / LOG)
        losses = sum("loss" in line for line in log)
        tokens_at(log)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"a run's log was asked of {directory / LOG}; {error!r}; name another run") from error
    if not losses:
        raise DataError(
            f"curves were asked of {directory / LOG}; found {len(log)} lines and no loss among them; wait for the "
            "run's first steps, or name another run"
        )
    return log


def tokens_at(log: Sequence[Line]) -> tuple[list[int], list[float]]:
    """Return the logged steps, and how many tokens the run had seen after each.

    A log holds the tokens of some steps alone; those between two lines count as many as the later of the two.

    >>> tokens_at([{"step": 2, "loss": 1.0, "tokens": 10}, {"step": 3, "loss": 0.9, "tokens": 7}])
    ([2, 3], [20.0, 27.0])
    """
    lines = [(int(line["step"]), int(line["tokens"])) for line in log if "loss" in line]
    gaps = np.diff([0, *(step for step, _ in lines)])
    seen = np.cumsum([gap * tokens for gap, (_, tokens) in zip(gaps, lines, strict=True)])
    return [step for step, _ in lines], [float(count) for count in seen]


def points_of(log: Sequence[Line]) -> dict[str, list[tuple[int, float]]]:
    """Return the points of the loss and of every score, by name.

    >>> points_of([{"step": 1, "loss": 0.5, "learning_rate": 0.1}, {"step": 1, "scores": {"f1": 0.9}}])
    {'loss': [(1, 0.5)], 'f1': [(1, 0.9)]}
    """
    found: dict[str, list[tuple[int, float]]] = {"loss": []}
    for line in log:
        for name, value in (line.get("scores") or {"loss": line["loss"]}).items():
            found.setdefault(name, []).append((line["step"], value))
    return found


def draw_runs(runs: Mapping[str, Sequence[Line]], directory: Path) -> None:
    """Draw the curves of all runs, by their names, as `curves.png` and `curves.svg` in a directory.

    Raises: MissingExtra without matplotlib.
    """
    with styled():
        save(_figure(runs), *(directory / name for name in FILES))


def _figure(runs: Mapping[str, Sequence[Line]]) -> Any:
    names = list(dict.fromkeys(name for log in runs.values() for name in points_of(log)))
    figure = new_figure(1.0 + 1.9 * len(names))
    panels = figure.subplots(len(names), 2, sharex="col", sharey="row", squeeze=False)
    for curve, row in zip(names, panels, strict=True):
        row[0].set_ylabel(curve.replace("_", " "))
        for panel in row:
            plain(panel)
    drawn = [_draw(panels, names, log, *line) for log, line in zip(runs.values(), cycle(LINES), strict=False)]
    figure.align_ylabels()
    panels[-1][0].set_xlabel("step")
    panels[-1][1].set_xlabel("tokens, millions")
    figure.legend(drawn, list(runs), loc="outside upper left", ncols=3, frameon=False)
    return figure


def _draw(panels: Any, names: Sequence[str], log: Sequence[Line], color: str, dashes: Any) -> Any:
    """Draw one run into all panels, and return one of its lines for the legend."""
    found, (steps, seen) = points_of(log), tokens_at(log)
    for curve, row in zip(names, panels, strict=True):
        points = found.get(curve, [])
        style = {"color": color, "linestyle": dashes, "linewidth": 1.3, "marker": "" if len(points) > 40 else "."}
        at = [step for step, _ in points]
        values = [value for _, value in points]
        for panel, across in zip(row, (at, np.interp(at, steps, seen) / 1e6), strict=True):
            panel.plot(across, values, **style)
    return panels[0][0].lines[-1]


def summary(runs: Mapping[str, Sequence[Line]]) -> dict[str, dict[str, float]]:
    """Say of each run where it stands: its last step, the tokens it has seen, the last loss and scores.

    >>> summary({"a": [{"step": 2, "loss": 0.5, "tokens": 10}]})
    {'a': {'step': 2, 'tokens': 20, 'loss': 0.5}}
    """
    return {name: _state(log) for name, log in runs.items()}


def _state(log: Sequence[Line]) -> dict[str, float]:
    last = {name: points[-1][1] for name, points in points_of(log).items()}
    return {"step": log[-1]["step"], "tokens": round(tokens_at(log)[1][-1]), **last}


def as_table(runs: Mapping[str, Sequence[Line]]) -> str:
    """Write the summary for people, a line a run.

    >>> print(as_table({"a": [{"step": 2, "loss": 0.5, "tokens": 10}]}))
    a: step 2, tokens 20, loss 0.5000
    """

    def told(value: float) -> str:
        return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"

    lines = {
        name: ", ".join(f"{key} {told(value)}" for key, value in one.items()) for name, one in summary(runs).items()
    }
    return "\n".join(f"{name}: {line}" for name, line in lines.items())
