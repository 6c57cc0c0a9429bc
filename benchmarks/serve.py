"""A module behind HTTP: many clients beside `encode` in the process, one short text, latencies under load, overload."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wellread
from benchmarks.machine import Machine, lacks, this_machine
from benchmarks.report import ABSENT, ratio, table
from wellread.errors import BenchError

CLIENTS, TEXTS = 64, 8  # connections, and texts of a request
REQUESTS = 400
SHARE = 0.7  # of the throughput, where latencies are measured
OVERLOAD = 2.0
PATH = "/v1/embeddings"
INFINITY = Path(sys.prefix) / "infinity" / "bin" / "infinity_emb"  # made by `make .venv/infinity`
OF_INFINITY = (
    *("--host", "127.0.0.1", "--url-prefix", "/v1", "--served-model-name", "default"),
    *("--engine", "torch", "--device", "cpu", "--no-bettertransformer"),
)
OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
CLIENT = Path(__file__).with_name("serve_client.py")
# What a page of documentation would have one write: sentence-transformers behind FastAPI.
PEER = """
import sys
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

class Body(BaseModel):
    input: list[str]

app, model = FastAPI(), SentenceTransformer(sys.argv[1], device="cpu")

@app.post("/v1/embeddings")
def embeddings(body: Body):
    vectors = model.encode(body.input).tolist()
    return {"object": "list", "data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)

Server(uvicorn.Config(app, port=0, log_level="error")).run()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRow:
    """One way to ask for vectors; medians of the rounds."""

    system: str
    lacks: str | None = None  # why it was not measured
    ready: float | None = None  # seconds from the start of the process to its address
    rate: float = 0.0  # texts a second of CLIENTS clients at once
    one: float = 0.0  # seconds of one short text alone
    loaded: tuple[float, float] | None = None  # median and 99th percentile of a request's seconds at SHARE of the rate
    overload: dict[str, int] | None = None  # status -> answers at OVERLOAD times the rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeResult:
    """The result of `run_serve`."""

    model: str
    rounds: int
    machine: Machine
    rows: tuple[ServeRow, ...]

    def derived(self) -> list[dict[str, Any]]:
        """Return the throughput of each beside the first, `encode` in the process."""
        return [{"ratio": row.rate / self.rows[0].rate if row.rate else None} for row in self.rows]

    def paragraphs(self) -> list[str]:
        """Write the table."""
        said = (
            f"{self.model}: {CLIENTS} clients with {TEXTS} texts a request, medians of {self.rounds} rounds; latencies "
            f"of requests at {SHARE:.0%} of the throughput; answers at {OVERLOAD:g} times it; clients and server share "
            "the cores"
        )
        header = ("", "ready, s", "texts/s", "beside encode", "one text, ms", "p50, ms", "p99, ms", "overload")
        return [said, table(header, [self._cells(*pair) for pair in zip(self.rows, self.derived(), strict=True)])]

    def _cells(self, row: ServeRow, more: dict[str, Any]) -> tuple[str, ...]:
        if row.lacks is not None:
            return (row.system, *[ABSENT] * 6, row.lacks)
        p50, p99 = (f"{1000 * x:.1f}" for x in row.loaded) if row.loaded else (ABSENT, ABSENT)
        ready = ABSENT if row.ready is None else f"{row.ready:.2f}"
        answers = ", ".join(f"{status}: {count}" for status, count in sorted((row.overload or {}).items())) or ABSENT
        return (row.system, ready, f"{row.rate:,.0f}", ratio(more["ratio"]), f"{1000 * row.one:.1f}", p50, p99, answers)


def run_serve(model: str, texts: Sequence[str], *, peers: Path, rounds: int) -> ServeResult:
    """Measure `encode` in this process, our server, and the peers' of the model in `peers`; one after the other."""
    short = min(texts, key=len)
    requests = [texts[i : i + TEXTS] for i in range(0, len(texts) - TEXTS + 1, TEXTS)] or [list(texts)]
    rows = [_in_process(model, requests, short, rounds)]
    own = [sys.executable, "-m", "wellread", "serve", model, "--port", "0"]
    rows.append(_served("wellread serve", own, requests, short, rounds))
    name = "sentence-transformers behind FastAPI"
    if (missing := lacks(("sentence_transformers", "fastapi", "uvicorn"))) is not None:
        rows.append(ServeRow(system=name, lacks=missing))
    else:
        with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
            script.write(PEER)
            script.flush()
            rows.append(_served(name, [sys.executable, script.name, str(peers)], requests, short, rounds))
    if INFINITY.exists():
        command = [str(INFINITY), "v2", "--model-id", str(peers), *OF_INFINITY, "--port", str(_free_port())]
        rows.append(_served("infinity", command, requests, short, rounds))
    else:
        rows.append(ServeRow(system="infinity", lacks="not installed; make .venv/infinity"))
    return ServeResult(model=Path(model).name, rounds=rounds, machine=this_machine(), rows=tuple(rows))


def _in_process(model: str, requests: Sequence[Sequence[str]], short: str, rounds: int) -> ServeRow:
    module = wellread.load(model)
    texts = [text for number in range(REQUESTS) for text in requests[number % len(requests)]]
    module.encode(texts[:64])
    many, one = [], []
    for _ in range(rounds):
        many.append(_seconds(module, texts))
        one += [_seconds(module, [short]) for _ in range(50)]
    return ServeRow(system="encode", rate=len(texts) / statistics.median(many), one=statistics.median(one))


def _seconds(module: wellread.Module, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    module.encode(list(texts), show_progress_bar=False)
    return time.perf_counter() - began


def _served(
    system: str, command: Sequence[str], requests: Sequence[Sequence[str]], short: str, rounds: int
) -> ServeRow:
    """Start a server, ask it, and end it."""
    with _server(command) as (port, ready):
        _ask(port, requests, connections=4, count=20)
        many = [_ask(port, requests, connections=CLIENTS, count=REQUESTS) for _ in range(rounds)]
        answers = statistics.median(each["statuses"].get("200", 0) / each["seconds"] for each in many)  # a second
        alone = _ask(port, [[short]], connections=1, count=100)
        loaded = _ask(port, requests, connections=CLIENTS, count=REQUESTS, rate=SHARE * answers)
        over = _ask(port, requests, connections=4 * CLIENTS, count=2 * REQUESTS, rate=OVERLOAD * answers)
    cuts = statistics.quantiles(loaded["latencies"], n=100)
    return ServeRow(
        system=system,
        ready=ready,
        rate=answers * TEXTS,
        one=statistics.median(alone["latencies"]),
        loaded=(cuts[49], cuts[98]),
        overload=over["statuses"],
    )


@contextmanager
def _server(command: Sequence[str]) -> Iterator[tuple[int, float]]:
    """Run a server that writes its address to standard error; give its port, and the seconds until it did."""
    began = time.perf_counter()
    environment = {**os.environ, **OFFLINE}
    null, pipe = subprocess.DEVNULL, subprocess.PIPE  # some log every request to standard output
    with subprocess.Popen(command, stdout=null, stderr=pipe, text=True, env=environment) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise BenchError(f"a server was started; its process ended: {''.join(said[-3:]).strip()}; mend that")
        try:
            yield int(found[1]), time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGTERM)


def _free_port() -> int:
    """Return a port that nothing listened on a moment ago, for a server that cannot choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ask(
    port: int, requests: Sequence[Sequence[str]], *, connections: int, count: int, rate: float = 0.0
) -> dict[str, Any]:
    """Send requests from a process of its own. Raises: BenchError with its last line where that fails."""
    bodies = "\n".join(json.dumps({"input": list(texts), "model": "default"}) for texts in requests)
    command = [sys.executable, str(CLIENT), str(port), PATH, str(connections), str(count), str(rate)]
    done = subprocess.run(command, input=bodies, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise BenchError(f"clients were started; their process ended: {''.join(last)}; mend that")
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers
