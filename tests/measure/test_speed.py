"""Texts a second, of work whose time is known."""

from __future__ import annotations

import pytest

from wellread.errors import InputError
from wellread.measure import speed as measuring
from wellread.measure.speed import measure_speed, spread


@pytest.fixture
def clock(monkeypatch):
    """A clock that only work moves."""
    now = [0.0]
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: now[0])

    def takes(seconds, done, name):
        def work():
            done.append(name)
            now[0] += seconds.pop(0)

        return work

    return takes


def test_the_median_of_the_rounds_in_turn_without_the_first(clock):
    done = []
    work = {"a": clock([99, 1, 4, 2], done, "a"), "b": clock([99, 1, 1, 1], done, "b")}
    found = measure_speed(work, texts=8, rounds=3)
    assert (found["a"].rate, found["a"].slowest, found["a"].fastest) == (4, 2, 8)
    assert found["b"].rate == 8
    assert done == ["a", "b"] * 4


def test_work_that_takes_no_time_has_a_speed(clock):
    assert measure_speed({"a": clock([0, 0], [], "a")}, texts=1, rounds=1)["a"].rate > 0


@pytest.mark.parametrize(("texts", "rounds"), [(0, 1), (1, 0)])
def test_nothing_has_no_speed(texts, rounds):
    with pytest.raises(InputError, match=f"at least 1 text and 1 round; found {texts} and {rounds}; give more"):
        measure_speed({}, texts=texts, rounds=rounds)


def test_items_are_spread_over_all():
    assert spread(range(10), 4) == [0, 3, 6, 9]
    assert spread(range(10), 1) == [0]
    assert spread(range(3), 3) == [0, 1, 2]
