"""A server process: a socket, modules that are loaded behind it, and an end that answers what was asked."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec

from wellread.errors import ServeError
from wellread.module import Module
from wellread.serving.memory import Memory
from wellread.serving.metrics import Metrics
from wellread.serving.modules import Loader, Modules
from wellread.serving.settings import ServeSettings

CONNECTIONS = 65_536  # at most, where the system allows them
# Seconds that a thread of Python keeps the interpreter from one that wants it. By Python's 0.005 the thread that
# computes waited at every batch for the loop: a tenth of the throughput of `default`.
TURN = 0.0002


def serve(
    modules: Mapping[str, Module | Loader],
    settings: ServeSettings | None = None,
    *,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve modules by their names until SIGINT or SIGTERM; answer what was asked until then.

    The socket is open before the modules are loaded: until then `/health` says 503. `on_ready` is told the address when
    they are. With several `workers` they are loaded once, and shared by processes that are forked from this one.

    Raises: ServeError where the address cannot be had, or a worker cannot start; what `wellread.load` does.
    """
    settings = settings or ServeSettings()
    allow_connections()
    listener = listen(settings)
    ready = partial(on_ready, address(listener))
    run = _run_workers if settings.workers > 1 else _run
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        run(Modules(modules), settings, listener, ready)
    finally:
        sys.setswitchinterval(before)


def _run(modules: Modules, settings: ServeSettings, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Load modules in a thread, beside the imports of what serves, and serve them in this process."""
    failures: list[Exception] = []
    made, memory = threading.Event(), Memory(settings)

    def load() -> None:
        try:
            modules.load(memory)
        except Exception as error:
            failures.append(error)
        made.wait()
        if failures:
            server.should_exit = True
        else:
            ready()

    threading.Thread(target=load, daemon=True).start()
    from wellread.serving.app import app
    from wellread.serving.connections import make_server

    server = make_server(app(modules, settings, memory=memory), settings)
    made.set()
    server.run(sockets=[listener])
    if failures:
        raise failures[0]


def _run_workers(modules: Modules, settings: ServeSettings, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Load modules, and serve them in processes that are forked from this one."""
    from wellread.serving.app import app
    from wellread.serving.connections import make_server
    from wellread.serving.workers import run_workers

    metrics, memory = Metrics(settings.workers), Memory(settings)
    modules.load(memory)

    def run(worker: int) -> None:
        metrics.become(worker)
        application = app(modules, settings, metrics=metrics, memory=memory)
        make_server(application, settings).run(sockets=[listener])

    run_workers(settings.workers, run, ready=ready)


def allow_connections() -> None:
    """Have the system allow this process as many connections as it may have: some allow 1,024 unless they are asked."""
    if find_spec("resource"):  # not on Windows
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, CONNECTIONS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def listen(settings: ServeSettings) -> socket.socket:
    """Open the socket. Raises: ServeError where the address is taken, or not of this machine."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # named, for asyncio sets TCP_NODELAY on no other: the body of an answer would wait 40 ms for the client's ACK
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as error:  # the latter of a host that cannot be a name
        listener.close()
        found = getattr(error, "strerror", None) or error
        raise ServeError(
            f"{settings.host}:{settings.port} was to be listened on; found: {found}; choose another with host= and "
            "port=, or stop what listens there"
        ) from None
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


def address(listener: socket.socket) -> str:
    """Return the URL of a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
