"""What stands before every route: the key, the size and the time of a body, and errors that no one caught."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
import traceback
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wellread.serving.faults import Fault, Overloaded, Slow, TooLarge, Unauthorized, fault_of, refuse
from wellread.serving.memory import BODY, REQUEST, Share
from wellread.serving.page import FILES
from wellread.serving.routes import path_of
from wellread.serving.state import SHARE, Server

OPEN = {"/health", "/ping", "/.well-known/ready", "/.well-known/live", *FILES}  # to GET them needs no key
PIECE = 1 << 20  # bytes of an answer that are sent at once
LOG = logging.getLogger("wellread.serving")


class Guard:
    """Let a request through to `app` when its key is right and its whole body is here."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app, self.settings, self.metrics, self.memory = app, server.settings, server.metrics, server.memory
        self.under_way = 0  # POST requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, path = time.perf_counter(), 0, path_of(scope)
        asks = scope["method"] == "POST"
        share = scope[SHARE] = Share(self.memory)
        self.under_way += asks

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await self._send(message, send)

        try:
            headers = dict(scope["headers"])
            if asks or path not in OPEN:  # POST / is a route of TEI's, and no file
                self._check_key(headers.get(b"authorization", b""))
            if asks:
                self._check_load()
                share.take(REQUEST)
            body = await self._body(headers, receive, share)
            if body is not None:
                await self.app(scope, _replayed(body, receive), sent)
        except Exception as error:  # the last place before the server's own log, which would hold its message
            fault = fault_of(error)
            if fault.status == 500:
                LOG.error("%s at\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            if status:
                status = 0  # an answer that was begun, and did not come to its end
            else:
                await refuse(path, fault)(scope, receive, sent)
        finally:
            share.end()
            self.under_way -= asks
        if asks:
            self.metrics.count("te_request_count")
            self.metrics.count("te_request_success" if 200 <= status < 300 else "te_request_failure")
            self.metrics.observe("te_request_duration", time.perf_counter() - began)

    def _check_key(self, given: bytes) -> None:
        wanted = self.settings.api_key.strip()  # as the header comes
        if not wanted:
            return
        scheme, _, key = given.partition(b" ")
        # compared even where there is none, so that time tells nothing
        same = hmac.compare_digest(key.strip(), wanted.encode("utf-8"))
        if scheme.lower() != b"bearer" or not same:
            found = "another" if given else "none"
            raise Unauthorized(f"the key of this server was asked for; found {found}; send Authorization: Bearer KEY")

    def _check_load(self) -> None:
        most = self.settings.max_requests
        if self.under_way > most:
            raise Overloaded(
                f"an answer was asked for; {most} requests are being answered, as many as may be; try again in 1 s",
                retry_after=1,
            )

    async def _send(self, message: Message, send: Send) -> None:
        """Send a part of an answer; a long one in pieces, so that what the client does not fetch is not done with.

        Raises: TimeoutError where it fetches a piece too slowly.
        """
        body = message.get("body", b"")
        if len(body) <= PIECE or message.get("more_body"):
            await send(message)
            return
        for begin in range(0, len(body), PIECE):
            async with asyncio.timeout(self.settings.body_timeout):
                await send({**message, "body": body[begin : begin + PIECE], "more_body": True})
        async with asyncio.timeout(self.settings.body_timeout):
            await send({"type": "http.response.body", "body": b""})

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, share: Share) -> bytes | None:
        """Read a whole body; None if the client went away."""
        limit, seconds = self.settings.max_body_bytes, self.settings.body_timeout
        stated = headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated) > limit:
            raise _too_large(limit, f"one of {int(stated)}")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    share.take(BODY * len(parts[-1]))
                    if size > limit:
                        raise _too_large(limit, "more")
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise Slow(
                f"a whole body within {seconds:g} s was asked for; found {size} bytes of it; send it faster, or less"
            ) from None


def _too_large(limit: int, found: str) -> Fault:
    return TooLarge(f"a body of at most {limit} bytes was asked for; found {found}; send the texts in parts")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body at once, and then what the server says."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
