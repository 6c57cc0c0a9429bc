"""Names beside points: none covers another, however near the points are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from wellread.measure.labels import Box, Mark, link, place

FRAME = Box(0, 0, 440, 270)


def mark(x, y, width=60, *, reach=20):
    return Mark(x=x, y=y, width=width, height=10, bar=Box(x - 4, y - reach, x + 4, y + reach))


def clear(marks, boxes, frame=FRAME):
    assert not any(a.overlap(b) for a, b in combinations(boxes, 2))
    assert not any(box.overlap(one.bar) for box in boxes for one in marks)
    assert all(box.outside(frame) == pytest.approx(0) for box in boxes)


def test_a_name_alone_stands_to_the_right():
    (box,) = place([mark(100, 100)], FRAME)
    assert (box.left, box.low, box.high) == (106, 95, 105)


def test_a_name_stays_inside_the_frame():
    (box,) = place([mark(430, 100)], FRAME)
    assert box.right == 424


@pytest.mark.parametrize("seed", range(6))
def test_nine_points_of_nearly_one_size(seed):
    rng = np.random.default_rng(seed)
    widths = rng.uniform(25, 130, 9)
    marks = [mark(200 + rng.uniform(-8, 8), rng.uniform(40, 230), width, reach=12) for width in widths]
    boxes = place(marks, FRAME)
    clear(marks, boxes)
    assert boxes == place(marks, FRAME)


def test_points_at_the_same_place():
    marks = [mark(200, 130)] * 4
    clear(marks, place(marks, FRAME))


def test_no_line_crosses_a_name():
    marks = [mark(200 + 3 * n, 130 + n, 50, reach=8) for n in range(8)]
    boxes = place(marks, FRAME)
    for one, own in zip(marks, boxes, strict=True):
        x, y = link(one, own)
        way = [(one.x + t * (x - one.x), one.y + t * (y - one.y)) for t in np.linspace(0, 1, 13)]
        others = [box for box in boxes if box is not own]
        assert not any(box.left < a < box.right and box.low < b < box.high for a, b in way for box in others)


def test_a_name_keeps_off_the_lines_of_the_picture():
    (box,) = place([mark(100, 100)], FRAME, [(100 + 3 * n, 100) for n in range(30)])
    assert (box.left, box.right) == (34, 94)


def test_where_there_is_no_room_there_is_still_a_place():
    marks = [mark(10, 10, 60)] * 3
    assert len(place(marks, Box(0, 0, 20, 20))) == 3
    assert place([], FRAME) == []
