"""snapshot: the real client of the hub against a small hub on this machine, offline, and through every fault."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hub_process import answer, held, start
from hub_server import Fault, ReadableHub, git_id, serving

from wellread.hub.huggingface import selected
from wellread.hub.integrity import blob_id

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
LARGE = bytes(range(250)) * 40_000  # 10 MB: more than what huggingface_hub fetches for us
SECRET = "owner/private"
REPOSITORIES = {
    "owner/name": FILES,
    "owner/large": {"config.json": b"{}", "model.safetensors": LARGE},
    SECRET: {"config.json": b"{}", "model.safetensors": LARGE},
    "owner/gated": FILES,
    "owner/torch": {name: FILES[name] for name in ("config.json", "pytorch_model.bin", "tf_model.h5")},
    "owner/hub": {
        **{name: FILES[name] for name in ("tf_model.h5", "modeling.py")},
        **dict.fromkeys(("saved_model.pb", "variables/variables.index", "assets/vocab.txt"), b"a SavedModel"),
    },
    "owner/tf1": {"config.json": b"{}", "bert_model.ckpt.index": b"a", "bert_model.ckpt.data-00000-of-00001": b"b"},
}
WANTED = {"config.json", "vocab.txt", "model.safetensors", "2_Dense/pytorch_model.bin"}
WEIGHTS = hashlib.sha256(LARGE).hexdigest()


@pytest.fixture
def hub():
    """A hub on this machine whose large files are on another host: its address, its handler, and the other's."""
    state = {
        "repositories": REPOSITORIES,
        "revisions": COMMITS,
        "tokens": {SECRET: "hf_right"},
        "gated": ("owner/gated",),
        "lfs": ("*.safetensors",),
    }
    cdn = type("Cdn", (ReadableHub,), {"repositories": REPOSITORIES})
    with serving(cdn) as elsewhere:
        own = type("OwnHub", (ReadableHub,), {**state, "cdn": elsewhere.replace("127.0.0.1", "localhost")})
        with serving(own) as address:
            yield address, own, cdn


@pytest.fixture
def run(tmp_path, hub):
    """Do something with the hub in a process of its own."""

    def run(handle, endpoint=None, **arguments):
        return answer(start(tmp_path, endpoint or hub[0], handle=handle, **arguments))

    return run


def test_what_a_module_is_made_of_is_selected():
    assert set(selected(FILES)) == WANTED
    assert selected(["2_Dense/model.safetensors", "config.json", "pytorch_model.bin"])[-1] == "pytorch_model.bin"
    assert selected(["pytorch_model.bin", "saved_model.pb"]) == ["pytorch_model.bin"]
    old = ["0_BERT/config.json", "0_BERT/pytorch_model.bin", "1_Pooling/config.json", "2_Dense/pytorch_model.bin"]
    assert sorted(selected(["0_BERT/tf_model.h5", *old])) == old
    assert "0_BERT/pytorch_model.bin" not in selected([*old, "0_BERT/model.safetensors"])
    assert selected(["a.h5", "b.py", "README.md"]) == []


def test_what_a_module_is_made_of_is_fetched_and_nothing_else(hub, run):
    _, own, _ = hub
    found = run("owner/name")
    assert held(found) == WANTED
    assert (Path(found["path"]) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert Path(found["path"]).name == COMMITS["main"]
    assert all(request["Authorization"] is None for request in own.seen)
    assert all(request["path"].split("/")[1] in ("api", "owner") for request in own.seen)
    assert not [request for request in own.seen if "harness" in request["path"] or "torch" in request["User-Agent"]]


def test_older_weights_are_fetched_where_there_are_no_others(run):
    assert held(run("owner/torch")) == {"config.json", "pytorch_model.bin"}
    assert held(run("owner/hub")) == {"saved_model.pb", "variables/variables.index", "assets/vocab.txt"}
    assert held(run("owner/tf1")) == set(REPOSITORIES["owner/tf1"])


def test_a_large_file_lies_where_the_real_client_looks(hub, run):
    *_, cdn = hub
    path = Path(run("owner/large")["path"]) / "model.safetensors"
    assert path.read_bytes() == LARGE
    assert Path(os.readlink(path)).parts[-2:] == ("blobs", WEIGHTS)
    assert [request["path"] for request in cdn.seen if request["method"] == "GET"] == [f"/cdn/{WEIGHTS}/{'a' * 40}"]
    assert not [each for each in path.resolve().parent.iterdir() if "part" in each.name or "lock" in each.name]


def test_a_revision_and_a_cache_directory_can_be_named(run, tmp_path):
    found = run("owner/name", revision="v1", cache_dir=str(tmp_path / "elsewhere"))
    assert Path(found["path"]).name == COMMITS["v1"]
    assert Path(found["path"]).is_relative_to(tmp_path / "elsewhere")
    assert Path(run("owner/name", revision="b" * 40)["path"]).name == COMMITS["v1"]


@pytest.mark.parametrize("how", [{"token": "hf_right"}, {"environment": [("HF_TOKEN", "hf_right")]}])
def test_the_token_is_sent_to_the_hub_and_to_no_other_host(hub, run, how):
    _, own, cdn = hub
    assert held(run(SECRET, **how)) == {"config.json", "model.safetensors"}
    assert {request["Authorization"] for request in own.seen} == {"Bearer hf_right"}
    assert cdn.seen
    assert {request["Authorization"] for request in cdn.seen} == {None}


def test_small_files_in_lfs_are_fetched_without_the_token_too(hub, run, monkeypatch):
    _, own, cdn = hub
    own.tokens = {"owner/name": "hf_right"}
    assert held(run("owner/name", token="hf_right")) == WANTED
    assert cdn.seen
    assert {request["Authorization"] for request in cdn.seen} == {None}


@pytest.mark.parametrize("how", [{"local_files_only": True}, {"environment": [("HF_HUB_OFFLINE", "1")]}])
def test_what_another_program_left_in_the_cache_is_used_where_it_lies(hub, run, how, tmp_path):
    first = run("owner/name")
    shutil.rmtree(tmp_path / "wellread")  # so that nobody knows who fetched it
    assert run("owner/name", offline=True, **how) == first
    assert len(list((tmp_path / "wellread" / "pulled").iterdir())) == 1
    found = run("owner/torch", offline=True, **how)
    assert found["error"] == "DownloadError"
    assert found["message"].startswith(
        "owner/torch was asked for; it is not whole in the cache and could not be fetched (offline"
    )
    assert found["message"].endswith("); fetch it while online, or pass a local directory")


def test_damage_in_the_cache_of_another_program_is_refused_offline(run, tmp_path):
    first = run("owner/name")
    shutil.rmtree(tmp_path / "wellread")
    damage(Path(first["path"]) / "vocab.txt")
    found = run("owner/name", local_files_only=True)
    assert found["error"] == "DownloadError"
    wrong = git_id(b"\0" * len(FILES["vocab.txt"]))
    assert found["message"] == (
        f"the files of owner/name must be what the hub says; found vocab.txt: checksum {wrong} where "
        f"{git_id(FILES['vocab.txt'])} was promised; run wellread pull owner/name while online"
    )


def damage(path):
    """Write other bytes of the right length."""
    path.write_bytes(bytes(path.stat().st_size))


def test_an_unknown_id_is_named(run):
    assert run("owner/nothing") == {
        "error": "HandleError",
        "message": "the Hugging Face id 'owner/nothing' was asked for; the hub knows no such repository, or "
        "not with this token; check its spelling and HF_TOKEN",
    }
    assert run(SECRET, token="hf_wrong")["error"] == "HandleError"


def test_an_unknown_revision_is_named(run):
    assert run("owner/name", revision="v2") == {
        "error": "HandleError",
        "message": "revision 'v2' of owner/name was asked for; the hub knows no such revision; check its spelling",
    }


def test_a_gated_module_says_whom_to_ask(run):
    assert run("owner/gated") == {
        "error": "DownloadError",
        "message": "owner/gated was to be fetched; the hub says that its owner lets in whom they choose (403); ask for "
        "access on its page, and set HF_TOKEN",
    }


def test_a_hub_that_is_down_is_named_and_the_cache_stands_in(hub, run, tmp_path):
    down = "http://127.0.0.1:9"  # the port of the discard service: nobody listens
    found = run("owner/name", down)
    assert found["error"] == "DownloadError"
    assert found["message"].startswith(
        "owner/name was asked for; it is not whole in the cache and could not be fetched ("
    )
    assert "refused" in found["message"]
    first = run("owner/name")
    shutil.rmtree(tmp_path / "wellread")
    assert run("owner/name", down) == first


@pytest.mark.parametrize(
    ("status", "found", "advice"),
    [
        (401, "that it does not know the token", "check HF_TOKEN"),
        (403, "that it may not be read with this token", "check HF_TOKEN"),
        (429, "that too much was asked of it", "wait some minutes, or set HF_TOKEN, whose limits are higher"),
        (500, "an error", "try again later"),
        (503, "an error", "try again later"),
    ],
)
@pytest.mark.parametrize("path", ["/api/models/*", "*/model.safetensors"])
def test_a_hub_that_refuses_is_named(hub, run, status, found, advice, path):
    told = (("X-Error-Message", "Invalid credentials in Authorization header"),) if status == 401 else ()
    for method in ("GET", "HEAD"):
        hub[1].failing.append(Fault(path, status, times=99, method=method, headers=told))
    assert run("owner/name", quick=True) == {
        "error": "DownloadError",
        "message": f"owner/name was to be fetched; the hub answered {found} ({status}); {advice}",
    }


def test_a_hub_that_is_busy_for_a_while_is_waited_for(hub, run):
    for status in (429, 500, 503):
        hub[1].failing.append(Fault("*/model.safetensors", status, method="HEAD"))
    assert held(run("owner/name", quick=True)) == WANTED


def test_a_connection_that_breaks_is_gone_on_with(hub, run):
    _, own, cdn = hub
    cdn.failing += [Fault("/cdn/*", "cut", after=4_000_000), Fault("/cdn/*", "cut", after=3_000_000)]
    own.failing.append(Fault("*/vocab.txt", "cut", after=2))
    path = Path(run("owner/large", quick=True)["path"]) / "model.safetensors"
    assert path.read_bytes() == LARGE
    asked = [request["Range"] for request in cdn.seen if request["method"] == "GET"]
    assert asked == [None, "bytes=4000000-", "bytes=7000000-"]
    small = Path(run("owner/name", quick=True)["path"]) / "vocab.txt"
    assert small.read_bytes() == FILES["vocab.txt"]


def test_a_connection_that_breaks_for_good_is_named_and_the_next_pull_goes_on(hub, run):
    _, own, cdn = hub
    cdn.failing += [Fault("/cdn/*", "cut", after=4_000_000), Fault("/cdn/*", "cut", times=9)]
    found = run("owner/large", quick=True)
    assert found["error"] == "DownloadError"
    assert "4000000 of 10000000 bytes" in found["message"]
    cdn.failing.clear()
    cdn.seen.clear()
    assert "path" in run("owner/large")
    assert [request["Range"] for request in cdn.seen if request["method"] == "GET"] == ["bytes=4000000-"]
    own.failing.append(Fault("*/config.json", "cut", times=9))
    found = run("owner/tf1", quick=True)
    assert found["error"] == "DownloadError"
    assert found["message"].startswith("owner/tf1 was to be fetched; found that peer closed connection")


@pytest.mark.parametrize(("name", "file"), [("owner/large", "model.safetensors"), ("owner/name", "vocab.txt")])
def test_wrong_bytes_of_the_right_length_are_fetched_once_more(hub, run, name, file):
    _, own, cdn = hub
    content = REPOSITORIES[name][file]
    wrong = bytes(byte ^ 1 for byte in content)
    digest, of = (
        (WEIGHTS, hashlib.sha256(wrong).hexdigest()) if name == "owner/large" else (git_id(content), git_id(wrong))
    )
    damaged = f"the files of {name} must be what the hub says; found {file}: checksum {of} where {digest} was promised"
    (cdn if name == "owner/large" else own).failing.append(
        Fault("/cdn/*" if name == "owner/large" else f"*/{file}", "wrong")
    )
    found = run(name)
    assert (Path(found["path"]) / file).read_bytes() == content
    assert f"{damaged}; fetching again" in found["warned"]


def test_wrong_bytes_twice_are_refused_and_not_kept(hub, run, tmp_path):
    hub[2].failing.append(Fault("/cdn/*", "wrong", times=2))
    found = run("owner/large")
    assert found["error"] == "DownloadError"
    assert found["message"].endswith("was promised, and so once more; try again later")
    assert not list((tmp_path / "hf").rglob(WEIGHTS))
    assert not list((tmp_path / "hf").rglob("model.safetensors"))
    assert (Path(run("owner/large")["path"]) / "model.safetensors").read_bytes() == LARGE


def test_copies_are_checked_where_links_are_not_to_be_had(hub, run):
    how = {"environment": [("HF_HUB_DISABLE_SYMLINKS", "1")]}
    hub[2].failing.append(Fault("/cdn/*", "wrong"))
    found = run("owner/large", **how)
    path = Path(found["path"]) / "model.safetensors"
    assert not path.is_symlink()
    assert path.read_bytes() == LARGE
    assert "fetching again" in found["warned"][0]


def test_a_mirror_that_keeps_checksums_for_its_tree_is_asked_there(hub, run, monkeypatch):
    monkeypatch.setattr("hub_server._sibling", lambda entry: {})
    hub[1].failing.append(Fault("*/vocab.txt", "wrong"))
    assert "vocab.txt: checksum" in run("owner/name")["warned"][0]


def test_a_pointer_in_place_of_weights_is_refused(hub, run, monkeypatch):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 7\n"
    hub[1].repositories = {"owner/name": {**FILES, "model.safetensors": pointer}}
    hub[1].lfs = ()
    found = run("owner/name")
    assert found["error"] == "CheckpointError"
    assert "git-lfs" in found["message"]


def test_a_cache_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "file").touch()
    found = run("owner/name", cache_dir=str(tmp_path / "file"))
    assert found["error"] == "DownloadError"
    assert found["message"].startswith("owner/name was to be fetched; found that [Errno ")
    assert found["message"].endswith("; try again later")


def can_mount():
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not shutil.which("unshare") or not can_mount(), reason="a small disk cannot be made here")
@pytest.mark.parametrize("name", ["owner/large", "owner/tf1"])
def test_a_full_disk_is_named_with_both_numbers(hub, tmp_path, name, monkeypatch):
    (tmp_path / "hf").mkdir()
    monkeypatch.setattr("hub_process.sys.executable", str(tmp_path / "python"))
    mount = f"mount -t tmpfs -o size=80k x {tmp_path}/hf"
    wrapper = f'#!/bin/sh\nexec unshare -rm sh -c \'{mount} && exec "$@"\' sh {PYTHON} "$@"\n'
    (tmp_path / "python").write_text(wrapper)
    (tmp_path / "python").chmod(0o755)
    hub[1].repositories = {**REPOSITORIES, "owner/tf1": {**REPOSITORIES["owner/tf1"], "vocab.txt": bytes(200_000)}}
    found = answer(start(tmp_path, hub[0], handle=name))
    assert found["error"] == "DownloadError"
    needed = "10000000 more are needed" if name == "owner/large" else "it takes 200,004 bytes and "
    assert needed in found["message"]


PYTHON = os.sys.executable


def test_a_blob_is_named_as_git_names_it(tmp_path):
    (tmp_path / "file").write_bytes(b"what is up, doc?")  # the example of the git book
    assert blob_id(tmp_path / "file") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
