"""How much memory a server takes: a bound that is too small is refused, one that holds is held under load."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tiny import tiny_module

from wellread.errors import InputError, ServeError
from wellread.serving.faults import Overloaded, TooLarge, Unready
from wellread.serving.memory import Memory, Share, resident
from wellread.serving.served import Served
from wellread.serving.settings import ServeSettings

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system tells no peak")
TERA = 1 << 40


def test_sizes():
    assert ServeSettings().memory_bytes is None
    assert [ServeSettings(max_memory=size).memory_bytes for size in ("3", "2k", "1.5G", "512MiB")] == [
        3,
        2048,
        3 << 29,
        1 << 29,
    ]
    with pytest.raises(InputError, match="max_memory= is a size such as 512M or 2G; found 'much'"):
        ServeSettings(max_memory="much")


def test_without_a_bound_everything_is_given(tiny):
    memory = Memory(ServeSettings())
    memory.fit([Served(name="tiny", module=tiny)])
    memory.take(TERA * TERA)


def test_what_requests_take_is_bounded_and_comes_back(tiny):
    memory = Memory(ServeSettings(max_memory="1T"))
    with pytest.raises(Unready, match="1 MiB were wanted for a request; the modules are being loaded; try again"):
        memory.take(1 << 20)
    memory.take(0)  # as /health does
    memory.fit([Served(name="tiny", module=tiny)])
    first, second = Share(memory), Share(memory)
    with pytest.raises(TooLarge, match=r"1,048,576 MiB were wanted .*; by max_memory= there are 99\d,\d+ MiB"):
        first.take(TERA)
    first.take(TERA // 2)
    first.take(TERA // 4)
    with pytest.raises(Overloaded, match=r"524,288 MiB were wanted .*; [\d,]+ MiB of [\d,]+ MiB are free") as refused:
        second.take(TERA // 2)
    free, most = (int(size.replace(",", "")) for size in re.findall(r"([\d,]+) MiB (?:of|are)", str(refused.value)))
    assert most - free == 786_432  # the half and the quarter that the first took
    first.end()
    second.take(TERA // 2)


def test_batches_are_as_large_as_the_memory_allows(tiny):
    served = Served(name="tiny", module=tiny)
    asked = {"max_batch_tokens": 1 << 12}
    wide = Memory(ServeSettings(max_memory="1T", **asked))
    wide.fit([served])
    assert 1 << 11 <= wide.batch_tokens <= 1 << 12
    narrow = Memory(ServeSettings(max_memory=str(int(resident() / 0.74)), **asked))
    narrow.fit([served])
    assert 12 <= narrow.batch_tokens <= wide.batch_tokens


def test_modules_that_do_not_fit_are_refused(tiny):
    with pytest.raises(ServeError, match=r"max_memory= of 1 MiB was asked for; the modules take [\d,]+ MiB, .*; allow"):
        Memory(ServeSettings(max_memory="1M")).fit([Served(name="tiny", module=tiny)])


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("memory") / "small"
    tiny_module(place.parent, backend="numpy").save(place)
    return place


def serve(directory, *flags):
    command = [sys.executable, "-m", "wellread", "serve", str(directory), "--backend", "numpy", "--port", "0", *flags]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_the_command_says_what_would_do_and_that_does_under_load(directory):
    with serve(directory, "--max-memory", "30M") as refused:
        said = refused.stderr.read()
    assert refused.returncode == 3
    least = int(re.search(r"--max-memory of 30 MiB was asked for; .*; allow ([\d,]+) MiB", said)[1])
    with serve(directory, "--max-memory", f"{least + 8}M") as process:
        try:
            url = re.search(r"http\S+", process.stderr.readline())[0]
            bodies = [json.dumps({"inputs": ["the cat sleeps"] * 2000}), '{"inputs": [' + "[]," * 300_000 + "[]]}"]

            def ask(number):
                answer = httpx.post(f"{url}/embed_all", content=bodies[number % 2], timeout=60)
                return answer.status_code, answer.headers.get("retry-after")

            with ThreadPoolExecutor(12) as pool:
                answers = {*pool.map(ask, range(30))}
            assert {status for status, _ in answers} <= {200, 413, 422, 429}
            assert (200, None) in answers
            assert {retry for status, retry in answers if status == 429} <= {"1"}
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert int(status.split("VmHWM:")[1].split()[0]) / 1024 < least + 8
            assert httpx.post(f"{url}/embed", json={"inputs": "a"}).status_code == 200
        finally:
            process.kill()
