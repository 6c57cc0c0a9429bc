"""The plan as arithmetic: lines through two measurements, and the steps that are left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wellread.shrinking.planning import line_through, steps_left
from wellread.shrinking.settings import ShrinkConfig
from wellread.shrinking.state import Plan

PLAN = Plan(
    candidates=(),
    sizes=(3, 1),
    steps=(10, 30),
    step_seconds={"a": 1.0, "b": 0.5, "c": 0.5},
    base_seconds=500.0,
    answering_seconds=15.0,
    concluding_seconds=5.0,
    scoring_seconds=5.0,
    texts=100,
    expected_seconds=90.0,
)


@pytest.mark.parametrize("ys", [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0), (1.0, 9.0)])
def test_a_prediction_is_never_below_nothing(ys):
    offset, slope = line_through([10, 20], ys)
    assert offset >= 0
    assert slope >= 0
    assert offset + 20 * slope >= ys[1]


def left(rung, names, seconds, measured=None, **changes):
    config = ShrinkConfig(budget="610s", **changes)
    return steps_left(PLAN, config, rung=rung, names=names, seconds=seconds, measured=measured or {})


def test_the_steps_of_a_rung_follow_the_time_that_is_left():
    # after 500 s of making the teacher: 15 s to answer, 5 s to conclude, 5 s for each of 4 scores, and so 70 s:
    # 2 a step, and 3 times 1
    assert left(0, ["a", "b", "c"], 500.0) == 14
    # a step of `a` took twice as long: 3 a step, and 3 times 2
    assert left(0, ["a", "b", "c"], 500.0, {"a": 2.0}) == 8
    assert left(1, ["b"], 560.0) == 80  # the last rung takes what there is
    assert left(1, ["b"], 560.0, max_steps=40) == 30  # but for what was asked
    assert left(1, ["b"], 9_999.0) == 1


def test_a_plan_may_lack_measurements():
    assert steps_left(
        replace(PLAN, sizes=(1,), steps=(5,)),
        ShrinkConfig(budget="35s"),
        rung=0,
        names=["b"],
        seconds=0.0,
        measured={"b": 1.0},
    ) == 10  # fmt: skip
