"""A server of one module on this machine, as a repository of the Hugging Face hub and as an archive."""

from __future__ import annotations

import http.server
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from wellread.hub.cache import sha256

COMMIT = "c" * 40
REPOSITORY = "bench/module"
ARCHIVE = "module.tar"


class Handler(http.server.SimpleHTTPRequestHandler):
    """The read routes that huggingface_hub asks, and plain files."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else small files wait 40 ms for an acknowledgement
    root: Path
    sums: dict[str, str]  # file of the repository -> SHA-256

    def do_HEAD(self) -> None:
        """Answer a question about a file."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(body=True)

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        words = urlsplit(self.path).path.strip("/").removeprefix("api/models/").split("/")
        if words[2:3] == ["resolve"]:
            name = "/".join(words[4:])
            headers = {"ETag": f'"{self.sums[name]}"', "X-Repo-Commit": COMMIT}
            return self._file(self.root / "module" / name, headers, body=body)
        if "/".join(words[:2]) == REPOSITORY:
            return self._json(self._tree() if words[2:3] == ["tree"] else self._about())
        return self._file(self.root / words[0], {}, body=body)

    def _about(self) -> object:
        siblings = [{"rfilename": each["path"], "blobId": each["oid"], "lfs": each["lfs"]} for each in self._tree()]
        return {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}

    def _tree(self) -> list[dict[str, object]]:
        return [self._entry(name, digest) for name, digest in self.sums.items()]

    def _entry(self, name: str, digest: str) -> dict[str, object]:
        size = (self.root / "module" / name).stat().st_size
        lfs = {"oid": digest, "sha256": digest, "size": size, "pointerSize": 1}
        return {"type": "file", "path": name, "size": size, "oid": "0" * 40, "lfs": lfs}

    def _json(self, data: object) -> None:
        content = json.dumps(data).encode()
        self._head({}, len(content))
        self.wfile.write(content)

    def _file(self, path: Path, headers: dict[str, str], *, body: bool) -> None:
        self._head(headers, path.stat().st_size)
        if body:
            with path.open("rb") as file:
                self.connection.sendfile(file)

    def _head(self, headers: dict[str, str], length: int) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    """Serve what the directory of the first argument holds; print the port, and stop when stdin ends."""
    root = Path(sys.argv[1])
    files = [path for path in (root / "module").rglob("*") if path.is_file()]
    sums = {path.relative_to(root / "module").as_posix(): sha256(path) for path in sorted(files)}
    handler = type("OwnHandler", (Handler,), {"root": root, "sums": sums})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
