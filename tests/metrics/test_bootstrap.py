"""Intervals against SciPy's bootstrap and the formula of a share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from wellread.errors import DataError
from wellread.metrics.metrics import difference, interval, pearson, ratio


def mean(values):
    return lambda rows: float(values[rows].mean())


def test_an_interval_agrees_with_scipy():
    values = np.random.default_rng(1).normal(size=300)
    found = interval(mean(values), 300, resamples=4_000)
    peer = scipy.stats.bootstrap((values,), np.mean, n_resamples=4_000, method="percentile", rng=2).confidence_interval
    assert found.value == values.mean()
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.01)


def test_an_interval_of_a_share_is_that_of_the_formula():
    hits = np.arange(10_000) % 4 > 0
    found = interval(mean(hits), 10_000)
    half = 1.96 * math.sqrt(0.75 * 0.25 / 10_000)
    assert (found.low, found.high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.001)


def test_a_seed_gives_the_same_bounds_and_a_level_wider_ones():
    values = np.random.default_rng(1).normal(size=50)
    first, again, other = (interval(mean(values), 50, seed=seed) for seed in (7, 7, 8))
    assert first == again != other
    wide = interval(mean(values), 50, seed=7, level=0.99)
    assert wide.low < first.low < first.high < wide.high


def test_draws_without_a_score_are_left_out():
    a, b = np.array([0.0, 0.0, 1.0]), np.array([1.0, 2.0, 4.0])
    found = interval(lambda rows: pearson(a[rows], b[rows]), 3)
    assert found.low <= found.value <= found.high <= 1


def test_where_no_draw_has_a_score_the_bounds_are_the_score():
    def score(rows):
        if rows.tolist() != [0, 1]:
            raise DataError("nothing; nothing; nothing")
        return 0.5

    found = interval(score, 2, resamples=1, seed=0)
    assert (found.low, found.value, found.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("given", [{"examples": 0}, {"resamples": 0}, {"level": 1.0}, {"level": 0.0}])
def test_an_interval_of_nothing_is_refused(given):
    with pytest.raises(
        DataError, match="an interval takes an example or more, a draw or more and a level between 0 and 1"
    ):
        interval(**{"score": lambda rows: 0.0, "examples": 3, **given})


def test_a_difference_agrees_with_scipy_on_pairs():
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.2, 1, 200), rng.normal(0, 1, 200)
    first += 3 * second  # two systems that err alike
    found = difference(mean(first), mean(second), 200)
    peer = scipy.stats.bootstrap(
        (first, second),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        paired=True,
        method="percentile",
        n_resamples=4_000,
        rng=2,
    ).confidence_interval
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert (found.low, found.high) == pytest.approx(peer, abs=0.05)


def test_what_two_systems_share_does_not_widen_their_difference():
    hits = np.arange(1_000) < 800
    better = hits.copy()
    better[800:815] = True
    found = difference(mean(better), mean(hits), 1_000)
    assert found.value == pytest.approx(0.015)
    assert 0 < found.low < found.value < found.high < 0.025
    assert interval(mean(better), 1_000).low < interval(mean(hits), 1_000).high
    same = difference(mean(hits), mean(hits), 1_000)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_share_is_of_the_same_draws():
    first, second = np.arange(100) < 90, np.arange(100) < 60
    found = ratio(mean(second), mean(first), 100)
    assert found.value == pytest.approx(60 / 90)
    draw = np.random.default_rng(0).integers(0, 100, 100)
    assert found.low < second[draw].mean() / first[draw].mean() < found.high
    with pytest.raises(DataError, match="a share of a score takes one above 0; found 0; compare the differences"):
        ratio(mean(first), mean(np.zeros(100)), 100)
