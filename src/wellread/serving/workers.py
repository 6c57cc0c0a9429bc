"""Processes that serve one socket: forked after the modules were loaded, so that all share one copy of the weights."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress

from wellread.errors import ServeError

FASTEST = 1.0  # seconds; a worker that lives shorter than that is not started again
SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
            with suppress(ProcessLookupError):  # it was just waited for
                os.kill(process, signal.SIGTERM)

    def start(worker: int) -> None:
        _start(worker, run, started)
        if ending:  # since before this one was known
            end(signal.SIGTERM, None)

    before = {number: signal.signal(number, end) for number in SIGNALS}
    fault = ""
    try:
        for worker in range(count):
            start(worker)
        ready()
        while started:
            process, status = os.wait()
            if process not in started:  # no worker of ours
                continue
            worker, began = started.pop(process)
            lived = time.monotonic() - began
            if ending:
                continue
            code = os.waitstatus_to_exitcode(status)
            print(f"wellread: worker {process} ended with {code}", file=sys.stderr, flush=True)
            if lived < FASTEST:
                fault = f"worker {process} was to serve; it ended with {code} after {lived:.1f} s; see its log above"
                end(signal.SIGTERM, None)
            else:
                start(worker)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if fault:
        raise ServeError(fault)


def _start(worker: int, run: Callable[[int], None], started: dict[int, tuple[int, float]]) -> None:
    """Fork a process that serves and never comes back here."""
    # until its handlers are its own: by those of this one it would end the others, and not itself
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    process = os.fork()
    if process:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        started[process] = (worker, time.monotonic())
        return
    code = 1
    try:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        run(worker)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
