"""What befalls a running server: damaged files, weights that are not finite, bodies of 100 MB, clients that dawdle."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from served import serving
from tiny import NATIVE, PIECES, tiny_checkpoint, tiny_config, tiny_module, tiny_tokenizer

import wellread
from wellread.checkpoints.checkpoint import in_memory
from wellread.errors import WeightsError
from wellread.module import Module
from wellread.serving.modules import Modules

WORDS = "embeddings.word_embeddings.weight"
HEAD = b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n"


def test_files_that_are_replaced_or_removed_change_nothing(tmp_path):
    place = tmp_path / "module"
    tiny_module(tmp_path / "files", config=tiny_config(**NATIVE)).save(place)
    texts = ["the cat", "paris", "a flute"]
    expected = wellread.load(place).encode(texts)
    with serving({"module": wellread.load(place)}) as client:

        def ask(number):
            answer = client.post("/embed", json={"inputs": texts[number], "normalize": False})
            np.testing.assert_allclose(answer.json()[0], expected[number], atol=1e-5)

        ask(0)
        files = [path for path in place.rglob("*") if path.is_file()]
        for path in files:
            (tmp_path / "other").write_bytes(b"junk")
            (tmp_path / "other").replace(path)  # as pip, `save` and the hubs' caches do
        ask(1)
        for path in files:
            path.unlink()
        ask(2)


def with_nan_at(place, word):
    """A module whose vector of one word is not finite."""
    checkpoint = tiny_checkpoint()
    arrays = {name: tensor.read() for name, tensor in checkpoint.tensors.items()}
    arrays[WORDS][PIECES.index(word)] = np.nan
    damaged = replace(checkpoint, tensors=in_memory(arrays))
    return Module(checkpoint=damaged, tokenizer=tiny_tokenizer(place), backend="numpy")


def test_weights_that_are_not_finite_fail_the_texts_that_meet_them_and_no_others(tmp_path):
    with serving({"module": with_nan_at(tmp_path, "cat")}) as client:
        for body, status in (("the cat", 424), ("the man", 200), (["the man", "the cat"], 424)):
            answer = client.post("/embed", json={"inputs": body})
            assert answer.status_code == status
        assert "NaN" in answer.json()["error"]
        assert client.post("/v1/embeddings", json={"input": "the cat"}).status_code == 500
    with pytest.raises(WeightsError, match="NaN"):  # by a word of the sentence that a module is prepared with
        Modules({"module": with_nan_at(tmp_path, "guitar")}).load()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_workers_that_die_at_once_are_not_started_for_ever():
    code = (
        "import os; from wellread.serving.workers import run_workers as run; run(2, lambda _: os._exit(4), ready=int)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert re.search(
        r"ServeError: worker \d+ was to serve; it ended with 4 after 0\.\d s; see its log above", done.stderr
    )
    assert done.stderr.count("ended with 4\n") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_an_end_that_comes_while_a_worker_is_being_started_ends_that_one_too():
    code = """
import os, signal, time
from wellread.serving.workers import run_workers
fork = os.fork
def ended_meanwhile():
    process = fork()
    if process:
        os.kill(os.getpid(), signal.SIGTERM)
    return process
os.fork = ended_meanwhile
run_workers(2, lambda _: time.sleep(50), ready=int)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def resident():
    """Megabytes of this process in memory."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1000 for line in file if line.startswith("VmRSS"))


def test_a_body_of_100_mb_is_refused_before_it_is_read(client):
    part = b"x" * 1_000_000
    before = resident()
    stated = client.post("/embed", content=(part for _ in range(100)), headers={"content-length": "100000000"})
    assert "found one of 100000000" in stated.json()["error"]
    unstated = client.post("/embed", content=(part for _ in range(100)))
    assert "found more" in unstated.json()["error"]
    assert stated.status_code == unstated.status_code == 413
    assert stated.headers["connection"] == unstated.headers["connection"] == "close"
    assert resident() - before < 70  # what is read up to the limit of 16 MB, in parts and joined by the client


def test_clients_that_dawdle_keep_no_one_waiting_and_are_ended(tiny):
    with serving({"tiny": tiny}, body_timeout=1.0) as client, ExitStack() as stack:
        place = client.base_url.host, client.base_url.port
        dawdlers = {stack.enter_context(socket.create_connection(place, timeout=10)) for _ in range(120)}
        for number, connection in enumerate(dawdlers):
            connection.sendall(HEAD + (b"\r\n{" if number % 2 else b""))
        for number in range(20):
            time.sleep(0.2)
            dawdlers = {connection for connection in dawdlers if sent(connection, b"x")}  # a byte more, of each
            asked = time.monotonic()
            assert client.post("/embed", json={"inputs": f"word{number}"}).status_code == 200
            assert time.monotonic() - asked < 1
            if not dawdlers:
                break
        assert not dawdlers


def sent(connection, data):
    """Send data; say whether the connection took it."""
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True
