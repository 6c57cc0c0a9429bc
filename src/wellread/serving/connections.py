"""uvicorn as we run it: its protocol ends connections that ask nothing, its process ends with 0 after SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from wellread.serving.settings import ServeSettings

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Both are compiled, and not made for every system: one short text takes a third less of the server's time with them.
LOOP = "uvloop" if find_spec("uvloop") else "asyncio"
Parser: Any
if find_spec("httptools"):
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Parser
else:
    from uvicorn.protocols.http.h11_impl import H11Protocol as Parser


class _Protocol(Parser):
    """HTTP/1.1 that ends a connection on which no request comes in time."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._end_if_idle(since=self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look.cancel()  # which holds what this connection last asked
        super().connection_lost(exc)

    def _end_if_idle(self, since: Any) -> None:
        """Close where no request was being answered at two looks, and give up a client that does not fetch the rest."""
        self._look = self.loop.call_later(self.config.timeout_keep_alive, self._end_if_idle, self.cycle)
        if self.transport.is_closing():
            self.transport.abort()
        elif since is self.cycle and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()


class _Server(uvicorn.Server):
    """A server whose process ends with 0 after SIGTERM, for all was answered."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_server(application: ASGIApp, settings: ServeSettings) -> uvicorn.Server:
    """Return a server that `run(sockets=[listener])` starts, and that ends when `should_exit` is set."""
    return _Server(
        uvicorn.Config(
            application,
            http=_Protocol,
            loop=LOOP,
            ws="none",
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # no client may say where it comes from
            server_header=False,
            timeout_keep_alive=max(1, round(settings.body_timeout)),
            timeout_graceful_shutdown=max(1, round(settings.drain_timeout)),
        )
    )
