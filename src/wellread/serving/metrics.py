"""What a server counts, under the names that text-embeddings-inference gives it, as Prometheus reads it.

The numbers of all workers lie in one piece of memory that they share, a row for each: whichever is asked tells sums.
A row is written by the event loop of one process alone, number by number, so nothing needs a lock. The worker that
takes the place of one that died goes on with its row, for a counter must not fall.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

SECONDS = tuple(0.0005 * 2**step for step in range(18))
TOKENS = tuple(float(2**step) for step in range(16))
# name -> what it tells, and the upper bounds of its buckets
COUNTERS = {
    "te_request_count": "Requests.",
    "te_request_success": "Requests answered.",
    "te_request_failure": "Requests refused.",
}
GAUGES = {"te_queue_size": "Texts in the queue."}
HISTOGRAMS = {
    "te_request_duration": ("Seconds of a request.", SECONDS),
    "te_request_tokenization_duration": ("Seconds of reading its texts.", SECONDS),
    "te_request_queue_duration": ("Seconds in the queue.", SECONDS),
    "te_request_inference_duration": ("Seconds of computing.", SECONDS),
    "te_request_input_length": ("Tokens of a text.", TOKENS),
    "te_batch_next_size": ("Texts of a batch.", TOKENS),
    "te_batch_next_tokens": ("Tokens of a batch.", TOKENS),
}


def _places() -> tuple[dict[str, int], int]:
    """Say where in a row the numbers of each metric begin, and how many a row has."""
    places, size = {}, 0
    for name in (*COUNTERS, *GAUGES, *HISTOGRAMS):
        places[name] = size
        size += len(HISTOGRAMS[name][1]) + 2 if name in HISTOGRAMS else 1  # what is above the last bound, and the sum
    return places, size


PLACES, ROW = _places()


class Metrics:
    """The numbers of so many workers, and those that this process writes."""

    def __init__(self, workers: int = 1) -> None:
        self._values = memoryview(mmap.mmap(-1, 8 * ROW * workers)).cast("d")
        self._workers, self._begin = workers, 0

    def become(self, worker: int) -> None:
        """Write from now on to the row of a worker, in whose queue nothing waits yet."""
        self._begin = ROW * worker
        self.set("te_queue_size", 0)

    def count(self, name: str) -> None:
        """Add 1 to a counter."""
        self._values[self._begin + PLACES[name]] += 1

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._values[self._begin + PLACES[name]] = value

    def observe(self, name: str, *values: float) -> None:
        """Count values in the buckets of a histogram."""
        begin, bounds = self._begin + PLACES[name], HISTOGRAMS[name][1]
        for value in values:
            self._values[begin + bisect_left(bounds, value)] += 1
        self._values[begin + len(bounds) + 1] += sum(values)

    def page(self) -> bytes:
        """Return the sums of all workers in Prometheus's text format."""
        rows = [self._values[ROW * worker : ROW * (worker + 1)].tolist() for worker in range(self._workers)]
        return "".join(f"{line}\n" for line in _lines([sum(column) for column in zip(*rows, strict=True)])).encode()


def _lines(sums: Sequence[float]) -> Iterator[str]:
    for kind, table in (("counter", COUNTERS), ("gauge", GAUGES)):
        for name, about in table.items():
            yield from (f"# HELP {name} {about}", f"# TYPE {name} {kind}", f"{name} {sums[PLACES[name]]}")
    for name, (about, bounds) in HISTOGRAMS.items():
        begin = PLACES[name]
        counts = [*accumulate(sums[begin : begin + len(bounds) + 1])]
        yield from (f"# HELP {name} {about}", f"# TYPE {name} histogram")
        yield from (
            f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in zip((*bounds, "+Inf"), counts, strict=True)
        )
        yield from (f"{name}_sum {sums[begin + len(bounds) + 1]}", f"{name}_count {counts[-1]}")
