"""kaggle: models come through the real kagglehub from a server on this machine, or over plain https without it."""

import base64
import hashlib
import http.server
import importlib.util
import json
import os
import subprocess
import sys
import textwrap

import pytest
from fault_server import Fault, archive_of, held
from hub_server import serving

from wellread.errors import DownloadError, HandleError
from wellread.hub.sources import fetch_kaggle

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index"}
ARCHIVE = archive_of(FILES)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()
ADDRESS = "tensorflow/bert/tensorFlow2/bert-en-uncased-l-12-h-768-a-12/4"
PATH = f"/api/v1/models/{ADDRESS}/download"
WITH_KAGGLEHUB = pytest.mark.skipif(importlib.util.find_spec("kagglehub") is None, reason="needs kagglehub")


# Plain


@pytest.fixture
def server(server, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", server.address + "/")
    return server


def test_a_model_comes_as_an_archive(server, tmp_path):
    server.put("/storage/4", ARCHIVE, Fault(cut=50))
    server.faults[PATH] = [Fault(always=True, redirect=server.elsewhere + "/storage/4")]
    directory, sha256 = fetch_kaggle(ADDRESS, tmp_path / "a")
    assert (directory, sha256) == (tmp_path / "a", SHA256)
    assert held(directory) == FILES


@pytest.mark.parametrize(("status", "name"), [(401, "Unauthorized"), (403, "Forbidden")])
def test_a_model_with_a_licence_says_where_to_accept_it(server, tmp_path, status, name):
    server.put(PATH, ARCHIVE, Fault(status=status))
    with pytest.raises(DownloadError) as error:
        fetch_kaggle(ADDRESS, tmp_path / "a")
    assert str(error.value) == (
        f"the Kaggle model {ADDRESS} was asked for; found the answer {status} {name}; accept the licence at "
        "https://www.kaggle.com/models/tensorflow/bert, and log in: pip install kagglehub, then kagglehub.login()"
    )


def test_a_model_that_is_not_there_is_named(server, tmp_path):
    with pytest.raises(DownloadError) as error:
        fetch_kaggle(ADDRESS, tmp_path / "a")
    found = "the answer 404 Not Found; check the address"
    assert str(error.value) == f"the Kaggle model {ADDRESS} was asked for; found {found}"


@pytest.mark.parametrize(
    "address",
    ["", "a/b/c/d", f"{ADDRESS}/5", ADDRESS[:-1] + "latest", "../b/c/d/1", "a/b/c/d?x/1", "a/b//d/1", "a/b/c/д/1"],
)
def test_other_parts_are_refused(tmp_path, address):
    with pytest.raises(HandleError) as error:
        fetch_kaggle(address, tmp_path / "a")
    found = "found no owner/model/framework/variation/version; check its spelling"
    assert str(error.value) == f"the Kaggle model {address!r} was asked for; {found}"


# kagglehub


class Kaggle(http.server.BaseHTTPRequestHandler):
    """The routes of Kaggle's API that kagglehub calls for a model, behind what it takes for a proxy."""

    fault: str
    seen: list[str]

    def log_message(self, *args):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(self.path.rsplit("/")[-1])
        assert asked["versionNumber"] == 4
        if self.fault.isdecimal():
            return self.answer(int(self.fault), b"{}")
        if "path" not in asked:
            listed = {"files": [{"name": name} for name in FILES], "nextPageToken": ""}
            return self.answer(200, json.dumps(listed).encode())
        content = FILES[asked["path"]]
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        sent = {"wrong": content[::-1], "cut": content[:2]}.get(self.fault, content)
        return self.answer(200, sent, {"x-goog-hash": f"md5={md5}", "Content-Length": str(len(content))})

    def answer(self, status, content, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


SCRIPT = """
    import json, logging, os, sys
    from pathlib import Path
    from wellread.errors import WellreadError
    from wellread.hub.sources import fetch_kaggle
    if sys.argv[3] == "before":
        import kagglehub
    show = {"before": None, "show": True}.get(sys.argv[3])
    try:
        print(json.dumps(str(fetch_kaggle(sys.argv[1], Path(sys.argv[2]), show=show)[0])))
    except WellreadError as error:
        print(json.dumps({type(error).__name__: str(error)}))
    assert logging.getLogger("kagglehub").level in (logging.INFO, logging.NOTSET)
"""


@pytest.fixture
def fetch(tmp_path):
    """Fetch in a process of its own, where kagglehub's host is http://localhost and our server is the proxy to it."""

    def run(fault="", how="", **environment):
        handler = type("OwnKaggle", (Kaggle,), {"fault": fault, "seen": []})
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and "KAGGLE" not in key}
        with serving(handler) as address:
            own = {"KAGGLEHUB_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path), "http_proxy": address}
            done = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(SCRIPT), ADDRESS, str(tmp_path / "a"), how],
                env={**kept, **own, "KAGGLE_API_ENVIRONMENT": "LOCALHOST", **environment},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr, handler.seen

    return run


@WITH_KAGGLEHUB
@pytest.mark.parametrize("how", ["", "before", "show"])
def test_kagglehub_fetches_into_its_own_cache_and_is_quiet(fetch, tmp_path, how):
    place, err, seen = fetch(how=how)
    assert place == str(tmp_path / "cache" / "models" / ADDRESS)
    assert {name: (tmp_path / place / name).read_bytes() for name in FILES} == FILES
    assert ("Downloading 2 files" in err) == (how == "show")
    assert len(seen) == 3
    again, _, seen = fetch()
    assert again == place
    assert not seen


@WITH_KAGGLEHUB
@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("403", "the answer 403 Forbidden; accept the licence at https://www.kaggle.com/models/tensorflow/bert, and "),
        ("404", "the answer 404 Not Found; check the address"),
        ("wrong", "other bytes than Kaggle promised (The X-Goog-Hash header indicated a MD5 checksum of: "),
        ("cut", "that ('Connection broken: IncompleteRead("),
    ],
)
def test_faults_of_kagglehub_are_named(fetch, fault, found):
    error, _, _ = fetch(fault)
    assert error["DownloadError"].startswith(f"the Kaggle model {ADDRESS} was asked for; found {found}")


@WITH_KAGGLEHUB
def test_offline_kagglehub_is_not_asked(fetch):
    error, _, seen = fetch(HF_HUB_OFFLINE="1")
    advice = "found HF_HUB_OFFLINE set; unset it, or pass a local copy"
    assert error == {"DownloadError": f"the Kaggle model {ADDRESS} was asked for; {advice}"}
    assert not seen
