"""handles: paths, the default and ids; the real client of the hub against a small hub on this machine, and offline."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hub_server import ReadableHub, serving

from wellread.errors import CheckpointError, HandleError
from wellread.hub.archives import SUFFIXES
from wellread.hub.resolve import DEFAULT, resolve

COMMITS = {"main": "a" * 40, "v1": "b" * 40}
FILES = {
    "config.json": b"{}",
    "vocab.txt": b"[PAD]\n",
    "model.safetensors": bytes(99),
    "pytorch_model.bin": b"the same once more",
    "2_Dense/pytorch_model.bin": b"a map",
    "tf_model.h5": b"another framework's",
    "modeling.py": b"raise SystemExit",
}
REPOSITORIES = {
    "owner/name": FILES,
    "owner/torch": {name: FILES[name] for name in ("config.json", "pytorch_model.bin", "tf_model.h5")},
    "owner/hub": {
        **{name: FILES[name] for name in ("tf_model.h5", "modeling.py")},
        **dict.fromkeys(("saved_model.pb", "variables/variables.index", "assets/vocab.txt"), b"a SavedModel"),
    },
    "owner/tf1": {"config.json": b"{}", "bert_model.ckpt.index": b"a", "bert_model.ckpt.data-00000-of-00001": b"b"},
    "owner/cut": {"config.json": b"cut"},
    "owner/broken": {"config.json": b"{}", "model.safetensors": None},  # listed, and answered with an error
}
SECRET = "owner/private"


class Hub(ReadableHub):
    """The read routes of the hub: what a revision is, what it holds, and the files."""

    seen: list[dict[str, str | None]]

    def read(self):
        path = urlsplit(self.path).path.strip("/")
        headers = {name: self.headers.get(name) for name in ("Authorization", "User-Agent")}
        self.seen.append({"method": self.command, "path": path, **headers})
        words = path.removeprefix("api/models/").split("/")
        name = "/".join(words[:2])
        if name == SECRET and self.headers.get("Authorization") == "Bearer hf_right":
            name = "owner/name"
        if name not in REPOSITORIES:
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        kind, revision, rest = (words[2], words[3], "/".join(words[4:])) if len(words) > 3 else ("revision", "main", "")
        commit = COMMITS.get(revision, revision)
        if commit not in COMMITS.values():
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if kind == "resolve":
            return self.send_file(REPOSITORIES[name], commit, rest)
        if kind == "tree":
            assert parse_qs(urlsplit(self.path).query)["recursive"] in (["True"], ["true"])
            listed = [
                {"type": "file", "path": path, "size": len(content or b""), "oid": digest(content)}
                for path, content in REPOSITORIES[name].items()
            ]
            return self.send(200, json.dumps(listed).encode())
        about = {"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in REPOSITORIES[name]]}
        return self.send(200, json.dumps(about).encode())

    def send_file(self, files, commit, path):
        if files.get(path) is None:
            return self.send(403, b"")  # the client would try again after a 500
        return self.send(200, files[path], {"ETag": f'"{digest(files[path])}"', "X-Repo-Commit": commit})

    def write(self, content):
        self.wfile.write(content if content != b"cut" else b"")


def digest(content):
    return hashlib.sha1(content or b"").hexdigest()


@pytest.fixture
def hub():
    """A hub on this machine: its address, and what was asked of it."""
    handler = type("OwnHub", (Hub,), {"seen": []})
    with serving(handler) as address:
        yield address, handler.seen


SCRIPT = """
    import json, os, socket, sys
    arguments = json.loads(sys.argv[1])
    if arguments.pop("offline"):
        def refuse(*args, **kwargs):
            os._exit(99)
        socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
    from wellread.errors import WellreadError
    from wellread.hub.resolve import resolve
    try:
        print(json.dumps({"path": str(resolve(**arguments))}))
    except WellreadError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


@pytest.fixture
def pull(tmp_path):
    """Resolve a handle in a process of its own: huggingface_hub reads its environment when it is imported."""

    def run(handle, endpoint, *, environment=(), offline=False, **options):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        own = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                textwrap.dedent(SCRIPT),
                json.dumps({"handle": handle, "offline": offline, **options}),
            ],
            env={**kept, **own, **dict(environment)},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return run


def held(found):
    directory = Path(found["path"])
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


WANTED = {"config.json", "vocab.txt", "model.safetensors", "2_Dense/pytorch_model.bin"}


def test_the_default_lies_in_the_package():
    assert resolve("default") == DEFAULT
    assert DEFAULT.parts[-3:] == ("wellread", "catalog", "default")


def test_an_existing_path_is_taken_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "module").mkdir()
    (tmp_path / "module.onnx").touch()
    (tmp_path / "module.zip").mkdir()  # a folder, whatever its name
    assert resolve(tmp_path / "module") == tmp_path / "module"
    assert resolve(str(tmp_path / "module.onnx")) == tmp_path / "module.onnx"
    assert resolve(tmp_path / "module.zip") == tmp_path / "module.zip"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/module") == tmp_path / "module"
    monkeypatch.chdir(tmp_path)
    assert resolve("module") == Path("module")


@pytest.mark.parametrize(
    "handle",
    [
        *("", " ", "gs://example/a/b/c", "a/b/c", "/no/such/path", "../gone", "~nobody/x", "a--b", "a..b"),
        *("name.git", "-a/b", "한국/모델", "a\0b", "x" * 5000, "owner/name\n"),
    ],
)
def test_a_handle_that_names_nothing_is_refused_without_a_network(handle, monkeypatch):
    monkeypatch.setattr("socket.socket", None)
    with pytest.raises(HandleError) as error:
        resolve(handle)
    assert str(error.value) == (
        f"the handle {handle!r} was given; there is no such path, and it is no Hugging Face id such as "
        "sentence-transformers/all-MiniLM-L6-v2; check its spelling"
    )


def test_what_a_module_is_made_of_is_fetched_and_nothing_else(hub, pull):
    endpoint, seen = hub
    found = pull("owner/name", endpoint)
    assert held(found) == WANTED
    assert (Path(found["path"]) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert Path(found["path"]).name == COMMITS["main"]
    assert all(request["Authorization"] is None for request in seen)
    assert all(request["path"].split("/")[0] in ("api", "owner") for request in seen)
    assert not [request for request in seen if "harness" in request["path"] or "torch" in request["User-Agent"]]


def test_torch_weights_are_fetched_where_there_are_no_others(hub, pull):
    assert held(pull("owner/torch", hub[0])) == {"config.json", "pytorch_model.bin"}


def test_weights_of_tensorflow_are_fetched_where_there_are_no_others(hub, pull):
    assert held(pull("owner/hub", hub[0])) == {"saved_model.pb", "variables/variables.index", "assets/vocab.txt"}
    assert held(pull("owner/tf1", hub[0])) == set(REPOSITORIES["owner/tf1"])


@pytest.mark.parametrize("kind", SUFFIXES)
def test_an_archive_is_unpacked_into_the_cache(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "vocab.txt").write_text("[PAD]")
    form = {".zip": "zip", ".tar": "tar"}.get(kind, "gztar")
    made = shutil.make_archive(str(tmp_path / "made"), form, tmp_path, "bert")
    archive = Path(made).rename(tmp_path / f"model{kind}")
    found = resolve(archive)
    assert found.is_relative_to(tmp_path / "cache" / "unpacked")
    assert [path.name for path in found.iterdir()] == ["vocab.txt"]
    assert resolve(str(archive)) == found


def test_a_damaged_archive_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model.zip").write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match=r"model\.zip was to be unpacked; found that it is damaged or no archive"):
        resolve(tmp_path / "model.zip")


@pytest.mark.parametrize("address", ["https://tfhub.dev/owner/name/1", "http://127.0.0.1:9/module.tar.gz"])
def test_an_address_is_looked_up_where_tensorflow_hub_would_look(tmp_path, monkeypatch, address):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("socket.socket", None)
    with pytest.raises(HandleError) as error:
        resolve(address)
    assert str(error.value) == (
        f"the module {address} was asked for; {tmp_path} holds none under that handle, and tfhub.dev's links, which "
        f"wellread does not follow, are dying; run wellread revive {address} --from MODULE, or pass a local copy"
    )
    place = tmp_path / hashlib.sha1(address.encode()).hexdigest()
    place.mkdir()
    (place / "saved_model.pb").touch()
    assert resolve(address) == place
    with pytest.raises(HandleError, match="holds none under that handle"):
        resolve(address + "/")  # tensorflow-hub takes a handle as it is written


def test_the_cache_is_used_again(hub, pull):
    endpoint, seen = hub
    first = pull("owner/name", endpoint)
    fetched = [request["path"].split("/", 4)[-1] for request in seen if "resolve" in request["path"]]
    assert set(fetched) == WANTED
    seen.clear()
    assert pull("owner/name", endpoint) == first
    assert seen
    assert not [request for request in seen if "resolve" in request["path"]]


def test_a_revision_and_a_cache_directory_can_be_named(hub, pull, tmp_path):
    found = pull("owner/name", hub[0], revision="v1", cache_dir=str(tmp_path / "elsewhere"))
    assert Path(found["path"]).name == COMMITS["v1"]
    assert Path(found["path"]).is_relative_to(tmp_path / "elsewhere")


@pytest.mark.parametrize("how", [{"token": "hf_right"}, {"environment": [("HF_TOKEN", "hf_right")]}])
def test_the_token_is_sent_as_a_header(hub, pull, how):
    endpoint, seen = hub
    assert held(pull(SECRET, endpoint, **how)) == WANTED
    assert {request["Authorization"] for request in seen} == {"Bearer hf_right"}


@pytest.mark.parametrize("how", [{"local_files_only": True}, {"environment": [("HF_HUB_OFFLINE", "1")]}])
def test_offline_nothing_is_asked_of_any_socket(hub, pull, how):
    endpoint, seen = hub
    first = pull("owner/name", endpoint)
    seen.clear()
    assert pull("owner/name", endpoint, offline=True, **how) == first
    found = pull("owner/torch", endpoint, offline=True, **how)
    assert found["error"] == "DownloadError"
    begin = "owner/torch was asked for; it is not whole in the cache and could not be fetched ("
    assert found["message"].startswith(begin)
    assert "offline" in found["message"]
    assert found["message"].endswith("); fetch it while online, or pass a local directory")
    assert not seen


def test_an_unknown_id_is_named(hub, pull):
    assert pull("owner/nothing", hub[0]) == {
        "error": "HandleError",
        "message": "the Hugging Face id 'owner/nothing' was asked for; the hub knows no such repository, or "
        "not with this token; check its spelling and HF_TOKEN",
    }
    assert pull(SECRET, hub[0], token="hf_wrong")["error"] == "HandleError"


def test_an_unknown_revision_is_named(hub, pull):
    assert pull("owner/name", hub[0], revision="v2") == {
        "error": "HandleError",
        "message": "revision 'v2' of owner/name was asked for; the hub knows no such revision; check its spelling",
    }


def test_a_hub_that_is_down_is_named_and_the_cache_stands_in(hub, pull):
    down = "http://127.0.0.1:9"  # the port of the discard service: nobody listens
    found = pull("owner/name", down)
    assert found["error"] == "DownloadError"
    assert found["message"].startswith(
        "owner/name was asked for; it is not whole in the cache and could not be fetched ("
    )
    assert "refused" in found["message"]
    assert pull("owner/name", down, environment=[("HF_ENDPOINT", hub[0])]) == pull("owner/name", down)


def test_a_file_that_cannot_be_fetched_is_named(hub, pull):
    found = pull("owner/broken", hub[0])
    assert found["error"] == "DownloadError"
    assert found["message"].startswith(
        "owner/broken was asked for; it is not whole in the cache and could not be fetched (403"
    )


def test_a_cache_that_cannot_be_written_is_named(hub, pull, tmp_path):
    (tmp_path / "file").touch()
    found = pull("owner/name", hub[0], cache_dir=str(tmp_path / "file"))
    assert found["error"] == "DownloadError"
    assert found["message"].startswith("owner/name was to be fetched; found that [Errno ")
    assert found["message"].endswith("; try again later")


def test_a_connection_that_breaks_is_named(hub, pull):
    found = pull("owner/cut", hub[0])
    assert found["error"] == "DownloadError"
    assert found["message"].startswith("owner/cut was to be fetched; found that peer closed connection")
