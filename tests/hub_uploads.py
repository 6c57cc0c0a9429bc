"""A small hub on this machine that takes what the real client of Hugging Face's uploads, keeps it and gives it back."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit

from hub_server import ReadableHub, serving

TOKEN = "hf_right"
LARGE = (".safetensors", ".bin", ".model")  # kept in the large storage, as the hub's .gitattributes say


class UploadHub(ReadableHub):
    """The routes that make, fill and read a repository. `fresh` is its state.

    A fault is an iterator of what becomes of one request each of a route: a number, that HTTP status; "cut", the
    connection ends; "other", other bytes of the same length are kept; "redirect", it is sent to `elsewhere`.
    """

    repositories: dict[str, dict[str, bytes]]  # id -> path -> content, of the newest commit of any branch
    private: set[str]
    branches: set[str]
    stored: dict[str, bytes]  # what was uploaded to the large storage: promised SHA-256 -> content
    created: list[dict]  # what was asked for each time
    says: str  # what goes with an HTTP status that a fault asks for
    commits: list[dict]  # message, branch and the number of files
    asked: list[tuple[str, dict[str, str]]]  # route and headers of each request
    faults: dict[str, Iterator]
    ignored: set[str]  # paths that a .gitignore would name
    part: int | None  # bytes; larger objects are uploaded in parts
    elsewhere: str  # address of another host

    do_HEAD = do_GET = do_POST = do_PUT = lambda self: self.answer()  # noqa: N815 - as http.server calls them

    def answer(self):
        """Find the route of a request and do what it asks, or what its fault says."""
        words = [unquote(word) for word in urlsplit(self.path).path.strip("/").removeprefix("api/models/").split("/")]
        route, arguments = self.route(words)
        fault = next(self.faults.get(route, iter(())), None)
        self.asked.append((route, dict(self.headers)))
        if fault == "cut":
            self.rfile.read(min(1000, int(self.headers.get("Content-Length", 0))))
            self.close_connection = True
            return self.connection.close()
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "redirect":
            return self.send(307, b"", {"Location": self.elsewhere + self.path})
        if isinstance(fault, int):
            return self.send(fault, json.dumps({"error": self.says}).encode(), {"Retry-After": "0"})
        if route in ("create", "batch", "commit", "yaml") and self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.send(401, b'{"error": "Invalid credentials"}', {"X-Error-Message": "Invalid credentials"})
        self.other = fault == "other"
        return getattr(self, route)(*arguments)

    def route(self, words):
        if words[:1] == ["api"]:
            return {"create": "create", "validate-yaml": "yaml"}[words[-1]], ()
        if words[:1] == ["storage"]:
            return ("put" if self.command == "PUT" else "complete"), words[1:]
        if words[-1] == "batch":
            return "batch", ()
        name = "/".join(words[:2])
        if len(words) == 2:
            return "about", (name,)
        kinds = {"preupload": "preupload", "commit": "commit", "branch": "branch", "tree": "tree", "revision": "about"}
        if words[2] == "xet-write-token":
            return "xet", ()
        if words[2] == "resolve":
            return "file", (name, "/".join(words[4:]))
        return kinds[words[2]], (name, words[3])

    def say(self, values, status=200):
        self.send(status, json.dumps(values).encode())

    def here(self, path):
        return f"http://{self.headers['Host']}/{path}"

    def create(self):
        given = json.loads(self.body)
        self.created.append(given)
        name = f"{given['organization'] or 'owner'}/{given['name']}"
        known = name in self.repositories
        self.repositories.setdefault(name, {".gitattributes": b"*.safetensors filter=lfs\n"})
        if not known and given.get("visibility") == "private":
            self.private.add(name)
        self.say({"url": self.here(name)}, 409 if known else 200)

    def branch(self, name, branch):
        self.branches.add(branch)
        self.say({})

    def yaml(self):
        self.say({"errors": [], "warnings": []})

    def preupload(self, name, branch):
        assert branch in self.branches
        self.say({"files": [self.mode(name, file["path"]) for file in json.loads(self.body)["files"]]})

    def mode(self, name, path):
        held = self.repositories[name].get(path)
        mode = "lfs" if path.endswith(LARGE) else "regular"
        oid = held and (hashlib.sha256(held).hexdigest() if mode == "lfs" else blob_id(held))
        return {"path": path, "uploadMode": mode, "shouldIgnore": path in self.ignored, "oid": oid}

    def xet(self):
        self.send(404, b"{}")  # as mirrors do, which have no Xet storage

    def batch(self):
        given = json.loads(self.body)
        self.say({"transfer": "basic", "objects": [self.actions(each) for each in given["objects"]]})

    def actions(self, wanted):
        oid, size = wanted["oid"], wanted["size"]
        if oid in self.stored:
            return {"oid": oid, "size": size}
        upload = {"href": self.here(f"storage/{oid}"), "header": {}}
        if self.part is not None and size > self.part:
            parts = range(1, math.ceil(size / self.part) + 1)
            urls = {str(number): self.here(f"storage/{oid}/{number}") for number in parts}
            upload["header"] = {"chunk_size": str(self.part), **urls}
        return {"oid": oid, "size": size, "actions": {"upload": upload}}

    def put(self, oid, part=None):
        content = bytes(len(self.body)) if self.other else self.body
        self.stored[oid if part is None else f"{oid}/{part}"] = content
        self.send(200, b"", {"ETag": f'"{part}"'})

    def complete(self, oid):
        numbers = [each["partNumber"] for each in json.loads(self.body)["parts"]]
        self.stored[oid] = b"".join(self.stored.pop(f"{oid}/{number}") for number in numbers)
        self.say({})

    def commit(self, name, branch):
        lines = [json.loads(line) for line in self.body.splitlines()]
        head, files = lines[0]["value"], lines[1:]
        for line in files:
            value = line["value"]
            content = self.stored[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])
            self.repositories[name][value["path"]] = bytes(len(content)) if self.other else content
        self.commits.append({"message": head["summary"], "branch": branch, "files": len(files)})
        oid = self.head()
        self.say({"commitOid": oid, "commitUrl": self.here(f"{name}/commit/{oid}")})

    def head(self):
        return hashlib.sha1(str(len(self.commits)).encode()).hexdigest()

    def about(self, name, revision="main"):
        if name not in self.repositories:
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        files = [{"rfilename": path} for path in self.repositories[name]]
        return self.say({"id": name, "sha": self.head(), "siblings": files, "private": name in self.private})

    def tree(self, name, revision):
        assert parse_qs(urlsplit(self.path).query)["recursive"][0].lower() == "true"
        self.say([described(path, content) for path, content in self.repositories[name].items()])

    def file(self, name, path):
        content = self.repositories.get(name, {}).get(path)
        if content is None:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        tag = hashlib.sha256(content).hexdigest() if path.endswith(LARGE) else blob_id(content)
        return self.send(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": self.head()})


def described(path, content):
    """Say of a file what the hub's tree says."""
    facts = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if path.endswith(LARGE):
        facts["oid"] = blob_id(b"a pointer")
        facts["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return facts


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def fresh():
    """The state of a hub without repositories."""
    lists = {"created": [], "commits": [], "asked": [], "ignored": set(), "says": "as the test asked"}
    kept = {"repositories": {}, "private": set(), "branches": {"main"}, "stored": {}, **lists}
    return {**kept, "faults": {}, "part": None, "elsewhere": ""}


@contextmanager
def uploads():
    """Serve a hub without repositories; give its address and its class, which holds what it was asked and given."""
    handler = type("OwnHub", (UploadHub,), fresh())
    with serving(handler) as address:
        yield address, handler
