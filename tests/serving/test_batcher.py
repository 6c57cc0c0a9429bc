"""The queue: batches by tokens, shares, identical items, bounds, deadlines, requests that go away, and its end."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from itertools import chain

import pytest

from wellread.serving.batcher import Batcher, computed_apart
from wellread.serving.faults import DeadlineExceeded, Overloaded, Unready
from wellread.serving.metrics import Metrics


@dataclass(eq=False)
class Lane:
    """A lane whose results are its items, doubled; it computes when it is let."""

    batches: list[list[str]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def compute(self, items):
        self.batches.append(list(items))
        assert self.go.wait(10)
        if "bad" in items:
            raise ValueError("a bad item")
        return [item * 2 for item in items]


def open_lane():
    lane = Lane()
    lane.go.set()
    return lane


def run(test, *, batch_tokens=10, queue_tokens=100):
    """Run an async function with a batcher of its own."""

    async def inside():
        batcher = Batcher(batch_tokens=lambda: batch_tokens, queue_tokens=queue_tokens, max_wait=60, metrics=Metrics())
        try:
            return await asyncio.wait_for(test(batcher), 20)
        finally:
            await batcher.close()

    return asyncio.run(inside())


def begin(batcher, lane, items, size=1, **options):
    return asyncio.ensure_future(batcher.submit(lane, items, [size] * len(items), **options))


async def busy(batcher, lane):
    """Keep the thread and the batch ahead of it busy; return what ends it."""
    jobs = []
    for number in range(2):
        jobs.append(begin(batcher, lane, [f"first{number}"]))
        await asyncio.sleep(0.02)
    return jobs


def test_results_come_in_the_order_of_the_items():
    async def test(batcher):
        done = await batcher.submit(open_lane(), list("abcdefghijklm"), [3] * 13)
        assert done.values == [letter * 2 for letter in "abcdefghijklm"]
        assert done.queued >= 0
        assert done.computed > 0
        assert (await batcher.submit(open_lane(), [], [])).values == []

    run(test)


def test_a_batch_holds_so_many_tokens_and_an_item_over_that_is_alone():
    async def test(batcher):
        lane = open_lane()
        await batcher.submit(lane, list("abcdef"), [4, 4, 4, 25, 4, 4])
        assert lane.batches == [["a", "b"], ["c"], ["d"], ["e", "f"]]

    run(test)


def test_small_requests_join_and_do_not_wait_for_the_end_of_a_large_one():
    async def test(batcher):
        lane = Lane()
        before = await busy(batcher, lane)
        large = begin(batcher, lane, [f"large{number}" for number in range(40)])
        small = [begin(batcher, lane, [f"small{number}"]) for number in range(3)]
        await asyncio.sleep(0.02)
        lane.go.set()
        await asyncio.gather(*small, *before)
        assert not large.done()
        await large
        assert {"small0", "small1", "small2"} <= set(lane.batches[2])
        assert len(lane.batches[2]) == 10
        assert "large0" in lane.batches[2]

    run(test)


def test_requests_that_come_together_share_a_batch():
    async def test(batcher):
        lane = open_lane()
        await asyncio.gather(*(begin(batcher, lane, [letter]) for letter in "abc"))
        assert lane.batches == [["a", "b", "c"]]

    run(test)


def test_what_is_quick_and_alone_is_computed_by_the_loop_itself():
    async def test(batcher):
        threads = []

        class Noting(Lane):
            def compute(self, items):
                threads.append(threading.current_thread() is threading.main_thread())
                return super().compute(items)

        lane = Noting()
        lane.go.set()
        await batcher.submit(lane, ["how quick it is"], [10_000])  # is not known yet
        await batcher.submit(lane, ["quick"], [1])
        await batcher.submit(lane, ["too long for that"], [10**9])
        assert threads == [False, True, False]

    run(test, queue_tokens=10**10)


def test_a_client_that_goes_away_ends_its_request():
    async def test(batcher):
        lane, left = Lane(), asyncio.Event()

        async def gone():
            await left.wait()
            return ConnectionError("it went away")

        before = await busy(batcher, lane)
        waits = begin(batcher, lane, ["a"], gone=gone)
        await asyncio.sleep(0.1)
        assert not waits.done()
        left.set()
        with pytest.raises(ConnectionError, match="it went away"):
            await waits
        assert batcher.waiting_tokens == 0
        lane.go.set()
        await asyncio.gather(*before)

    run(test)


def test_lanes_take_turns():
    async def test(batcher):
        first, second = Lane(), open_lane()
        before = await busy(batcher, first)
        many = begin(batcher, first, [str(number) for number in range(60)])
        other = begin(batcher, second, ["other"])
        await asyncio.sleep(0.02)
        first.go.set()
        assert (await other).values == ["otherother"]
        assert not many.done()
        await asyncio.gather(many, *before)

    run(test)


def test_identical_items_in_flight_are_computed_once():
    async def test(batcher):
        lane = Lane()
        before = await busy(batcher, lane)
        same = [begin(batcher, lane, ["a", "b", "a"]), begin(batcher, lane, ["b", "first0"])]
        await asyncio.sleep(0.02)
        assert batcher.waiting_tokens == 2
        assert batcher.waiting_items == 2
        lane.go.set()
        results = await asyncio.gather(*same, *before)
        assert results[0].values == ["aa", "bb", "aa"]
        assert results[1].values == ["bb", "first0first0"]
        assert sorted([*chain(*lane.batches)]) == ["a", "b", "first0", "first1"]

    run(test)


def test_what_is_done_is_computed_anew():
    async def test(batcher):
        lane = open_lane()
        await batcher.submit(lane, ["a"], [1])
        await batcher.submit(lane, ["a"], [1])
        assert lane.batches == [["a"], ["a"]]

    run(test)


def test_a_full_queue_refuses_whole_requests_and_says_when_to_come_back():
    async def test(batcher):
        lane = Lane()
        before = await busy(batcher, lane)
        waits = begin(batcher, lane, ["a"], size=90)
        await asyncio.sleep(0.02)
        with pytest.raises(Overloaded, match=r"room for 11 tokens was asked for; 90 wait, of at most 100") as refused:
            await batcher.submit(lane, ["b", "c"], [5, 6])
        assert int(refused.value.headers["retry-after"]) >= 1
        fits = begin(batcher, lane, ["b"], size=10)
        await asyncio.sleep(0.02)
        lane.go.set()
        await asyncio.gather(waits, fits, *before)
        assert "c" not in [*chain(*lane.batches)]

    run(test)


def test_an_empty_queue_takes_any_request():
    async def test(batcher):
        done = await batcher.submit(open_lane(), ["a", "b"], [90, 90])
        assert done.values == ["aa", "bb"]

    run(test)


def test_a_deadline_takes_a_request_out_of_the_queue():
    async def test(batcher):
        lane = Lane()
        before = await busy(batcher, lane)
        with pytest.raises(DeadlineExceeded, match=r"within 0\.05 s was asked for; 2 of 2 texts were still"):
            await batcher.submit(lane, ["late", "later"], [1, 1], deadline=0.05)
        assert batcher.waiting_tokens == 0
        lane.go.set()
        await asyncio.gather(*before)
        await asyncio.sleep(0.05)
        assert "late" not in [*chain(*lane.batches)]

    run(test)


def test_a_cancelled_request_leaves_but_not_what_others_wait_for():
    async def test(batcher):
        lane = Lane()
        before = await busy(batcher, lane)
        goes, stays = begin(batcher, lane, ["a", "both"]), begin(batcher, lane, ["both"])
        await asyncio.sleep(0.02)
        goes.cancel()
        await asyncio.sleep(0.02)
        assert batcher.waiting_tokens == 1
        lane.go.set()
        assert (await stays).values == ["bothboth"]
        await asyncio.gather(*before)
        assert "a" not in [*chain(*lane.batches)]

    run(test)


def test_a_bad_item_fails_its_own_request_alone():
    async def test(batcher):
        lane = Lane()
        before = await busy(batcher, lane)
        good = [begin(batcher, lane, [str(number)]) for number in range(5)]
        bad = begin(batcher, lane, ["x", "bad"])
        await asyncio.sleep(0.02)
        lane.go.set()
        assert [done.values for done in await asyncio.gather(*good)] == [[str(number) * 2] for number in range(5)]
        with pytest.raises(ValueError, match="a bad item"):
            await bad
        await asyncio.gather(*before)
        assert (await batcher.submit(lane, ["after"], [1])).values == ["afterafter"]

    run(test)


def test_results_that_are_too_few_are_an_error_and_not_another_s():
    (error,) = computed_apart(lambda items: [], ["a"])
    assert isinstance(error, AssertionError)
    assert str(error) == "0 results for 1 items"


def test_the_end_answers_what_is_in_flight_and_takes_nothing_more():
    async def test():
        batcher, lane = Batcher(batch_tokens=lambda: 2, queue_tokens=100, max_wait=60, metrics=Metrics()), Lane()
        work = begin(batcher, lane, list("abcdefgh"))
        await asyncio.sleep(0.02)
        end = asyncio.ensure_future(batcher.close())
        await asyncio.sleep(0.02)
        with pytest.raises(Unready, match="this server is being stopped"):
            await batcher.submit(lane, ["late"], [1])
        lane.go.set()
        assert (await work).values == ["aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh"]
        await end

    asyncio.run(test())


def test_batches_are_counted():
    metrics = Metrics()

    async def test():
        batcher = Batcher(batch_tokens=lambda: 5, queue_tokens=100, max_wait=60, metrics=metrics)
        await batcher.submit(open_lane(), ["a", "b", "c"], [2, 3, 4])
        await batcher.close()

    asyncio.run(test())
    page = metrics.page().decode()
    for line in ("te_batch_next_size_sum 3.0", "te_batch_next_size_count 2.0", "te_batch_next_tokens_sum 9.0"):
        assert line in page.splitlines()
    assert 'te_batch_next_tokens_bucket{le="4.0"} 1.0' in page


def test_what_would_wait_too_long_is_refused_and_a_large_request_counts_as_what_a_small_one_waits_for():
    async def test(batcher):
        lane = Lane()
        first = begin(batcher, lane, ["x"], size=80)
        await asyncio.sleep(0.1)
        lane.go.set()
        batcher.max_wait = 5 * (await first).computed  # what 400 tokens take
        lane.go.clear()
        large = begin(batcher, lane, [f"large{number}" for number in range(40)], size=20)
        await asyncio.sleep(0.02)  # two batches of 80 are computed, 640 wait
        small = [begin(batcher, lane, [f"small{number}"], size=10) for number in range(60)]
        await asyncio.sleep(0.02)
        refused = [each for each in small if each.done()]
        assert 10 < len(refused) < 50
        for each in refused:
            with pytest.raises(Overloaded, match=r"a wait of at most [\d.]+ s was asked for; what is ahead takes some"):
                await each
        lane.go.set()
        await asyncio.gather(large, *(each for each in small if each not in refused))

    run(test, batch_tokens=80, queue_tokens=10_000)
