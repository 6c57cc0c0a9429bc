"""wellread serve, as a process: its start, its names, its end, its workers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import click
import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from tiny import tiny_module

from wellread.cli.main import group
from wellread.cli.serve import named_handles


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    module = tiny_module(tmp_path_factory.mktemp("vocabulary"), backend="numpy")
    place = tmp_path_factory.mktemp("modules") / "small"
    module.save(place)
    return place


@contextmanager
def started(*arguments, **environment):
    """Start a server; give its process and its address once it is ready."""
    command = [sys.executable, "-m", "wellread", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        line = process.stderr.readline()
        assert line.startswith("wellread: "), line + process.stderr.read()
        yield process, re.search(r"(.*) at (http://\S+)", line)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_modules_are_served_by_their_names_until_sigterm(directory):
    module = tiny_module(directory.parent / "again", backend="numpy")
    with started(directory, f"other={directory}", "--backend", "numpy", WELLREAD_API_KEY="a key") as (process, said):
        assert said[1] == "wellread: small, other"
        with httpx.Client(base_url=said[2], headers={"authorization": "Bearer a key"}) as client:
            assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["small", "other"]
            vectors = client.post("/embed", json={"inputs": "the cat", "normalize": False}).json()
            np.testing.assert_allclose(vectors, module.encode(["the cat"]), atol=1e-6)
        assert httpx.get(f"{said[2]}/info").status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_no_answer(directory, workers):
    counts = [{"answered": 0, "lost": 0} for _ in range(4)]

    def ask(url, count):
        with httpx.Client(base_url=url, timeout=20) as client:
            while not count["lost"]:
                try:
                    answer = client.post("/embed", json={"inputs": ["the cat sleeps"] * 3})
                except httpx.ConnectError:
                    return
                except httpx.TransportError:
                    count["lost"] += 1
                else:
                    assert answer.status_code in (200, 503)
                    count["answered"] += 1

    with (
        started(directory, "--backend", "numpy", "--workers", workers) as (process, said),
        ThreadPoolExecutor(4) as pool,
    ):
        asked = [pool.submit(ask, said[2], count) for count in counts]
        while min(count["answered"] for count in counts) < 4:
            assert not any(each.done() for each in asked)
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        for each in asked:
            each.result()  # no answer but these; one request may be sent on a connection that is being closed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_workers_share_a_socket_and_one_that_dies_is_replaced(directory):
    with started(directory, "--backend", "numpy", "--workers", 2) as (process, said):
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        if not os.path.exists(children):
            pytest.skip("this system does not list children")

        def workers():
            with open(children) as file:
                return [*map(int, file.read().split())]

        def answers():
            return [httpx.post(f"{said[2]}/embed", json={"inputs": "the cat"}).status_code for _ in range(6)]

        assert answers() == [200] * 6
        first = workers()
        assert len(first) == 2
        time.sleep(1)
        os.kill(first[0], signal.SIGKILL)
        assert process.stderr.readline() == f"wellread: worker {first[0]} ended with -9\n"
        assert answers() == [200] * 6
        assert len(workers()) == 2
        counted = {next(line for line in metrics(said[2]) if line.startswith("te_request_count ")) for _ in range(8)}
        assert counted == {"te_request_count 12.0"}  # of both workers, the dead one included
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert workers_gone(first)


def metrics(url):
    return httpx.get(f"{url}/metrics").text.splitlines()


def workers_gone(processes):
    return not any(os.path.exists(f"/proc/{process}") for process in processes)


def test_a_module_that_is_damaged_ends_the_start(directory, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(directory, damaged)
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    command = [sys.executable, "-m", "wellread", "serve", str(damaged), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr.startswith("wellread: ")
    assert "model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_of_modules():
    assert named_handles(["a/b/", "x=a/b", "hf:a/c=d"]) == {"b": "a/b/", "x": "a/b", "c=d": "hf:a/c=d"}
    with pytest.raises(click.UsageError, match="b: a name for each module; found a/b and c/b; name one NAME=MODULE"):
        named_handles(["a/b", "c/b"])


def test_a_setting_that_means_nothing_is_said_in_flags():
    result = CliRunner().invoke(group, ["serve", "--deadline", "0"], prog_name="wellread")
    assert result.exit_code == 3
    assert result.output == "wellread: --deadline is a number of seconds above 0; found 0.0; choose one\n"


def test_a_missing_extra_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(group, ["serve"], prog_name="wellread")
    assert result.exit_code == 3
    assert 'this needs starlette, which is not installed; run: pip install "wellread[serve]"' in result.output
