"""A server of modules on this machine, as repositories of the Hugging Face hub and, one of them, as an archive."""

from __future__ import annotations

import http.server
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from wellread.files import sha256

COMMIT = "c" * 40
OWNER = "bench"
REPOSITORY, DEFAULT = f"{OWNER}/module", f"{OWNER}/default"  # noise of any size, and the embedded default
ARCHIVE = "module.tar"


class Handler(http.server.SimpleHTTPRequestHandler):
    """The read routes that huggingface_hub asks, and plain files."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else small files wait 40 ms for an acknowledgement
    root: Path
    sums: dict[str, dict[str, str]]  # directory of a module -> file in it -> SHA-256

    def do_HEAD(self) -> None:
        """Answer a question about a file."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(body=True)

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        owner, *rest = urlsplit(self.path).path.strip("/").removeprefix("api/models/").split("/")
        if owner != OWNER:
            return self._file(self.root / owner, {}, body=body)
        name, *words = rest
        if words[:1] == ["resolve"]:
            file = "/".join(words[2:])
            headers = {"ETag": f'"{self.sums[name][file]}"', "X-Repo-Commit": COMMIT}
            return self._file(self.root / name / file, headers, body=body)
        return self._json(self._tree(name) if words[:1] == ["tree"] else self._info(name))

    def _info(self, name: str) -> object:
        entries = self._tree(name)
        siblings = [{"rfilename": each["path"], "blobId": each["oid"], "lfs": each["lfs"]} for each in entries]
        return {"id": f"{OWNER}/{name}", "sha": COMMIT, "siblings": siblings}

    def _tree(self, name: str) -> list[dict[str, object]]:
        return [self._entry(self.root / name / file, file, digest) for file, digest in self.sums[name].items()]

    def _entry(self, path: Path, name: str, digest: str) -> dict[str, object]:
        size = path.stat().st_size
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


def _sums(module: Path) -> dict[str, str]:
    files = sorted(path for path in module.rglob("*") if path.is_file())
    return {path.relative_to(module).as_posix(): sha256(path) for path in files}


def main() -> None:
    """Serve what the directory of the first argument holds; print the port, and stop when stdin ends."""
    root = Path(sys.argv[1])
    sums = {module.name: _sums(module) for module in root.iterdir() if module.is_dir()}
    handler = type("OwnHandler", (Handler,), {"root": root, "sums": sums})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
