"""A server that runs in a thread, with a client of it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import httpx

from wellread.serving.app import app
from wellread.serving.connections import make_server
from wellread.serving.modules import Modules
from wellread.serving.server import address, listen
from wellread.serving.settings import ServeSettings


@contextmanager
def serving(modules, **settings):
    """Serve modules by their names; give a client of the running server."""
    settings = ServeSettings(**{"port": 0, "drain_timeout": 5.0, **settings})
    listener, known = listen(settings), Modules(modules)
    known.load()
    server = make_server(app(known, settings), settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    url = address(listener)
    thread.start()
    try:
        with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
            while not server.started:
                time.sleep(0.01)
            yield client
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
