"""Continuous batching by tokens: items of all requests wait in one queue, and one thread computes what fits in a batch.

The queue belongs to the event loop, and needs no lock. A request gives its items in turn with the others of its lane,
some hundreds of tokens at a time, and lanes take turns too: a large request is split, small ones join, and no one waits
for the end of another. An item that is in flight already, for whomever, is not computed again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from math import ceil
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

from wellread.dataclass import dataclass
from wellread.serving.faults import DeadlineExceeded, Overloaded, Unready
from wellread.serving.metrics import Metrics

AHEAD = 2  # batches that the thread is given at once: it goes on while the loop hands results out
TURNS = 8  # requests that share a batch where as many wait
OF_LATE = 0.8  # what a batch counts for the rate when the next one has come
QUICK = 0.003  # seconds; what nothing waits behind and should take no longer is computed by the loop itself
PATIENCE = 0.05  # seconds; only where an answer takes longer is it looked whether the client is still there


class Lane(Protocol):
    """What may be computed together: one kind of output of one module. Equal lanes are one."""

    def compute(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return a result for each item. It is called in another thread."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Done:
    """What became of a request."""

    values: list[Any]  # a result for each item
    queued: float  # seconds until the last of its items left the queue
    computed: float  # seconds from then on


class _Entry:
    """An item in flight, the request that brought it, and all that wait for it."""

    __slots__ = ("item", "key", "owner", "size", "waiters", "waiting")

    def __init__(self, key: Hashable, item: Any, size: int, owner: _Request) -> None:
        self.key, self.item, self.size, self.owner = key, item, size, owner
        self.waiters: list[tuple[_Request, int]] = []
        self.waiting = True  # in the queue, and not yet in a batch


class _Request:
    """The items of one request."""

    __slots__ = ("entries", "future", "left_queue", "remaining", "values", "waiting_tokens")

    def __init__(self, count: int, future: asyncio.Future[None]) -> None:
        self.values: list[Any] = [None] * count
        self.remaining = count
        self.future = future
        self.entries: deque[_Entry] = deque()  # those that may still be in the queue
        self.waiting_tokens = 0  # in the queue, of what it brought
        self.left_queue = time.perf_counter()

    def take(self, number: int, result: Any) -> None:
        """Take one result; the last one, or one that is an error, ends the request."""
        self.values[number] = result
        self.remaining -= 1
        if self.future.done():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        elif not self.remaining:
            self.future.set_result(None)


class Batcher:
    """One queue before one thread. What `batch_tokens` returns is looked at for each batch."""

    def __init__(
        self, *, batch_tokens: Callable[[], int], queue_tokens: int, max_wait: float, metrics: Metrics
    ) -> None:
        self._batch_tokens, self.queue_tokens, self._metrics = batch_tokens, queue_tokens, metrics
        self.max_wait = max_wait
        self._batches: SimpleQueue[tuple[asyncio.AbstractEventLoop, Lane, list[_Entry]] | None] = SimpleQueue()
        Thread(target=self._compute, name="wellread-compute", daemon=True).start()
        self._lanes: OrderedDict[Lane, deque[_Request]] = OrderedDict()  # the next to be served first
        self._in_flight: dict[Hashable, _Entry] = {}
        self._computing = 0  # batches that the thread has
        self._starting = False  # a look at the queue is due
        self._waiting = self._items = 0  # tokens and items in the queue
        self._ahead = 0  # tokens that are computed before a small request that comes now
        self._computed, self._seconds_taken = 0.0, 0.0  # tokens, and what they took, of late
        self._closing = False

    @property
    def waiting_tokens(self) -> int:
        """Tokens in the queue."""
        return self._waiting

    @property
    def waiting_items(self) -> int:
        """Items in the queue."""
        return self._items

    async def submit(
        self,
        lane: Lane,
        items: Sequence[Hashable],
        sizes: Sequence[int],
        *,
        deadline: float | None = None,
        gone: Callable[[], Awaitable[Exception]] | None = None,
    ) -> Done:
        """Compute items of so many tokens each; wait at most `deadline` seconds, and until `gone` returns an error.

        If the task that waits is cancelled, what has not begun leaves the queue.

        Raises: Overloaded where the queue has no room, but never where it is empty; DeadlineExceeded; Unready after
            `close`; what `gone` returns; and what the computation of an item raises.
        """
        arrived = time.perf_counter()
        if not items:
            return Done(values=[], queued=0.0, computed=0.0)
        request = self._admit(lane, items, sizes)
        loop = asyncio.get_running_loop()
        if not self._starting:  # once the loop has read what else has come, so that it shares the batch
            self._starting = True
            loop.call_soon(self._start)
        watching = _Watch(loop, request.future, gone) if gone else None
        try:
            async with asyncio.timeout(deadline) as limit:
                await request.future
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineExceeded(
                f"an answer within {deadline:g} s was asked for; {request.remaining} of {len(items)} texts were still "
                "to be computed; send fewer, or try again later"
            ) from None
        finally:
            self._leave(request)
            if watching:
                watching.end()
        now = time.perf_counter()
        return Done(values=request.values, queued=request.left_queue - arrived, computed=now - request.left_queue)

    async def close(self) -> None:
        """Take nothing more, compute what is in flight, and end the thread."""
        self._closing = True
        while self._computing or self._lanes:
            await asyncio.sleep(0.01)
        self._batches.put(None)

    def _admit(self, lane: Lane, items: Sequence[Hashable], sizes: Sequence[int]) -> _Request:
        """Put the items of a request in the queue, or none of them."""
        if self._closing:
            raise Unready("an answer was asked for; this server is being stopped; ask another, or try again")
        fresh = {(lane, item): size for item, size in zip(items, sizes, strict=True)}
        tokens = sum(size for key, size in fresh.items() if key not in self._in_flight)
        if self._waiting:
            self._refuse_wait(tokens)
        request = _Request(len(items), asyncio.get_running_loop().create_future())
        for number, (item, size) in enumerate(zip(items, sizes, strict=True)):
            key = (lane, item)
            entry = self._in_flight.get(key)
            if entry is None:
                entry = self._in_flight[key] = _Entry(key, item, size, request)
                self._count(entry, 1)
            entry.waiters.append((request, number))
            if entry.waiting:
                request.entries.append(entry)
        if request.entries:
            self._lanes.setdefault(lane, deque()).append(request)
        return request

    def _refuse_wait(self, tokens: int) -> None:
        """Refuse a request for which there is no room, or that would wait too long. Raises: Overloaded."""
        wait = self._seconds(self._ahead)
        seconds = max(1, min(60, ceil(self._seconds(self._waiting))))
        if self._waiting + tokens > self.queue_tokens:
            raise Overloaded(
                f"room for {tokens} tokens was asked for; {self._waiting} wait, of at most {self.queue_tokens}; try "
                f"again in {seconds} s",
                retry_after=seconds,
            )
        if wait > self.max_wait:
            seconds = max(1, ceil(wait - self.max_wait))
            raise Overloaded(
                f"a wait of at most {self.max_wait:g} s was asked for; what is ahead takes some {wait:.1f} s; try "
                f"again in {seconds} s",
                retry_after=seconds,
            )

    def _count(self, entry: _Entry, number: int) -> None:
        """Count an item that came into the queue, 1, or left it, -1.

        Of a large request no more than its share of a batch is computed before a small one that comes.
        """
        owner, share = entry.owner, self._batch_tokens() // TURNS
        before = min(owner.waiting_tokens, share)
        owner.waiting_tokens += number * entry.size
        self._ahead += min(owner.waiting_tokens, share) - before
        self._waiting += number * entry.size
        self._items += number
        self._metrics.set("te_queue_size", self._items)

    def _leave(self, request: _Request) -> None:
        """Take out of the queue what no one waits for any more."""
        for entry in request.entries:
            if entry.waiting and all(other is request or other.future.done() for other, _ in entry.waiters):
                entry.waiting = False
                self._count(entry, -1)
                del self._in_flight[entry.key]
        request.entries.clear()

    def _start(self) -> None:
        """Give the thread batches, as many as it may have; compute the only one here if that is quick."""
        self._starting = False
        while self._computing < AHEAD and self._lanes:
            lane, requests = next(iter(self._lanes.items()))
            batch = self._take(requests)
            self._lanes.move_to_end(lane)
            if not requests:
                del self._lanes[lane]
            if not batch:
                continue
            tokens = sum(entry.size for entry in batch)
            self._computing += 1
            self._ahead += tokens
            if self._computing == 1 and not self._lanes and self._computed and self._seconds(tokens) < QUICK:
                self._finish(batch, *_timed(lane, batch))
            else:
                self._batches.put((asyncio.get_running_loop(), lane, batch))

    def _seconds(self, tokens: int) -> float:
        """Say how long so many tokens should take, by what others took of late; 0 where nothing was computed yet."""
        return tokens * self._seconds_taken / self._computed if self._computed else 0.0

    def _compute(self) -> None:
        """Compute what the loop gives, in the thread."""
        while (job := self._batches.get()) is not None:
            loop, lane, batch = job
            results, seconds = _timed(lane, batch)
            with suppress(RuntimeError):  # of a loop that was closed
                loop.call_soon_threadsafe(self._finish, batch, results, seconds)
            del job, batch, results  # held by no one while nothing comes

    def _take(self, requests: deque[_Request]) -> list[_Entry]:
        """Take a batch out of the queue, a share of each request in turn."""
        batch: list[_Entry] = []
        room = most = self._batch_tokens()
        now = time.perf_counter()
        while requests and room > 0:
            request = requests[0]
            share = max(1, most // min(TURNS, len(requests)))
            while request.entries and share > 0:
                entry = request.entries[0]
                if entry.waiting:
                    if batch and entry.size > room:
                        return batch
                    entry.waiting = False
                    batch.append(entry)
                    room, share = room - entry.size, share - entry.size
                    self._count(entry, -1)
                    for waiter, _ in entry.waiters:
                        waiter.left_queue = now
                request.entries.popleft()
            requests.rotate(-1)
            if not request.entries:
                requests.pop()
        return batch

    def _finish(self, batch: list[_Entry], results: list[Any], seconds: float) -> None:
        """Hand out the results of a batch, and start the next."""
        self._computing -= 1
        tokens = sum(entry.size for entry in batch)
        self._ahead -= tokens
        self._computed = OF_LATE * self._computed + tokens
        self._seconds_taken = OF_LATE * self._seconds_taken + seconds
        self._metrics.observe("te_batch_next_size", len(batch))
        self._metrics.observe("te_batch_next_tokens", tokens)
        self._start()
        for entry, result in zip(batch, results, strict=True):
            with suppress(KeyError):
                del self._in_flight[entry.key]
            for request, number in entry.waiters:
                request.take(number, result)


class _Watch:
    """Ends a request that takes longer than PATIENCE with the error of `gone`, once that returns one."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None], gone: Callable[[], Awaitable[Exception]]
    ) -> None:
        self._future, self._gone = future, gone
        self._task: asyncio.Task[None] | None = None
        self._timer = loop.call_later(PATIENCE, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = loop.create_task(self._wait())

    async def _wait(self) -> None:
        error = await self._gone()
        if not self._future.done():
            self._future.set_exception(error)

    def end(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        if self._task:
            self._task.cancel()


def _timed(lane: Lane, batch: Sequence[_Entry]) -> tuple[list[Any], float]:
    """Compute the items of a batch, and tell how many seconds it took."""
    began = time.perf_counter()
    return computed_apart(lane.compute, [entry.item for entry in batch]), time.perf_counter() - began


def computed_apart(compute: Callable[[Sequence[Any]], Sequence[Any]], items: Sequence[Any]) -> list[Any]:
    """Return a result for each item, or the error of one that has none: halves are computed until it stands alone.

    >>> [str(result) for result in computed_apart(lambda items: [1 / item for item in items], [1, 2, 0])]
    ['1.0', '0.5', 'division by zero']
    """
    try:
        results = list(compute(items))
        assert len(results) == len(items), f"{len(results)} results for {len(items)} items"
    except Exception as error:
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return computed_apart(compute, items[:middle]) + computed_apart(compute, items[middle:])
    return results
