"""The clients of the benchmark `serve`, in a process of their own, and what each answer took.

python serve_client.py PORT PATH CONNECTIONS REQUESTS RATE < bodies

A line of the input is the body of a request; they are sent in turn. RATE is how many are sent a second, ready or not;
0: each connection sends its next when it has its answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from itertools import cycle
from typing import Any

LOST = 0  # the status of a request whose connection ended without an answer


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes) -> int:
    """Send one request, read its whole answer, and return its status."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(head.encode() + b"\r\n\r\n" + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line for line in answer.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(int(length.partition(":")[2]))
    return int(answer.split(" ", 2)[1])


async def run(
    port: int, path: str, connections: int, requests: int, rate: float, bodies: list[bytes]
) -> dict[str, Any]:
    """Send `requests` requests over `connections` connections, and return seconds, latencies and statuses."""
    queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    latencies: list[float] = []
    statuses: Counter[int] = Counter()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (item := await queue.get()) is not None:
            due, body = item
            due = due or time.perf_counter()
            try:
                status = await ask(reader, writer, path, body)
            except (asyncio.IncompleteReadError, ConnectionError):
                status = LOST
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            statuses[status] += 1
            if status == 200:
                latencies.append(time.perf_counter() - due)
        writer.close()

    workers = [asyncio.create_task(connection()) for _ in range(connections)]
    began = time.perf_counter()
    for number, body in zip(range(requests), cycle(bodies), strict=False):
        if rate:
            due = began + number / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            queue.put_nowait((due, body))
        else:
            queue.put_nowait((0.0, body))
    for _ in workers:
        queue.put_nowait(None)
    await asyncio.gather(*workers)
    return {"seconds": time.perf_counter() - began, "latencies": latencies, "statuses": dict(statuses)}


if __name__ == "__main__":
    port, path, connections, requests, rate = sys.argv[1:]
    found = run(int(port), path, int(connections), int(requests), float(rate), sys.stdin.buffer.read().splitlines())
    print(json.dumps(asyncio.run(found)))
