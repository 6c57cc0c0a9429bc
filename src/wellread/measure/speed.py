"""How many texts a second systems handle: measured in turn, so that what else the machine does falls on all alike."""

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


def measure_speed(workloads: Mapping[str, Callable[[], object]], *, texts: int, rounds: int = 5) -> dict[str, Speed]:
    """Run each workload once, which does not count, then `rounds` times in turn; each handles as many texts.

    In turn, because what else the machine does then falls on all alike.

    Raises: InputError for no texts or no rounds.
    """
    if texts < 1 or rounds < 1:
        raise InputError(f"a speed takes at least 1 text and 1 round; found {texts} and {rounds}; give more")
    for run in workloads.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in workloads}
    for _ in range(rounds):
        for name, run in workloads.items():
            start = time.perf_counter()
            run()
            rates[name].append(texts / max(time.perf_counter() - start, 1e-9))
    return {
        name: Speed(rate=statistics.median(values), slowest=min(values), fastest=max(values))
        for name, values in rates.items()
    }


def spread(items: Sequence[T], count: int) -> list[T]:
    """Choose at most `count` items, evenly spread.

    >>> spread("abcdefghi", 3), spread("ab", 3)
    (['a', 'e', 'i'], ['a', 'b'])
    """
    if len(items) <= count:
        return list(items)
    return [items[round(index * (len(items) - 1) / max(count - 1, 1))] for index in range(count)]
