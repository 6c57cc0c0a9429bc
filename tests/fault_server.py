"""A server of files on this machine whose faults a test switches on, request by request; it keeps what it was asked."""

from __future__ import annotations

import http.server
import io
import re
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub_server import serving


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with one request, or with all that follow."""

    always: bool = False
    status: int | None = None  # in place of the file
    headers: dict[str, str] = field(default_factory=dict)  # beside or in place of the right ones
    content: bytes | None = None  # in place of the right one
    cut: int | None = None  # bytes sent before the connection is closed
    redirect: str | None = None
    ranges: bool = True  # whether a part can be asked for
    heed: bool = True  # whether If-Range is looked at
    pause: float = 0.0  # seconds between the halves of the answer


@dataclass
class Files:
    """What a server holds, what is to go wrong, and what it was asked."""

    address: str = ""
    held: dict[str, bytes] = field(default_factory=dict)  # by path, such as /a.bin
    headers: dict[str, dict[str, str]] = field(default_factory=dict)  # sent along with a path's file
    faults: dict[str, list[Fault]] = field(default_factory=dict)  # by path, in the order of requests
    seen: list[dict[str, Any]] = field(default_factory=list)  # path, Host and every header, of each request

    @property
    def elsewhere(self) -> str:
        """The same server under another name, which is another host to a client."""
        return self.address.replace("127.0.0.1", "localhost")

    def clear(self) -> None:
        """Forget everything but the address."""
        for kept in (self.held, self.headers, self.faults, self.seen):
            kept.clear()

    def put(self, path: str, content: bytes, *faults: Fault, **headers: str) -> str:
        """Hold a file, with what is to go wrong; return its address."""
        self.held[path] = content
        self.headers[path] = {"ETag": '"first"', **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.faults[path] = list(faults)
        return self.address + path


class Faulty(http.server.BaseHTTPRequestHandler):
    """Sends files, whole or in part, and does what the faults say."""

    files: Files
    lock: threading.Lock

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = self.path.partition("?")[0]
        with self.lock:
            self.files.seen.append({"path": self.path, **self.headers})
            faults = self.files.faults.get(path, [])
            fault = faults[0] if faults else Fault()
            if faults and not fault.always:
                faults.pop(0)
        if fault.redirect is not None:
            return self.answer(302, b"", {"Location": fault.redirect})
        if path not in self.files.held:
            return self.answer(404, b"")
        if fault.status is not None:
            return self.answer(fault.status, b"", fault.headers)
        content = self.files.held[path] if fault.content is None else fault.content
        return self.send_file(content, {**self.files.headers[path], **fault.headers}, fault)

    def send_file(self, content, headers, fault):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, headers.get("ETag"), headers.get("Last-Modified"))
        if not asked or not fault.ranges or (fault.heed and not same):
            return self.answer(200, content, headers, fault)
        start, size = int(asked[1]), len(content)
        if start >= size:
            return self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
        headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}", **headers}
        return self.answer(206, content[start:], headers, fault)

    def answer(self, status, content, headers=(), fault=None):
        fault = fault or Fault()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **dict(headers)}.items():
            if value:  # an empty one leaves a header out
                self.send_header(name, value)
        self.end_headers()
        half = len(content) // 2
        sent = content if fault.cut is None else content[: fault.cut]
        with suppress(ConnectionError):  # the client has gone
            self.wfile.write(sent[:half])
            time.sleep(fault.pause)
            self.wfile.write(sent[half:])


@contextmanager
def faulty() -> Iterator[Files]:
    """Serve on this machine."""
    files = Files()
    handler = type("OwnFaulty", (Faulty,), {"files": files, "lock": threading.Lock()})
    with serving(handler) as files.address:
        yield files


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """Make a .tar.gz."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def held(directory: Path) -> dict[str, bytes]:
    """Read every file of a directory."""
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}
