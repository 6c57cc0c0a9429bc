"""Rows a second and memory of Ray Data's actors on this machine, beside the same function without Ray."""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine, this_machine
from benchmarks.report import ratio, spread, table
from wellread.cores import THREADS, cpu_count
from wellread.corpus.batches import EncodeBatch
from wellread.errors import InputError, require_extra

SMAPS = Path("/proc/self/smaps_rollup")  # of Linux; Pss counts a page that n processes share as 1/n
BATCH = 1024  # rows of a call: every actor gets some


class Timed(EncodeBatch):
    """EncodeBatch that notes beside each row when it was computed, by which process and how large that is."""

    def __call__(self, batch: Any) -> Any:
        """Return the batch with its vectors and the columns `start`, `end`, `process`, `rss` and `pss`."""
        import pyarrow as pa

        start = time.time()
        result = super().__call__(batch)
        notes = {"start": start, "end": time.time(), "process": os.getpid(), **memory()}
        for name, value in notes.items():
            result = result.append_column(name, pa.array([value] * len(result)))
        return result


def memory() -> dict[str, float]:
    """Return the megabytes of this process that lie in memory: `rss`, and `pss`, with shared pages divided."""
    lines = SMAPS.read_text("ascii").splitlines() if SMAPS.exists() else []
    sizes = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
    return {name: int(sizes.get(name.capitalize(), 0)) / 1000 for name in ("rss", "pss")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RayRow:
    """One way to compute."""

    name: str
    actors: int  # 0: without Ray
    rates: tuple[float, ...] = ()  # rows a second of each round
    rss: float = 0  # MB of a process: the largest seen
    pss: float = 0

    @property
    def median(self) -> float:
        """Rows a second: the median of the rounds."""
        return statistics.median(self.rates)

    def megabytes(self) -> list[str]:
        """Write what a process takes."""
        return [f"{self.rss:.0f}", f"{self.pss:.0f}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RayResult:
    """The result of `run_ray_data`."""

    model: str
    texts: int
    rounds: int
    machine: Machine
    rows: tuple[RayRow, ...]

    def derived(self) -> list[dict[str, Any]]:
        """Return the median of each row, and its ratio to one actor."""
        one = next(row.median for row in self.rows if row.actors == 1)
        return [{"median": row.median, "ratio": row.median / one} for row in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        title = f"{self.model}: {self.texts:,} rows, one core a process, median of {self.rounds} rounds, after a first"
        rows = [
            [row.name, f"{row.median:,.0f}", spread(row.rates, 0), ratio(more["ratio"]), *row.megabytes()]
            for row, more in zip(self.rows, self.derived(), strict=True)
        ]
        header = ["", "rows/s", "spread", "x one actor", "MB a process (RSS)", "of its own (PSS)"]
        return [title, table(header, rows)]


def run_ray_data(handle: str | os.PathLike[str], texts: Sequence[str], *, rounds: int = 5) -> RayResult:
    """Measure rows a second of EncodeBatch by itself and on 1, 2, 4 ... actors, up to the cores of this machine.

    Every process has one core. The time of a round is from the first call's start to the last one's end, on whichever
    actor: that actors start is left out, that their vectors are put into Ray's memory is not. A first round does not
    count.

    Raises: InputError for less than 1 round; MissingExtra without Ray.
    """
    require_extra("ray", extra="ray")
    if rounds < 1:
        raise InputError(f"a measurement takes at least 1 round; found {rounds}; give more")
    counts = [2**power for power in range(cpu_count().bit_length()) if 2**power <= cpu_count()]
    encode = Timed(handle)
    found = {0: [_without_ray(encode, texts) for _ in range(rounds + 1)]}
    with _ray(cpu_count() + 1):
        for actors in counts:
            found[actors] = [_with_ray(encode, texts, actors) for _ in range(rounds + 1)]
    rows = (
        RayRow(
            name=f"Ray, {actors} actor{'s' * (actors > 1)}" if actors else "EncodeBatch, without Ray",
            actors=actors,
            rates=tuple(_rate(each) for each in of_rounds[1:]),
            rss=max(max(each["rss"].to_pylist()) for each in of_rounds),
            pss=max(max(each["pss"].to_pylist()) for each in of_rounds),
        )
        for actors, of_rounds in found.items()
    )
    machine = this_machine()
    return RayResult(model=Path(handle).name, texts=len(texts), rounds=rounds, machine=machine, rows=tuple(rows))


def _rate(notes: Any) -> float:
    return len(notes) / (max(notes["end"].to_pylist()) - min(notes["start"].to_pylist()))


def _without_ray(encode: Timed, texts: Sequence[str]) -> Any:
    import pyarrow as pa

    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        parts = pa.table({"text": texts}).to_batches(max_chunksize=BATCH)
        return pa.concat_tables(encode(pa.Table.from_batches([part])).drop_columns("embedding") for part in parts)
    finally:
        os.environ.pop(THREADS) if before is None else os.environ.update({THREADS: before})


def _with_ray(encode: Timed, texts: Sequence[str], actors: int) -> Any:
    """Run one round; return its notes, with as many processes as actors, or as had work."""
    import pyarrow as pa
    import ray.data

    blocks = [pa.table({"text": texts[start : start + BATCH]}) for start in range(0, len(texts), BATCH)]
    vectors = ray.data.from_arrow(blocks).map_batches(
        _Actor,
        fn_constructor_args=(encode,),
        batch_format="pyarrow",
        batch_size=BATCH,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
        runtime_env={"env_vars": {THREADS: "1", "OMP_NUM_THREADS": "1"}},
    )
    done = vectors.materialize()
    notes = done.drop_columns(["embedding", "text"])
    return pa.concat_tables(list(notes.iter_batches(batch_size=None, batch_format="pyarrow")))


class _Actor:
    """What an actor holds."""

    def __init__(self, encode: Timed) -> None:
        """Load before the first call, which is timed."""
        self.encode = encode
        encode.process()

    def __call__(self, batch: Any) -> Any:
        """Encode a Table."""
        return self.encode(batch)


@contextmanager
def _ray(cpus: int) -> Iterator[None]:
    """Start a Ray of so many cores, and end it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        import ray.data

        ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="error")
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            yield
        finally:
            ray.shutdown()
