"""Work with the hub in a process of its own: huggingface_hub reads its environment when it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

SCRIPT = """
    import json, os, socket, sys, time, warnings
    arguments = json.loads(sys.argv[1])
    do, offline, quick = (arguments.pop(name) for name in ("do", "offline", "quick"))
    if offline:
        def refuse(*args, **kwargs):
            os._exit(99)
        socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse
    if quick:  # the client waits up to a minute between its tries
        time.sleep = lambda seconds: None
    said = []
    warnings.showwarning = lambda message, *rest: said.append(str(message))
    from wellread.errors import WellreadError
    def resolve(**options):
        from wellread.hub.resolve import resolve
        return {"path": str(resolve(**options).directory)}
    def pull(**options):
        import wellread
        found = wellread.pull(**options)
        return {"path": str(found.directory), "fetched": found.fetched, "commit": found.commit, "notes": found.notes,
                "sha256s": found.sha256s}
    def encode(handles):
        import wellread
        modules = [wellread.load(handle) for handle in handles]
        return {"sums": [float(module.encode("a man").sum()) for module in modules],
                "provenance": [module.info()["provenance"] for module in modules]}
    def refused(handles):
        return {"errors": [error_of(handle) for handle in handles]}
    def error_of(handle):
        try:
            resolve(handle=handle)
        except WellreadError as error:
            return type(error).__name__, str(error)
    try:
        answer = {"resolve": resolve, "pull": pull, "encode": encode, "refused": refused}[do](**arguments)
    except WellreadError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    hub = "huggingface_hub" in sys.modules
    print(json.dumps({**answer, **({"warned": said} if said else {}), **({} if hub else {"without_hub": True})}))
"""


def start(place: Path, endpoint: str, *, environment: Any = (), **arguments: Any) -> subprocess.Popen[bytes]:
    """Start a process whose caches are below `place`."""
    names = ("HF_", "HUGGING", "TRANSFORMERS_", "WELLREAD", "TFHUB", "XDG_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(names) and key != "CI"}
    own = {"HF_HOME": str(place / "hf"), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1,localhost"}
    own |= {"WELLREAD_CACHE": str(place / "wellread"), "TFHUB_CACHE_DIR": str(place / "tfhub")}
    asked = {"do": "resolve", "offline": False, "quick": False, **arguments}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), json.dumps(asked)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env={**kept, **own, **dict(environment)}, stdout=pipe, stderr=pipe)


def answer(process: subprocess.Popen[bytes]) -> Any:
    """Wait for what a process says."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def held(found: dict[str, str]) -> set[str]:
    """Name the files of a directory that was answered."""
    directory = Path(found["path"])
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
