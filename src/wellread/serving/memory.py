"""How much memory a server may take: the size of its batches is measured for it, and requests share what is left.

What a request may come to is taken before it is computed, from what was seen to be enough: so a full queue, many large
answers or bodies made to be large cannot go beyond, and are refused instead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wellread.errors import ServeError
from wellread.serving.faults import Overloaded, TooLarge, Unready
from wellread.serving.settings import ServeSettings

if TYPE_CHECKING:
    from wellread.serving.served import Served

BODY = 25  # bytes of objects that a byte of JSON may become: [] is the worst
REQUEST = 65_536  # bytes that a connection reads ahead
TEXT = 1_000  # bytes of a text in the queue, beside its characters
NUMBER = 40  # bytes of a number of an answer: as an array, as a part of it, and twice in JSON
FOR_BATCHES = 0.75  # of the memory, at most
LEAST = 16 << 20  # bytes for requests; a server with less would refuse too many
PEAK = Path("/proc/self/clear_refs")


class Memory:
    """The memory of a process, and what of it its requests have taken."""

    def __init__(self, settings: ServeSettings) -> None:
        self.limit = settings.memory_bytes
        self.batch_tokens = settings.batch_tokens
        self._most = self._free = inf if self.limit is None else 0.0  # bytes for requests; nothing before `fit`

    def fit(self, modules: Sequence[Served]) -> None:
        """Find how many tokens a batch may have, by computing ever larger ones; what it leaves is for requests.

        Raises: ServeError where the modules, or a batch of one long text of theirs, do not fit.
        """
        if self.limit is None:
            return
        if not PEAK.exists():
            raise ServeError("max_memory= was asked for; this system does not tell a process's memory; leave it out")
        base, most = resident(), self.limit * FOR_BATCHES
        tokens = max(served.module.max_seq_length for served in modules)
        peak = max(_peak_of(served, tokens) for served in modules)
        if peak > most or self.limit - peak < LEAST:
            raise ServeError(
                f"max_memory= of {_mib(self.limit)} was asked for; the modules take {_mib(base)}, with one long text "
                f"{_mib(peak)}, and requests want {_mib(LEAST)}, a quarter at least; allow "
                f"{_mib(max(peak / FOR_BATCHES, peak + LEAST) * 1.05)}"
            )
        while 2 * tokens <= self.batch_tokens and 2 * peak - base <= most:
            tokens *= 2
            peak = max(_peak_of(served, tokens) for served in modules)
        self.batch_tokens = min(tokens, self.batch_tokens)
        self._most = self._free = 0.95 * self.limit - peak

    def take(self, size: int) -> None:
        """Take so many bytes for a request.

        Raises: TooLarge where it wants more than there ever is; Overloaded where others have it now; Unready before
            `fit`.
        """
        if not size:
            return
        if not self._most:
            raise Unready(f"{_mib(size)} were wanted for a request; the modules are being loaded; try again")
        if size > self._most:
            raise TooLarge(
                f"{_mib(size)} were wanted for a request; by max_memory= there are {_mib(self._most)} for all of "
                "them; send it in parts"
            )
        if size > self._free or (self.limit is not None and resident() > 0.97 * self.limit):
            raise Overloaded(
                f"{_mib(size)} were wanted for a request; {_mib(self._free)} of {_mib(self._most)} are free; try again "
                "in 1 s",
                retry_after=1,
            )
        self._free -= size

    def give(self, size: int) -> None:
        """Take back what a request took."""
        self._free += size


class Share:
    """What one request has taken."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._size = memory, 0

    def take(self, size: int) -> None:
        """Take so many bytes more. Raises: as `Memory.take`."""
        self._memory.take(size)
        self._size += size

    def end(self) -> None:
        """Give all back."""
        self._memory.give(self._size)
        self._size = 0


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak_of(served: Served, tokens: int) -> int:
    """Return the most bytes that this process held while a batch of so many tokens was computed."""
    length = served.module.max_seq_length
    row = np.arange(length, dtype=np.int32) % served.module.checkpoint.config.vocab_size
    PEAK.write_text("5")  # begins the peak anew
    served.vectors([row.tobytes()] * max(1, tokens // length))
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def _mib(size: float) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
