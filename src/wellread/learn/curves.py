"""The curves of a run as a picture: loss, learning rate, and scores where it was evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any


def plot(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the lines of a log with matplotlib; one panel for each of what is measured."""
    curves = curves_of(log)
    figure = import_module("matplotlib.figure").Figure(figsize=(7, 2.2 * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), sharex=True, squeeze=False)[:, 0]
    for panel, (name, points) in zip(panels, curves.items(), strict=True):
        panel.plot([step for step, _ in points], [value for _, value in points], marker="." if len(points) < 50 else "")
        panel.set_ylabel(name)
    panels[-1].set_xlabel("step")
    figure.savefig(path, dpi=120)


def curves_of(log: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Return the points of each curve, by its name.

    >>> curves_of([{"step": 1, "loss": 0.5, "learning_rate": 0.1}, {"step": 1, "scores": {"f1": 0.9}}])
    {'loss': [(1, 0.5)], 'learning_rate': [(1, 0.1)], 'f1': [(1, 0.9)]}
    """
    curves: dict[str, list[tuple[int, float]]] = {"loss": [], "learning_rate": []}
    for line in log:
        found = line.get("scores") or {name: line[name] for name in ("loss", "learning_rate")}
        for name, value in found.items():
            curves.setdefault(name, []).append((line["step"], value))
    return curves
