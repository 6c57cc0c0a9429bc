"""Successive halving as arithmetic: who trains on, for how many steps, and what a budget of time allows.

Jamieson and Talwalkar 2016 (arXiv:1502.07943); with the names of Li et al. 2018, Hyperband (arXiv:1603.06560): of n
candidates each gets r steps, the best n / eta go on with eta times as many, and so to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from wellread.dataclass import dataclass

MOST = 1 << 30  # steps; no search takes more


def rung_sizes(candidates: int, eta: int) -> list[int]:
    """Return how many candidates train in each rung; the last has one.

    >>> rung_sizes(9, 3), rung_sizes(8, 3), rung_sizes(2, 3), rung_sizes(1, 2)
    ([9, 3, 1], [8, 2, 1], [2, 1], [1])
    """
    sizes = [candidates]
    while sizes[-1] > 1:
        sizes.append(max(1, sizes[-1] // eta))
    return sizes


def rung_steps(total: int, rungs: int, eta: int) -> list[int]:
    """Divide the steps of the one that trains to the end among its rungs, each with eta times those before it.

    >>> rung_steps(1300, 3, 3), rung_steps(100, 1, 3), sum(rung_steps(1000, 3, 2))
    ([100, 300, 900], [100], 1000)
    """
    shares = [eta**rung for rung in range(rungs)]
    ends = [round(total * sum(shares[:rung]) / sum(shares)) for rung in range(rungs + 1)]
    return [max(1, end - begin) for begin, end in pairwise(ends)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The seconds that a search takes, but for those that grow with its steps."""

    fixed: float = 0.0  # of what is done once
    answer: float = 0.0  # of the teacher's answers to the rows of a step, which the last rung needs
    answers: float = 0.0  # of its answers to all texts: no more than these are needed
    of_scoring: float = 0.0  # of one candidate in one rung
    of_steps: Sequence[float] = ()  # of one step of each candidate, the dearest first


def search_seconds(total: int, sizes: Sequence[int], eta: int, costs: Costs) -> float:
    """Return the seconds of a whole search whose last candidate trains for `total` steps, at worst.

    At worst, for which candidates go on is not known beforehand: the dearest are taken.

    >>> search_seconds(40, [3, 1], 3, Costs(fixed=5.0, of_scoring=1.0, of_steps=[2.0, 1.0, 1.0]))
    109.0
    """
    steps = rung_steps(total, len(sizes), eta)
    of_training = sum(n * sum(costs.of_steps[:size]) for n, size in zip(steps, sizes, strict=True))
    of_answers = min(costs.answers, costs.answer * steps[-1])
    return costs.fixed + of_answers + costs.of_scoring * sum(sizes) + of_training


def affordable_steps(budget: float, sizes: Sequence[int], eta: int, costs: Costs) -> int:
    """Return the most steps of the last candidate with which a search is within a budget of seconds; 0 for none.

    >>> costs = Costs(fixed=5.0, of_scoring=1.0, of_steps=[2.0, 1.0, 1.0])
    >>> affordable_steps(109.0, [3, 1], 3, costs), affordable_steps(6.0, [3, 1], 3, costs)
    (40, 0)
    """
    low, high = 0, 1
    while high < MOST and search_seconds(high, sizes, eta, costs) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if search_seconds(middle, sizes, eta, costs) <= budget else (low, middle)
    return low


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a candidate stands after a rung."""

    name: str
    score: float
    size_bytes: int
    speed: float  # texts a second


def ranked(standings: Sequence[Standing], *, enough: float | None = None) -> list[Standing]:
    """Order candidates, the best first: by score, equal ones by size, then by speed.

    With `enough`, a score that does: those that have it come first, the smallest of them before all others.

    >>> a, b, c = (Standing(name=n, score=s, size_bytes=m, speed=1.0) for n, s, m in
    ...            (("a", 0.9, 30), ("b", 0.8, 20), ("c", 0.7, 10)))
    >>> [each.name for each in ranked([c, b, a])], [each.name for each in ranked([a, b, c], enough=0.8)]
    (['a', 'b', 'c'], ['b', 'a', 'c'])
    """

    def key(each: Standing) -> tuple[float, float, float, float]:
        if enough is not None and each.score >= enough:
            return (0, each.size_bytes, -each.speed, -each.score)
        return (1, -each.score, each.size_bytes, -each.speed)

    return sorted(standings, key=key)


def going_on(standings: Sequence[Standing], count: int, *, enough: float | None = None) -> list[str]:
    """Name the `count` candidates that train on, in the order of the list."""
    best = {each.name for each in ranked(standings, enough=enough)[:count]}
    return [each.name for each in standings if each.name in best]
