"""Whether the cost of a text stays the same when there are many of them."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.encode import refuse, start
from benchmarks.harness import evenly
from benchmarks.machine import Machine, lacks, this_machine
from benchmarks.report import mebibytes, ratio, table
from benchmarks.systems import look_up
from wellread.errors import BenchError, InputError
from wellread.progress import progress

SIZES = (10_000, 1_000_000)
REPEATS = 3  # of all sizes but the largest: before it, and behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What was measured for one number of texts."""

    texts: int
    seconds: tuple[float, ...]  # of each measurement, for all texts
    peak_bytes: int  # the largest resident memory after the first round of this size, and of all smaller ones

    @property
    def seconds_a_text(self) -> float:
        """Seconds a text: the median of the measurements."""
        return statistics.median(self.seconds) / self.texts


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthResult:
    """The result of `run_growth`."""

    model: str  # the directory's name
    system: str
    rounds: int
    machine: Machine
    sizes: tuple[Size, ...]  # ascending

    @property
    def growth(self) -> float:
        """What a text costs among the most, relative to among the fewest."""
        return self.sizes[-1].seconds_a_text / self.sizes[0].seconds_a_text

    def derived(self) -> list[dict[str, Any]]:
        """Return the seconds a text of each size."""
        return [{"seconds_a_text": size.seconds_a_text} for size in self.sizes]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        title = f"{self.model}, {self.system}: the cost of a text, median of {self.rounds} rounds"
        first = self.sizes[0].seconds_a_text
        rows = [
            [f"{size.texts:,}", f"{1000 * cost:.3f}", ratio(cost / first), mebibytes(size.peak_bytes)]
            for size in self.sizes
            for cost in [size.seconds_a_text]
        ]
        return [title, table(["texts", "ms a text", "x the first", "peak"], rows)]


def run_growth(
    model_dir: Path,
    texts: Sequence[str],
    *,
    sizes: Sequence[int] = SIZES,
    system: str = "wellread",
    rounds: int = 1,
    show_progress: bool | None = None,
) -> GrowthResult:
    """Measure the seconds a text and the peak memory of one system for ever more texts.

    All sizes repeat the same texts, taken evenly from `texts`, as often as makes the size, so that all have the same
    lengths. In each round the smaller sizes are measured three times before the largest, and three times behind it.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a system that cannot run.
    """
    (one,) = look_up([system])
    refuse(model_dir, [one], texts=texts, rounds=rounds)
    if not sizes or min(sizes) < 1:
        raise InputError(f"growth is measured over sizes of at least 1 text; found {list(sizes)}; correct them")
    missing = lacks(one.needs, bf16=one.needs_bf16, place=one.place)
    if missing is not None:
        raise BenchError(f"{system} was to be measured; {missing}; install it or choose another system")
    ascending = sorted(set(sizes))
    smaller = [size for size in ascending[:-1] for _ in range(REPEATS)]
    turn = [*smaller, ascending[-1], *smaller[::-1]]
    show = sys.stderr.isatty() if show_progress is None else show_progress
    with (
        tempfile.TemporaryDirectory() as work,
        start(one, model_dir, Path(work)) as worker,
        progress(rounds * sum(turn), show=show) as advance,
    ):
        worker.ask("load")
        worker.ask("take", texts=[texts[i] for i in evenly(common_part(ascending, len(texts)), len(texts))])
        worker.ask("encode")  # warms up
        answers: dict[int, list[Mapping[str, Any]]] = {size: [] for size in ascending}
        for _ in range(rounds):
            for size in turn:
                answers[size].append(worker.ask("encode", count=size))
                advance(size)
    measured = (
        Size(
            texts=size,
            seconds=tuple(answer["seconds"] for answer in of_it),
            peak_bytes=of_it[0]["peak_bytes"],
        )
        for size, of_it in answers.items()
    )
    return GrowthResult(
        model=model_dir.name, system=system, rounds=rounds, machine=this_machine(), sizes=tuple(measured)
    )


def common_part(sizes: Sequence[int], available: int) -> int:
    """Return how many texts, at most `available`, make all `sizes` when they are repeated.

    >>> common_part([10_000, 1_000_000], 4000), common_part([7, 11], 4)
    (2500, 1)
    """
    common = math.gcd(*sizes)
    return max(part for part in range(1, min(common, available) + 1) if common % part == 0)
