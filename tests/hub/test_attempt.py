"""attempt: what comes is what was promised, goes on from where it broke off, and is no web page."""

import random

import pytest
from downloads import CONTENT, base64_of, came, ranges, refused
from fault_server import Fault

from wellread.errors import DownloadError
from wellread.hub import download as module
from wellread.hub import http
from wellread.hub.download import download

# Checksums

PROMISES = {
    "sha-256": [{"Repr_Digest": f"sha-256=:{base64_of('sha256')}:"}, {"Digest": f"SHA-256={base64_of('sha256')}"}],
    "md5": [{"Content_MD5": base64_of("md5")}, {"x_goog_hash": f"crc32c={base64_of('crc32c')},md5={base64_of('md5')}"}],
    "crc32c": [{"x_goog_hash": f"crc32c={base64_of('crc32c')}"}],
}
CASES = [(algorithm, headers) for algorithm in PROMISES for headers in PROMISES[algorithm]]


@pytest.mark.parametrize(("algorithm", "headers"), CASES)
def test_what_the_server_promises_must_come(server, path, algorithm, headers):
    came(path, server.put("/a.bin", CONTENT, **headers))
    path.unlink()
    wrong = CONTENT[:-1] + b"\0"
    url = server.put("/a.bin", CONTENT, Fault(always=True, content=wrong), **headers)
    with pytest.raises(DownloadError) as error:
        download(url, path)
    ours, theirs = (base64_of(algorithm.replace("-", ""), content) for content in (wrong, CONTENT))
    assert f"{algorithm} {ours} where {theirs} was promised" in str(error.value)
    assert not list(path.parent.glob("a.bin*[!k]"))
    assert len(server.seen) == 3


def test_wrong_bytes_of_the_right_length_are_fetched_again(server, path):
    url = server.put("/a.bin", CONTENT, Fault(content=bytes(len(CONTENT))), Content_MD5=base64_of("md5"))
    came(path, url)
    assert ranges(server) == [None, None]


def test_checksums_of_a_file_that_is_stored_otherwise_are_not_of_it(server, path):
    coded = {"x_goog_hash": "md5=AAAA", "x_goog_stored_content_encoding": "gzip"}
    came(path, server.put("/a.bin", CONTENT, **coded))


# Broken off


def test_a_cut_connection_is_gone_on_with(server, path):
    came(path, server.put("/a.bin", CONTENT, Fault(cut=2_000_000), Fault(cut=0), Content_MD5=base64_of("md5")))
    assert ranges(server) == [None, "bytes=2000000-", "bytes=2000000-"]
    assert server.seen[1]["If-Range"] == '"first"'


def test_many_cuts_do_no_harm_where_each_brings_some(server, path, monkeypatch):
    monkeypatch.setattr(module, "STRIDE", 100_000)
    came(path, server.put("/a.bin", CONTENT, *[Fault(cut=200_000) for _ in range(9)]))
    assert len(server.seen) == 10


def test_a_connection_that_stays_cut_is_named_and_the_next_call_goes_on(server, path):
    url = server.put("/a.bin", CONTENT, Fault(cut=100), Fault(always=True, cut=0))
    found = f"that the connection broke off, after 100 of {len(CONTENT)} bytes"
    refused(path, url, found, "run it again to go on from there")
    assert len(server.seen) == 1 + len(module.PAUSES)
    server.faults.clear()
    came(path, url)
    assert ranges(server)[-1] == "bytes=100-"


def test_without_a_validator_nothing_is_gone_on_with(server, path):
    url = server.put("/a.bin", CONTENT, Fault(cut=100), ETag="")
    came(path, url)
    url = server.put("/a.bin", CONTENT, Fault(always=True, cut=100), ETag='W/"weak"')
    path.unlink()
    found = f"that the connection broke off, after 100 of {len(CONTENT)} bytes"
    refused(path, url, found, "run it again")
    assert set(ranges(server)) == {None}


def test_a_date_serves_where_there_is_no_tag(server, path):
    date = "Sat, 07 Mar 2020 00:00:00 GMT"
    came(path, server.put("/a.bin", CONTENT, Fault(cut=100), ETag="", Last_Modified=date))
    assert server.seen[1]["If-Range"] == date


@pytest.mark.parametrize(
    "second",
    [
        Fault(headers={"ETag": '"second"'}),  # another file: the server sends all of it
        Fault(ranges=False),
    ],
)
def test_a_file_that_changed_or_a_server_without_ranges_starts_over(server, path, second):
    other = random.Random(1).randbytes(len(CONTENT))
    url = server.put("/a.bin", other, Fault(cut=100), second)
    server.held["/a.bin"] = CONTENT
    server.faults["/a.bin"][0].content = other
    came(path, url)
    assert ranges(server) == [None, "bytes=100-"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"},  # another range than was asked for
        {"Content-Range": f"bytes 100-{len(CONTENT) - 1}/{len(CONTENT) + 1}"},  # of a file of another size
        {"ETag": '"second"'},  # the file changed, and If-Range is not heeded
    ],
)
def test_an_answer_that_does_not_continue_is_fetched_anew(server, path, headers):
    url = server.put("/a.bin", CONTENT, Fault(cut=100), Fault(headers=headers, heed=False))
    came(path, url)
    assert ranges(server) == [None, "bytes=100-", None]


def test_an_answer_that_never_continues_is_named(server, path, monkeypatch):
    monkeypatch.setattr(module, "TRIES", {"cut": 1})
    url = server.put("/a.bin", CONTENT, Fault(cut=100), Fault(headers={"Content-Range": "bytes 0-1/2"}))
    found = "that what came does not continue what was here"
    refused(path, url, found, "run it again to start over")


def test_a_part_that_is_whole_is_not_fetched_again(server, path):
    url = server.put("/a.bin", CONTENT, Fault(cut=100), Content_MD5=base64_of("md5"))
    part = path.with_name("a.bin.part")

    server.faults["/a.bin"].append(Fault(always=True, status=403))
    with pytest.raises(DownloadError):
        download(url, path)
    part.write_bytes(CONTENT)  # all had come when the process ended
    server.faults.clear()
    came(path, url)
    assert ranges(server)[-1] == f"bytes={len(CONTENT)}-"
    assert len(server.seen) == 3


def test_a_part_that_is_longer_than_the_file_is_fetched_anew(server, path):
    url = server.put("/a.bin", CONTENT, Fault(cut=100), Fault(always=True, status=403))
    with pytest.raises(DownloadError):
        download(url, path)
    path.with_name("a.bin.part").write_bytes(CONTENT + b"more")
    server.faults.clear()
    came(path, url)


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"size": 7}', b'{"colour": "red"}', b"\xff"])
def test_a_part_that_nobody_knows_the_origin_of_is_not_gone_on_with(server, path, damaged):
    path.parent.mkdir()
    path.with_name("a.bin.part").write_bytes(b"another file's")
    path.with_name("a.bin.part.json").write_bytes(damaged)
    came(path, server.put("/a.bin", CONTENT))
    assert ranges(server) == [None]


def test_the_part_of_another_address_is_not_gone_on_with(server, path):
    with pytest.raises(DownloadError):
        download(server.put("/b.bin", CONTENT[::-1], Fault(cut=100), Fault(always=True, status=404)), path)
    came(path, server.put("/a.bin", CONTENT))
    assert ranges(server)[-1] is None


def test_a_silent_server_is_named(server, path, monkeypatch):
    monkeypatch.setattr(http, "READ_TIMEOUT", 0.05)
    url = server.put("/a.bin", CONTENT, Fault(always=True, pause=0.5))
    monkeypatch.setattr(module, "TRIES", {})
    half = len(CONTENT) // 2 // module.CHUNK * module.CHUNK
    refused(
        path, url, f"no byte in 0.05 seconds, after {half} of {len(CONTENT)} bytes", "run it again to go on from there"
    )


# Pages and codings


def test_a_page_in_place_of_a_file_is_named(server, path):
    advice = "open the address in a browser to see what it wants, perhaps a login"
    url = server.put("/a.bin", b"<p>Log in", Content_Type="text/html; charset=utf-8")
    refused(path, url, "a web page in place of the file (sent as text/html; charset=utf-8)", advice)
    url = server.put("/b.bin", b"\n<!DOCTYPE HTML>")
    refused(path, url, "a web page in place of the file (by its first bytes)", advice)
    assert not list(path.parent.glob("*.part*"))
    assert len(server.seen) == 2
    page = path.with_name("a.html")
    assert download(server.put("/a.html", b"<html>", Content_Type="text/html"), page).size == 6


def test_bytes_in_a_coding_are_not_taken_for_the_file(server, path):
    url = server.put("/a.bin", CONTENT, Content_Encoding="gzip")
    advice = "get the file from another source"
    refused(path, url, "bytes in the coding gzip, which was not asked for", advice)
    came(path.parent.parent / "other" / "a.tar.gz", url)  # here they are the file
