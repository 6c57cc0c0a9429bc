"""A small hub on this machine that speaks the read routes of Hugging Face's to its real client, faults included."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

COMMIT = "c" * 40
LOCK = threading.Lock()


@dataclass
class Fault:
    """What goes wrong with a request: a status, or what becomes of the content."""

    path: str  # a pattern of addresses, without host and query
    does: int | str  # a status; "cut", "wrong", or "stall" until the hub is `released`
    times: int = 1
    method: str = "GET"
    after: int = 0  # cut and stall: the bytes that are sent before
    headers: tuple[tuple[str, str], ...] = ()


class ReadableHub(http.server.BaseHTTPRequestHandler):
    """What repositories hold, and their files.

    `lfs` names the files that are kept in LFS: their content is at `cdn`, another host, or else below /cdn here.
    """

    repositories: dict[str, dict[str, bytes | Path]]  # id -> path in the repository -> content, or where it lies
    revisions: dict[str, str] | None = None  # revision -> commit; None: every revision is COMMIT
    tokens: Mapping[str, str] = MappingProxyType({})  # id -> the token that may read it
    gated: tuple[str, ...] = ()
    lfs: tuple[str, ...] = ()  # patterns of paths
    cdn: str = ""
    plain: Mapping[str, bytes] = MappingProxyType({})  # path -> content, of no repository
    failing: list[Fault]
    released: threading.Event
    seen: list[dict[str, str | None]]  # every request: method, path, Authorization, User-Agent, Range

    def __init_subclass__(cls) -> None:
        cls.seen = vars(cls).get("seen", [])
        cls.failing = vars(cls).get("failing", [])
        cls.released = threading.Event()

    def do_HEAD(self):
        self.read()

    def do_GET(self):
        self.read()

    def log_message(self, *args):
        pass

    def read(self):
        path = urlsplit(self.path).path
        headers = {name: self.headers.get(name) for name in ("Authorization", "User-Agent", "Range")}
        self.seen.append({"method": self.command, "path": path, **headers})
        self.fault = self._fault(path)
        if self.fault and isinstance(self.fault.does, int):
            return self.send(self.fault.does, b"{}", self.fault.headers)
        if path in self.plain:
            return self.send_part(self.plain[path], {"ETag": f'"{git_id(self.plain[path])}"'})
        words = path.strip("/").removeprefix("api/models/").split("/")
        if words[0] == "cdn":
            return self.send_part(self._blob(words[1]), {"ETag": f'"{words[1]}"', "X-Repo-Commit": words[2]})
        name, rest = "/".join(words[:2]), words[2:]
        if name not in self.repositories or not self._may_read(name):
            return self.send(401 if name in self.tokens else 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if name in self.gated:
            return self.send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        revision = rest[1] if len(rest) > 1 else "main"
        commit = COMMIT if self.revisions is None else self.revisions.get(revision, revision)
        if self.revisions is not None and commit not in self.revisions.values():
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        held = {path: _content(source) for path, source in self.repositories[name].items()}
        if rest[:1] == ["resolve"]:
            return self._send_file(held, "/".join(rest[2:]), commit)
        entries = [self._described(path, content) for path, content in held.items()]
        if rest[:1] == ["tree"]:
            return self.send(200, json.dumps([{"type": "file", **entry} for entry in entries]).encode())
        blobs = "blobs" in parse_qs(urlsplit(self.path).query)
        siblings = [{"rfilename": each["path"], **(_sibling(each) if blobs else {})} for each in entries]
        return self.send(200, json.dumps({"id": name, "sha": commit, "siblings": siblings}).encode())

    def send(self, status, content, headers=()):
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **dict(headers)}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.write(content)

    def write(self, content):
        fault = getattr(self, "fault", None)
        if fault is None or fault.does not in ("cut", "wrong", "stall"):
            self.wfile.write(content)
        elif fault.does == "wrong":
            self.wfile.write(bytes(byte ^ 1 for byte in content))
        else:
            self.wfile.write(content[: fault.after])
            self.wfile.flush()
            if fault.does == "stall":
                self.released.wait(30)
                self.wfile.write(content[fault.after :])
            self.close_connection = True

    def send_part(self, content, headers=()):
        """Send a file, or the part of it that a Range header asks for."""
        asked = self.headers.get("Range")
        if not asked:
            return self.send(200, content, {"Accept-Ranges": "bytes", **dict(headers)})
        start = int(asked.removeprefix("bytes=").split("-")[0])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.send(206, content[start:], {"Content-Range": span, **dict(headers)})

    def _send_file(self, held, path, commit):
        if path not in held:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        content, headers = held[path], {"X-Repo-Commit": commit}
        if not self._in_lfs(path):
            return self.send_part(content, {**headers, "ETag": f'"{git_id(content)}"'})
        digest = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        here = f"http://{self.headers['Host']}"
        return self.send(302, b"", {**headers, **linked, "Location": f"{self.cdn or here}/cdn/{digest}/{commit}"})

    def _described(self, path, content):
        entry = {"path": path, "size": len(content), "oid": git_id(content)}
        if self._in_lfs(path):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "sha256": digest, "size": len(content), "pointerSize": 130}
        return entry

    def _blob(self, digest):
        every = (_content(source) for held in self.repositories.values() for source in held.values())
        return next(content for content in every if hashlib.sha256(content).hexdigest() == digest)

    def _in_lfs(self, path):
        return any(fnmatchcase(path, pattern) for pattern in self.lfs)

    def _may_read(self, name):
        return name not in self.tokens or self.headers.get("Authorization") == f"Bearer {self.tokens[name]}"

    def _fault(self, path):
        with LOCK:
            for fault in self.failing:
                if fault.times and fault.method == self.command and fnmatchcase(path, fault.path):
                    fault.times -= 1
                    return fault
        return None


def _content(source: bytes | Path) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source


def _sibling(entry):
    return {"size": entry["size"], "blobId": entry["oid"], **({"lfs": entry["lfs"]} if "lfs" in entry else {})}


def git_id(content: bytes) -> str:
    """Return the id that git gives to a file's content, which is the hub's ETag of it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on this machine; give the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
