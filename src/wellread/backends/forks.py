"""Native libraries across `fork` and threads: graphs are prepared one at a time, and a forked child drops its parent's.

A fork copies the memory of a process and one of its threads. The threads of OpenVINO, ONNX Runtime, OpenMP and
TensorFlow stay behind, and whoever waits for them in the child waits for ever. So before a fork running graphs are
waited for. In the child nothing that they hold is used or freed, for destructors wait too: graphs are prepared anew,
and the process ends without native destructors. OpenVINO prepares them in the thread that asks and for that thread
alone, with the core of the parent: a new core would wait for threads of the first one.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar
from weakref import WeakSet

K = TypeVar("K")
# Frameworks that cannot be started again in a child. Their modules go on with the default backend there.
LOST_IN_A_FORK = ("tensorflow", "keras")
# Backends without threads that outlive a call, or with such as look after themselves.
UNHARMED = ("native", "numpy")

_preparing = threading.RLock()  # of whoever prepares or starts a graph, and of a fork
_started: set[str] = set()  # backends that have computed in this process
_lost: set[str] = set()  # those that had computed in the parent when this process was forked
_caches: WeakSet[GraphCache[Any]] = WeakSet()
_running: set[Any] = set()  # requests under way, by which a fork waits


class GraphCache(Generic[K]):
    """Compiled graphs by what they compute; each is compiled once, however many threads ask."""

    def __init__(self) -> None:
        self._graphs: dict[K, Any] = {}
        _caches.add(self)

    def get(self, key: K, compile: Callable[[], Any]) -> Any:
        """Return the graph of `key`, compiled at the first call."""
        with _preparing:
            if key not in self._graphs:
                self._graphs[key] = compile()
            return self._graphs[key]

    def drop(self, key: K) -> None:
        """Free the graph of `key`: the next call compiles it anew."""
        self._graphs.pop(key, None)

    def keep(self, wanted: Callable[[K], bool]) -> None:
        """Free the graphs whose keys are not wanted."""
        with _preparing:
            self._graphs = {key: graph for key, graph in self._graphs.items() if wanted(key)}

    def clear(self) -> None:
        """Free every graph."""
        self._graphs.clear()

    def abandon(self) -> None:
        """Forget every graph and never free it."""
        for graph in self._graphs.values():
            keep_for_ever(graph)
        self._graphs.clear()


@contextmanager
def preparing(backend: str) -> Iterator[None]:
    """Let one thread at a time prepare something of `backend`, and no fork meanwhile."""
    with _preparing:
        if backend not in UNHARMED:
            _started.add(backend)
        yield


def start(request: Any, inputs: Any) -> None:
    """Start a request; it counts as running until `finish`."""
    with _preparing:
        _running.add(request)
        request.start_async(inputs)


def finish(request: Any) -> None:
    """Wait for a request. Raises: what it raises."""
    try:
        request.wait()
    finally:
        _running.discard(request)


def keep_for_ever(thing: Any) -> None:
    """Count a reference that is never given back, so that no destructor runs."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def was_started(backend: str) -> bool:
    """Tell whether a backend computed in the process that this one was forked from."""
    return backend in _lost


def survives(backend: str) -> bool:
    """Tell whether a module of `backend` can compute on it here: not on those that a fork has ended."""
    return backend not in LOST_IN_A_FORK or backend not in _lost


def warn_of_another(backend: str, other: str) -> None:
    """Say that a module goes on with `other` in this process."""
    warnings.warn(
        f"the {backend} backend was to compute in a forked process; its threads stayed in the parent, so the {other} "
        f'backend computes instead; start the process by "spawn" to keep {backend}',
        RuntimeWarning,
        stacklevel=5,
    )


def _before() -> None:
    _preparing.acquire()
    for request in list(_running):
        with suppress(RuntimeError):  # whoever started it is told
            request.wait()


def _in_child() -> None:
    global _preparing
    _preparing = threading.RLock()
    if not _started and not _lost:
        return
    for cache in list(_caches):
        cache.abandon()
    for request in _running:
        keep_for_ever(request)
    _running.clear()
    if not _lost:
        _end_without_destructors()
    _lost.update(_started)
    _started.clear()
    if "torch" in _lost:
        sys.modules["torch"].set_num_threads(1)  # OpenMP's other threads are gone


def _end_without_destructors() -> None:
    """Let `exit` go straight to `_exit`: destructors of native libraries would wait for threads that are not there."""
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):  # on_exit is of glibc
        libc.on_exit(libc._exit, None)  # called with the status, behind whatever Python does at exit


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=lambda: _preparing.release(), after_in_child=_in_child)
