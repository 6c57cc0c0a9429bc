"""Whether the cost of a text stays the same when there are many of them."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
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

SIZES = (1_000, 10_000, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What was measured for one number of texts."""

    texts: int
    seconds: tuple[float, ...]  # of each round, for all texts
    peak_bytes: int  # the largest resident memory after the first round of this size, and of all smaller ones

    @property
    def seconds_a_text(self) -> float:
        """Seconds a text: the median of the rounds."""
        return statistics.median(self.seconds) / self.texts


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthResult:
    """The result of `run_growth`."""

    model: str  # the directory's name
    system: str
    rounds: int
    machine: Machine
    sizes: tuple[Size, ...]  # ascending

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
    system: str = "wellread-f32",
    rounds: int = 1,
    show_progress: bool | None = None,
) -> GrowthResult:
    """Measure the seconds a text and the peak memory of one system for ever more texts.

    The smallest size takes texts evenly from `texts`; the larger ones repeat these, so that all have the same lengths.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a system that cannot run.
    """
    (one,) = look_up([system])
    refuse(model_dir, texts, rounds)
    if not sizes or min(sizes) < 1:
        raise InputError(f"growth is measured over sizes of at least 1 text; found {list(sizes)}; correct them")
    missing = lacks(one.needs, bf16=one.needs_bf16)
    if missing is not None:
        raise BenchError(f"{system} was to be measured; {missing}; install it or choose another system")
    ascending = sorted(set(sizes))
    show = sys.stderr.isatty() if show_progress is None else show_progress
    with (
        tempfile.TemporaryDirectory() as work,
        start(one, model_dir, Path(work)) as worker,
        progress(rounds * sum(ascending), show=show) as advance,
    ):
        worker.ask("load")
        worker.ask("take", texts=[texts[i] for i in evenly(ascending[0], len(texts))])
        worker.ask("encode")  # warms up
        answers = []
        for _ in range(rounds):
            for size in ascending:
                answers.append(worker.ask("encode", count=size))
                advance(size)
    measured = (
        Size(
            texts=size,
            seconds=tuple(answer["seconds"] for answer in answers[i :: len(ascending)]),
            peak_bytes=answers[i]["peak_bytes"],
        )
        for i, size in enumerate(ascending)
    )
    return GrowthResult(
        model=model_dir.name, system=system, rounds=rounds, machine=this_machine(), sizes=tuple(measured)
    )
