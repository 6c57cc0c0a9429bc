"""Whether the cost of a text stays the same when there are many of them."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wellread.bench.contenders import look_up
from wellread.bench.encode import refuse, start
from wellread.bench.machine import Machine, lacks, this_machine
from wellread.bench.texts import evenly
from wellread.errors import BenchError, InputError
from wellread.progress import progress

SIZES = (1_000, 10_000, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What was found for one number of texts."""

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
    contender: str
    rounds: int
    machine: Machine
    sizes: tuple[Size, ...]  # ascending


def run_growth(
    model_dir: Path,
    texts: Sequence[str],
    *,
    sizes: Sequence[int] = SIZES,
    contender: str = "wellread-f32",
    rounds: int = 1,
    show_progress: bool | None = None,
) -> GrowthResult:
    """Measure the seconds a text and the peak memory of one contender for ever more texts.

    The smallest size takes texts evenly from `texts`; the larger ones repeat these, so that all have the same lengths.

    Raises: InputError for arguments that nothing can be measured with; BenchError for a contender that cannot run.
    """
    (chosen,) = look_up([contender])
    refuse(model_dir, texts, rounds)
    if not sizes or min(sizes) < 1:
        raise InputError(f"growth is measured over sizes of at least 1 text; found {list(sizes)}; correct them")
    missing = lacks(chosen.needs, bf16=chosen.needs_bf16)
    if missing is not None:
        raise BenchError(f"{contender} was to be measured; {missing}; install it or choose another contender")
    ascending = sorted(set(sizes))
    show = sys.stderr.isatty() if show_progress is None else show_progress
    with (
        tempfile.TemporaryDirectory() as work,
        start(chosen, model_dir, Path(work)) as worker,
        progress(rounds * sum(ascending), show=show) as advance,
    ):
        worker.ask("load")
        worker.ask("take", texts=[texts[i] for i in evenly(ascending[0], len(texts))])
        worker.ask("encode")  # warms up
        laps = []
        for _ in range(rounds):
            for size in ascending:
                laps.append(worker.ask("encode", count=size))
                advance(size)
    found = (
        Size(
            texts=size,
            seconds=tuple(lap["seconds"] for lap in laps[i :: len(ascending)]),
            peak_bytes=laps[i]["peak_bytes"],
        )
        for i, size in enumerate(ascending)
    )
    return GrowthResult(
        model=model_dir.name, contender=contender, rounds=rounds, machine=this_machine(), sizes=tuple(found)
    )
