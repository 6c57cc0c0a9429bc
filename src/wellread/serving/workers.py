"""Processes that serve one socket: forked after the modules were loaded, so that all share one copy of the weights."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

from wellread.errors import ServeError

FASTEST = 1.0  # seconds; a worker that lives shorter than that is not started again


def run_workers(count: int, run: Callable[[int], None], *, ready: Callable[[], None]) -> None:
    """Run so many processes, each under its number, until SIGINT or SIGTERM; one that dies is replaced.

    Raises: ServeError where there is no fork, and where a worker dies as soon as it was started.
    """
    if not hasattr(os, "fork"):
        raise ServeError(f"workers={count} was asked for; this system cannot fork; start one server a port instead")
    ending = False
    started: dict[int, tuple[int, float]] = {}  # process -> its number, and when it was started

    def end(number: int, frame: object) -> None:
        nonlocal ending
        ending = True
        for process in list(started):
            os.kill(process, signal.SIGTERM)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    fault = ""
    try:
        for worker in range(count):
            _start(worker, run, started)
        ready()
        while started:
            process, status = os.wait()
            worker, began = started.pop(process, (0, 0.0))
            lived = time.monotonic() - began
            if ending:
                continue
            code = os.waitstatus_to_exitcode(status)
            print(f"wellread: worker {process} ended with {code}", file=sys.stderr, flush=True)
            if lived < FASTEST:
                fault = f"worker {process} was to serve; it ended with {code} after {lived:.1f} s; see its log above"
                end(signal.SIGTERM, None)
            else:
                _start(worker, run, started)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if fault:
        raise ServeError(fault)


def _start(worker: int, run: Callable[[int], None], started: dict[int, tuple[int, float]]) -> None:
    """Fork a process that serves and never comes back here."""
    process = os.fork()
    if process:
        started[process] = (worker, time.monotonic())
        return
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        run(worker)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
