"""download: a file comes whole, in the end, from a real server; its disk, its place and other processes permitting."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from downloads import CONTENT, SHA256, came, ranges, refused
from fault_server import Fault

from wellread.errors import DownloadError
from wellread.hub import download as module
from wellread.hub.download import download


def test_a_file_comes_whole(server, path):
    came(path, server.put("/a.bin", CONTENT))
    assert server.seen[0]["Accept-Encoding"] == "identity"


def test_an_empty_file_and_one_of_unknown_size(server, path):
    assert download(server.put("/empty", b""), path).size == 0
    came(path, server.put("/a.bin", CONTENT, Content_Length=""))  # it replaces what stands there


def test_a_sha256_that_is_known_must_agree(server, path):
    url = server.put("/a.bin", CONTENT)
    came(path, url, expected=SHA256.upper())
    path.unlink()
    advice = "the file was changed, or damaged on its way: try again later, or get it from another source"
    refused(path, url, f"SHA-256 {SHA256} where {'0' * 64} was expected", advice, expected="0" * 64)
    assert len(server.seen) == 3  # fetched again once
    assert not list(path.parent.glob("*.part*"))


def test_offline_no_socket_is_made(path, monkeypatch):
    def none(*args, **kwargs):
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", none)
    monkeypatch.setattr(socket, "getaddrinfo", none)
    for word in ("1", "true", "ON"):
        monkeypatch.setenv("HF_HUB_OFFLINE", word)
        refused(path, "https://host/a", "HF_HUB_OFFLINE set", "unset it, or pass a local copy")


# Busy, gone, refused


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server, path, status):
    came(path, server.put("/a.bin", CONTENT, Fault(status=status), Fault(status=status)))
    assert len(server.seen) == 3


LATER = "the server has trouble; run it again later"
FEWER = "the server asks for fewer requests; wait, and run it again"
TERMS = "log in, accept the terms of the page it is of, or send a token that may read it"


@pytest.mark.parametrize(
    ("status", "name", "advice", "asked"),
    [
        (429, "Too Many Requests", FEWER, 5),
        (500, "Internal Server Error", LATER, 5),
        (401, "Unauthorized", "log in, or send a token that may read it", 1),
        (403, "Forbidden", TERMS, 1),
        (404, "Not Found", "check the address", 1),
        (410, "Gone", "get the file from another source", 1),
        (418, "I'm a Teapot", "check the address", 1),
        (206, "Partial Content", "check the address", 1),
        (299, "of no known meaning", "check the address", 1),
    ],
)
def test_an_answer_without_a_file_is_named(server, path, status, name, advice, asked):
    url = server.put("/a.bin", CONTENT, Fault(always=True, status=status))
    refused(path, url, f"the answer {status} {name}", advice)
    assert len(server.seen) == asked


@pytest.mark.parametrize("how", ["seconds", "date"])
def test_the_server_may_say_how_long_to_wait(server, path, how):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    wait = {"Retry-After": "2" if how == "seconds" else later}
    start = time.monotonic()
    came(path, server.put("/a.bin", CONTENT, Fault(status=429, headers=wait)))
    assert 1 < time.monotonic() - start < 10


@pytest.mark.parametrize("wait", ["soon", "-5", "Sat, 07 Mar 2020 00:00:00 GMT", "٣"])
def test_a_wait_that_cannot_be_is_none(server, path, wait):
    url = server.put("/a.bin", CONTENT, Fault(status=503))
    server.faults["/a.bin"][0].headers = {"Retry-After": wait.encode().decode("latin-1")}
    came(path, url)


def test_a_long_wait_is_left_to_the_caller(server, path):
    url = server.put("/a.bin", CONTENT, Fault(status=429, headers={"Retry-After": "3600"}))
    refused(path, url, "the answer 429 Too Many Requests, to wait 3600 seconds", FEWER)
    assert len(server.seen) == 1


def test_pauses_grow(server, path, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.1, 0.3))
    start = time.monotonic()
    came(path, server.put("/a.bin", CONTENT, *[Fault(status=500)] * 3))
    assert time.monotonic() - start > 0.4


def test_a_server_that_goes_and_comes_back(path, monkeypatch):
    """One that has answered is looked for again."""
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.5, 0.5, 0.5))
    first = socket.create_server(("127.0.0.1", 0))
    port = first.getsockname()[1]

    def answer(listener, content):
        with listener, listener.accept()[0] as connection:
            asked.append(connection.recv(1 << 16))
            connection.sendall(content)

    def serve():
        answer(first, b'HTTP/1.0 200 OK\r\nETag: "a"\r\nContent-Length: 5\r\n\r\nab')
        time.sleep(0.2)
        again = socket.create_server(("127.0.0.1", port))
        answer(again, b"HTTP/1.0 206 Part\r\nContent-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\ncde")

    asked: list[bytes] = []
    thread = threading.Thread(target=serve)
    thread.start()
    download(f"http://127.0.0.1:{port}/a", path)
    thread.join()
    assert path.read_bytes() == b"abcde"
    assert b"Range: bytes=2-" in asked[1]


# Disks


def test_a_file_that_does_not_fit_is_not_begun(server, path):
    url = server.put("/a.bin", CONTENT, Fault(headers={"Content-Length": "1" + "0" * 18}))
    with pytest.raises(DownloadError) as error:
        download(url, path)
    words = str(error.value).split()
    free, needed = int(words[words.index("free") - 2]), int(words[words.index("more") - 1])
    assert 0 < free < needed == 10**18
    found = f"{free} bytes free in {path.parent}, where {needed} more are needed"
    assert str(error.value) == f"{url} was to be fetched; found {found}; make room, and run it again"


def test_a_disk_that_fills_meanwhile_is_named(server, path):
    path.parent.mkdir()
    path.with_name("a.bin.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError) as error:
        download(server.put("/a.bin", CONTENT), path)
    assert f" bytes free in {path.parent}, where more are needed; make room" in str(error.value)


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    url = server.put("/a.bin", CONTENT)
    with pytest.raises(DownloadError) as error:
        download(url, tmp_path / "file" / "a.bin")
    assert str(error.value).startswith(f"{url} was to be fetched; found that [Errno ")
    assert str(error.value).endswith("; choose another place, or see who may write there")


# Several processes

SCRIPT = """
    import sys
    from pathlib import Path
    from wellread.hub.download import download
    print(download(sys.argv[1], Path(sys.argv[2])).sha256)
"""


def started(url, path):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), url, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "127.0.0.1"})


def test_two_processes_fetch_once(server, path):
    url = server.put("/a.bin", CONTENT, Fault(always=True, pause=2.0))
    both = [started(url, path) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [SHA256, SHA256]
    assert len(server.seen) == 1
    assert list(path.parent.iterdir()) == [path]


def test_what_another_process_fetched_is_held_against_what_is_expected(server, path):
    url = server.put("/a.bin", CONTENT, Fault(pause=1.0, content=b"another" * 9))
    first = threading.Thread(target=download, args=(url, path))
    first.start()
    while not server.seen:
        time.sleep(0.01)
    assert download(url, path, expected=SHA256).sha256 == SHA256
    first.join()
    assert len(server.seen) == 2


def test_a_killed_process_leaves_a_part_that_the_next_goes_on_with(server, path):
    url = server.put("/a.bin", CONTENT, Fault(pause=60.0))
    process = started(url, path)
    part = path.with_name("a.bin.part")
    while not part.exists() or not part.stat().st_size:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    held = part.stat().st_size
    assert not path.exists()
    came(path, url)
    assert ranges(server) == [None, f"bytes={held}-"]


# The bar


def test_the_bar_is_on_stderr_and_only_where_it_is_wanted(server, path, capfd):
    url = server.put("/a.bin", CONTENT)
    came(path, url)
    assert capfd.readouterr() == ("", "")
    came(path, url, show=True, label="the file")
    out, err = capfd.readouterr()
    assert not out
    assert "the file" in err
    assert "3.0/3.0 MB" in err
