"""Texts a second of several ways to do the same work, measured in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wellread.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Texts a second."""

    rate: float  # the median of the rounds
    slowest: float
    fastest: float


def measure_speed(work: Mapping[str, Callable[[], object]], *, texts: int, rounds: int = 5) -> dict[str, Speed]:
    """Do each work once, which does not count, then `rounds` times in turn; each handles the same number of texts.

    In turn, because what else the machine does then falls on all alike.

    Raises: InputError for no texts or no rounds.
    """
    if texts < 1 or rounds < 1:
        raise InputError(f"a speed takes at least 1 text and 1 round; found {texts} and {rounds}; give more")
    for do in work.values():
        do()
    laps = [{name: texts / _seconds(do) for name, do in work.items()} for _ in range(rounds)]
    return {name: _speed([lap[name] for lap in laps]) for name in work}


def spread(items: Sequence[T], count: int) -> list[T]:
    """Choose at most `count` items, evenly spread.

    >>> spread("abcdefghi", 3), spread("ab", 3)
    (['a', 'e', 'i'], ['a', 'b'])
    """
    if len(items) <= count:
        return list(items)
    return [items[round(place * (len(items) - 1) / max(count - 1, 1))] for place in range(count)]


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return max(time.perf_counter() - start, 1e-9)


def _speed(rates: Sequence[float]) -> Speed:
    return Speed(rate=statistics.median(rates), slowest=min(rates), fastest=max(rates))
