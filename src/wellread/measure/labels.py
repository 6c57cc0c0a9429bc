"""Where the names of points stand in a picture: near their points, over no other name, point or line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

# Beside a point comes first, then above and below it, then the corners: (across, up), in the label's own size.
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
DISTANCES = (6, 11, 18, 28, 40, 54, 70, 90)  # from the point to the nearest side of its label
STEPS = tuple(step / 12 for step in range(13))  # where a line is looked at
# What a unit of area costs, a point of a line to a name, and a point of a line of the picture; a place costs its rank.
COVERED, CROSSED, STRUCK = 10.0, 30.0, 6.0
PASSES = 8  # in which every label may move, seeing where the others are
Dot: TypeAlias = tuple[float, float]


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


def place(marks: Sequence[Mark], frame: Box, dots: Sequence[Dot] = ()) -> list[Box]:
    """Choose the box of each mark's label inside `frame`: near its point, and free of all else where there is room.

    `dots` are places on lines of the picture, which labels had better leave free.

    Each label takes the best of its places while the others stay; all take turns until none moves. No chance is in it:
    the same marks give the same boxes.
    """
    boxes = [mark.label(*DIRECTIONS[0], DISTANCES[0]) for mark in marks]
    for _ in range(PASSES):
        before = list(boxes)
        for i in range(len(marks)):
            boxes[i] = _best(i, marks, boxes, frame, dots)
        if boxes == before:
            break
    return boxes


def link(mark: Mark, box: Box) -> Dot:
    """Return the place on a label that is nearest to its point.

    >>> link(Mark(x=0, y=0, width=2, height=2, bar=Box(0, 0, 0, 0)), Box(5, -1, 7, 1))
    (5, 0)
    """
    return min(max(mark.x, box.left), box.right), min(max(mark.y, box.low), box.high)


def _best(i: int, marks: Sequence[Mark], boxes: Sequence[Box], frame: Box, dots: Sequence[Dot]) -> Box:
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
        struck = sum(_inside(dot, box) for dot in dots)
        return COVERED * (covered + box.outside(frame)) + CROSSED * crossed + STRUCK * struck + rank

    places = (marks[i].label(*direction, distance) for distance in DISTANCES for direction in DIRECTIONS)
    return min(enumerate(places), key=cost)[1]


def _line(mark: Mark, box: Box) -> Iterator[Dot]:
    """Give points of the line from a point to its label."""
    x, y = link(mark, box)
    return ((mark.x + part * (x - mark.x), mark.y + part * (y - mark.y)) for part in STEPS)


def _inside(point: Dot, box: Box) -> bool:
    return box.left < point[0] < box.right and box.low < point[1] < box.high
