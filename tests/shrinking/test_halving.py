"""Successive halving as arithmetic."""

from __future__ import annotations

from itertools import pairwise

import pytest

from wellread.shrinking.halving import (
    Costs,
    Standing,
    affordable_steps,
    going_on,
    ranked,
    rung_sizes,
    rung_steps,
    search_seconds,
)


@pytest.mark.parametrize("candidates", [1, 2, 3, 7, 9, 27, 28])
@pytest.mark.parametrize("eta", [2, 3, 4])
def test_every_rung_is_smaller_and_longer_and_the_last_has_one(candidates, eta):
    sizes = rung_sizes(candidates, eta)
    assert sizes[0] == candidates
    assert sizes[-1] == 1
    assert sizes == sorted(set(sizes), reverse=True)
    steps = rung_steps(10_000, len(sizes), eta)
    assert sum(steps) == 10_000
    assert all(later / earlier == pytest.approx(eta, rel=0.05) for earlier, later in pairwise(steps))


def test_no_rung_is_without_a_step():
    assert rung_steps(1, 3, 3) == [1, 1, 1]


@pytest.mark.parametrize("budget", [200.0, 1_000.0, 123_456.0])
def test_what_is_affordable_is_within_the_budget_and_one_step_more_is_not(budget):
    costs, sizes = Costs(fixed=17.0, of_scoring=2.5, of_steps=[0.9, 0.5, 0.5, 0.1] + [0.05] * 5), [9, 3, 1]
    steps = affordable_steps(budget, sizes, 3, costs)
    assert search_seconds(steps, sizes, 3, costs) <= budget
    assert search_seconds(steps + 3, sizes, 3, costs) > budget  # a step more in the first rung may be rounded away
    assert affordable_steps(17.0, sizes, 3, costs) == 0


def test_the_teacher_answers_what_the_last_rung_has_rows_for_and_never_more_than_there_is():
    costs = Costs(answer=2.0, answers=100.0, of_steps=[0.0])
    assert [search_seconds(steps, [1], 3, costs) for steps in (1, 49, 50, 51, 900)] == [2.0, 98.0, 100.0, 100.0, 100.0]
    assert affordable_steps(90.0, [1], 3, costs) == 45


def test_steps_that_cost_nothing_are_bounded():
    assert 0 < affordable_steps(10.0, [1], 3, Costs(of_steps=[0.0])) < 1 << 31


def standing(name, score, size, speed=1.0):
    return Standing(name=name, score=score, size_bytes=size, speed=speed)


def test_equal_scores_go_to_the_smaller_then_to_the_faster():
    a, b, c = standing("a", 0.5, 20), standing("b", 0.5, 10), standing("c", 0.5, 10, speed=2.0)
    assert [each.name for each in ranked([a, b, c])] == ["c", "b", "a"]
    assert going_on([a, b, c], 2) == ["b", "c"]


def test_of_those_that_are_good_enough_the_smallest_trains_on_then_the_best_of_the_others():
    rows = [
        standing("large", 0.95, 40),
        standing("middle", 0.93, 20),
        standing("small", 0.85, 10),
        standing("tiny", 0.8, 5),
    ]
    assert [each.name for each in ranked(rows, enough=0.9)] == ["middle", "large", "small", "tiny"]
    assert going_on(rows, 3, enough=0.99) == ["large", "middle", "small"]
