"""web_archives: archives of an address arrive unpacked, whole or not at all; dead addresses name what lives."""

import hashlib
import os
import subprocess
import sys
import textwrap

import pytest
from fault_server import Fault, archive_of, held

from wellread.errors import CheckpointError, DownloadError
from wellread.hub.sources import fetch_archive, fetch_tfhub

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index"}


ARCHIVE = archive_of(FILES)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


def test_an_archive_comes_unpacked_once(server, tmp_path):
    url = server.put("/a.tar.gz", ARCHIVE, Fault(cut=50))
    place = tmp_path / "new" / "a"
    assert fetch_archive(url, place, expected=SHA256) == (place, SHA256)
    assert held(place.parent) == {f"a/{name}": content for name, content in FILES.items()}
    server.clear()
    assert fetch_archive(url, place) == (place, None)
    assert not server.seen


def test_the_one_folder_of_an_archive_is_stepped_into(server, tmp_path):
    url = server.put("/a.tar.gz", archive_of({f"model/{name}": content for name, content in FILES.items()}))
    for _ in range(2):
        assert fetch_archive(url, tmp_path / "a")[0] == tmp_path / "a" / "model"


def test_a_damaged_archive_leaves_nothing(server, tmp_path):
    url = server.put("/a.tar.gz", ARCHIVE[:-9])
    with pytest.raises(CheckpointError, match="found that it is damaged or no archive"):
        fetch_archive(url, tmp_path / "a")
    assert held(tmp_path) == {"a.lock": b""}
    server.put("/a.tar.gz", ARCHIVE)
    assert held(fetch_archive(url, tmp_path / "a")[0]) == FILES


def test_an_archive_that_cannot_be_fetched_is_named(server, tmp_path):
    url = server.address.replace("//", "//me:secret@") + "/a.zip"
    with pytest.raises(DownloadError) as error:
        fetch_archive(url, tmp_path / "a")
    found = "a user name or password in the address; send it in a header"
    assert str(error.value) == f"{server.address}/a.zip was to be fetched; found {found}"
    with pytest.raises(DownloadError, match="SHA-256 .* where 00 was expected"):
        fetch_archive(server.put("/a.tar.gz", ARCHIVE), tmp_path / "a", expected="00")


SCRIPT = """
    import sys
    from pathlib import Path
    from wellread.hub.sources import fetch_archive
    print(fetch_archive(sys.argv[1], Path(sys.argv[2]))[0])
"""


def test_two_processes_fetch_once(server, tmp_path):
    url = server.put("/a.tar.gz", ARCHIVE, Fault(always=True, pause=1.5))
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), url, str(tmp_path / "a")]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "127.0.0.1"})
        for _ in range(2)
    ]
    assert {process.communicate(timeout=60)[0].strip() for process in both} == {str(tmp_path / "a")}
    assert len(server.seen) == 1
    assert held(tmp_path) == {f"a/{name}": content for name, content in FILES.items()}


# TF Hub


def test_a_module_of_tf_hub_comes_from_where_its_address_leads(server, tmp_path):
    server.put("/storage/1.tar.gz", ARCHIVE)
    server.faults["/owner/bert/1"] = [Fault(redirect=server.elsewhere + "/storage/1.tar.gz?X-Signature=1")]
    directory, _ = fetch_tfhub(server.address + "/owner/bert/1", tmp_path / "a")
    assert held(directory) == FILES
    assert server.seen[0]["path"] == "/owner/bert/1?tf-hub-format=compressed"


def test_a_query_of_the_address_stays(server, tmp_path):
    fetch_tfhub(server.put("/owner/bert/1", ARCHIVE) + "?a=b", tmp_path / "a")
    assert server.seen[0]["path"] == "/owner/bert/1?a=b&tf-hub-format=compressed"


DEAD = [
    (Fault(always=True, status=404), "the answer 404 Not Found"),
    (Fault(always=True, status=403), "the answer 403 Forbidden"),
    (Fault(headers={"Content-Type": "text/html"}), "a web page in place of the file (sent as text/html)"),
]


@pytest.mark.parametrize(("fault", "found"), DEAD)
def test_a_dead_address_names_what_lives(server, tmp_path, fault, found):
    address = server.put("/owner/bert/1", ARCHIVE, fault)
    with pytest.raises(DownloadError) as error:
        fetch_tfhub(address, tmp_path / "a", alternatives=("google/bert", "owner/name"))
    begin = f"the module {address} was asked for; found a dead address ({found}); "
    assert str(error.value) == f"{begin}the same weights are at google/bert, owner/name"


def test_a_dead_address_that_nothing_stands_in_for(server, tmp_path):
    address = server.address + "/owner/bert/1"
    with pytest.raises(DownloadError) as error:
        fetch_tfhub(address, tmp_path / "a")
    begin = f"the module {address} was asked for; found a dead address (the answer 404 Not Found); "
    assert str(error.value) == f"{begin}get the module from elsewhere, and run wellread revive {address} --from MODULE"


def test_a_server_in_trouble_is_not_called_dead(server, tmp_path):
    address = server.put("/owner/bert/1", ARCHIVE, Fault(always=True, status=503))
    with pytest.raises(DownloadError) as error:
        fetch_tfhub(address, tmp_path / "a", alternatives=("google/bert",))
    found = "the answer 503 Service Unavailable; the server has trouble; run it again later"
    also = "; or take the same weights from google/bert"
    assert str(error.value) == f"the module {address} was asked for; found {found}{also}"
