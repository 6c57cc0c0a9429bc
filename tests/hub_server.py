"""A small hub on this machine that speaks the read routes of Hugging Face's to its real client."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "c" * 40


class ReadableHub(http.server.BaseHTTPRequestHandler):
    """What a repository holds, and its files."""

    repositories: dict[str, dict[str, bytes | Path]]  # id -> path in the repository -> content, or where it lies

    def do_HEAD(self):
        self.read()

    def do_GET(self):
        self.read()

    def log_message(self, *args):
        pass

    def read(self):
        words = urlsplit(self.path).path.strip("/").removeprefix("api/models/").split("/")
        name, rest = "/".join(words[:2]), words[2:]
        if name not in self.repositories:
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        held = {path: _content(source) for path, source in self.repositories[name].items()}
        if rest[:1] == ["resolve"]:
            path = "/".join(rest[2:])
            if path not in held:
                return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return self.send(200, held[path], {"ETag": f'"{_digest(held[path])}"', "X-Repo-Commit": COMMIT})
        if rest[:1] == ["tree"]:
            listed = [{"type": "file", "path": p, "size": len(c), "oid": _digest(c)} for p, c in held.items()]
            return self.send(200, json.dumps(listed).encode())
        about = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": path} for path in held]}
        return self.send(200, json.dumps(about).encode())

    def send(self, status, content, headers=()):
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **dict(headers)}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.write(content)

    def write(self, content):
        self.wfile.write(content)


def _content(source: bytes | Path) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on this machine; give the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
