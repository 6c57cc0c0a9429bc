"""pull and what loads open of it: new commits, damage, archives, two processes at once, one that is killed."""

import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest
from hub_process import answer, held, start
from hub_server import Fault, ReadableHub, serving
from tfhub_places import DISTILBERT, TEXT, installed

from wellread.errors import CheckpointError, DownloadError, HandleError, InputError
from wellread.hub.http_errors import is_offline
from wellread.hub.location import Location
from wellread.hub.obtain import locked
from wellread.hub.pull import pull
from wellread.hub.records import all_records, hub_cache, request_for

LARGE = bytes(range(250)) * 40_000  # 10 MB


def tar(files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


ARCHIVE = tar({"bert/config.json": b"{}", "bert/vocab.txt": b"[PAD]\n"})


@pytest.fixture
def hub():
    """A hub with a repository and an archive: its address and its handler."""
    files = {"config.json": b"{}", "vocab.txt": b"[PAD]\n", "model.safetensors": LARGE}
    state = {
        "repositories": {"owner/name": files},
        "revisions": {"main": "a" * 40},
        "lfs": ("*.safetensors",),
        "plain": {"/bert.tar.gz": ARCHIVE},
    }
    own = type("OwnHub", (ReadableHub,), state)
    with serving(own) as address:
        yield address, own


@pytest.fixture
def run(tmp_path, hub):
    """Pull, or do something else, in a process of its own."""

    def run(handle="owner/name", *, do="pull", **arguments):
        return answer(start(tmp_path, hub[0], do=do, handle=handle, **arguments))

    return run


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Caches of this process alone."""
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "wellread"))
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "tfhub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def contents_asked(own):
    """Count the contents that were sent, by the last part of their path."""
    paths = [request["path"] for request in own.seen if request["method"] == "GET"]
    names = (path.split("/") for path in paths if "/api/" not in path)
    return [words[2] if words[1] == "cdn" else words[-1] for words in names]


# -- Hugging Face --------------------------------------------------------------------------------------------------


def test_what_was_pulled_is_opened_without_the_network_and_without_its_client(hub, run):
    first = run()
    assert first["fetched"]
    assert first["commit"] == "a" * 40
    assert first["sha256s"]["model.safetensors"] == hashlib.sha256(LARGE).hexdigest()
    hub[1].seen.clear()
    assert run(do="resolve", offline=True) == {"path": first["path"], "without_hub": True}
    assert not hub[1].seen


def test_a_new_commit_is_seen_by_pull_alone(hub, run):
    first = run()
    hub[1].revisions = {"main": "b" * 40}
    hub[1].repositories = {"owner/name": {**hub[1].repositories["owner/name"], "vocab.txt": b"[UNK]\n"}}
    hub[1].seen.clear()
    assert run(do="resolve")["path"] == first["path"]
    assert not hub[1].seen
    second = run()
    assert second["commit"] == "b" * 40
    assert second["fetched"]
    assert (Path(second["path"]) / "vocab.txt").read_bytes() == b"[UNK]\n"
    assert "model.safetensors" not in contents_asked(hub[1])  # which is the same
    assert run(do="resolve")["path"] == second["path"]
    assert not run()["fetched"]


def test_a_pull_by_force_fetches_what_is_there(hub, run):
    run()
    hub[1].seen.clear()
    assert run(force=True)["fetched"]
    assert {"config.json", "vocab.txt", hashlib.sha256(LARGE).hexdigest()} <= set(contents_asked(hub[1]))


@pytest.mark.parametrize("file", ["vocab.txt", "model.safetensors"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_damage_is_named_at_load_and_only_that_file_fetched_again(hub, run, file, how):
    first = run()
    path = Path(first["path"]) / file
    content = path.read_bytes()
    os.truncate(path, 3) if how == "changed" else path.unlink()
    hub[1].revisions = {"main": "b" * 40, "then": "a" * 40}  # the commit that was pulled is kept
    hub[1].seen.clear()
    found = run(do="resolve")
    assert found["path"] == first["path"]
    assert path.read_bytes() == content
    blob = hashlib.sha256(LARGE).hexdigest() if file == "model.safetensors" else file
    assert set(contents_asked(hub[1])) <= {blob}
    assert ("fetching again" in str(found.get("warned"))) == (how == "changed")


def test_damage_is_refused_offline(run):
    first = run()
    (Path(first["path"]) / "vocab.txt").write_bytes(b"[BAD]\n")
    (Path(first["path"]) / "config.json").unlink()
    for how in ({"local_files_only": True}, {"environment": [("HF_HUB_OFFLINE", "1")]}):
        assert run(do="resolve", offline=True, **how) == {
            "error": "DownloadError",
            "message": f"the files of owner/name in {first['path']} must be as they were pulled; found that "
            "config.json is missing; vocab.txt has another SHA-256; run wellread pull owner/name while online",
            "without_hub": True,
        }


def test_damage_that_cannot_be_mended_names_both(hub, run):
    first = run()
    (Path(first["path"]) / "vocab.txt").write_bytes(b"[BAD]\n")
    found = run(do="resolve", environment=[("HF_ENDPOINT", "http://127.0.0.1:9")])
    assert found["error"] == "DownloadError"
    assert "vocab.txt has another SHA-256; it could not be fetched again: owner/name was asked for;" in found["message"]


def test_offline_a_pull_hashes_what_is_there(run):
    first = run()
    offline = {"offline": True, "environment": [("HF_HUB_OFFLINE", "1")]}
    second = run(**offline)
    assert second["sha256s"] == first["sha256s"]
    assert not second["fetched"]
    assert "was to be fetched anew; found HF_HUB_OFFLINE set" in run(force=True, **offline)["message"]
    stat = os.stat(Path(first["path"]) / "model.safetensors")
    weights = Path(first["path"]) / "model.safetensors"
    weights.write_bytes(bytes(len(LARGE)))
    os.utime(weights, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert "model.safetensors has another SHA-256" in run(**offline)["message"]


def test_a_file_that_another_program_adds_is_taken_in_and_checked(hub, run, tmp_path):
    first = run()
    new = Path(first["path"]) / "tokenizer.json"
    blob = Path(first["path"]).parents[1] / "blobs" / ("0" * 40)
    blob.write_bytes(b"{}")  # of which that is not the id
    new.symlink_to(blob)
    found = run(do="resolve", offline=True)
    assert f"where {'0' * 40} was promised; run wellread pull owner/name" in found["message"]
    new.unlink()
    new.write_bytes(b"{}")
    assert run(do="resolve", offline=True)["path"] == first["path"]
    (record,) = (tmp_path / "wellread" / "pulled").glob("*.json")
    assert "tokenizer.json" in json.loads(record.read_text())["files"]


def test_two_processes_fetch_once(hub, tmp_path):
    for handle in ("owner/name", f"{hub[0]}/bert.tar.gz"):
        hub[1].seen.clear()
        pair = [start(tmp_path, hub[0], do="pull", handle=handle) for _ in range(2)]
        first, second = map(answer, pair)
        assert first["sha256s"] == second["sha256s"]
        assert sorted([first["fetched"], second["fetched"]]) == [False, True]
        asked = contents_asked(hub[1])
        assert len(asked) == len(set(asked))


@pytest.mark.parametrize("handle", ["owner/name", "/bert.tar.gz"])
def test_a_process_that_is_killed_leaves_nothing_half_taken(hub, run, tmp_path, handle):
    address, own = hub
    handle, path = (address + handle, handle) if handle[0] == "/" else (handle, "/cdn/*")
    own.failing.append(Fault(path, "stall", after=100))
    process = start(tmp_path, address, do="pull", handle=handle)
    while not own.seen or own.failing[0].times:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    own.released.set()
    assert not list((tmp_path / "wellread").glob("pulled/*"))
    assert len(run(handle)["sha256s"]) == (3 if handle == "owner/name" else 2)
    left = [path.name for path in (tmp_path / "wellread" / "modules").glob("*")]
    assert [name for name in left if not name.isalnum()] == []


# -- archives and TF Hub -------------------------------------------------------------------------------------------


def test_an_archive_is_fetched_once_and_opened_without_the_network(hub, run):
    address, own = hub
    first = run(f"{address}/bert.tar.gz")
    assert held(first) == {"config.json", "vocab.txt"}
    assert first["fetched"]
    own.seen.clear()
    assert run(f"{address}/bert.tar.gz", do="resolve", offline=True)["path"] == first["path"]
    assert not run(f"{address}/bert.tar.gz")["fetched"]
    assert not own.seen
    assert run(f"{address}/bert.tar.gz", force=True)["fetched"]


def test_a_damaged_module_of_an_archive_is_fetched_again_if_the_archive_is_the_same(hub, run):
    address, own = hub
    first = run(f"{address}/bert.tar.gz")
    vocabulary = Path(first["path"]) / "vocab.txt"
    vocabulary.write_bytes(b"[BAD]\n")
    assert run(f"{address}/bert.tar.gz", do="resolve")["path"] == first["path"]
    assert vocabulary.read_bytes() == b"[PAD]\n"
    vocabulary.write_bytes(b"[BAD]\n")
    own.plain = {"/bert.tar.gz": tar({"bert/vocab.txt": b"[NEW]\n"})}
    found = run(f"{address}/bert.tar.gz", do="resolve")
    assert found["error"] == "DownloadError"
    assert "found another archive at its address; run wellread pull --force" in found["message"]
    assert held(run(f"{address}/bert.tar.gz", force=True)) == {"vocab.txt"}
    assert vocabulary.read_bytes() == b"[NEW]\n"


def test_what_was_never_pulled_is_refused_offline(hub, run):
    assert run(f"{hub[0]}/bert.tar.gz", do="resolve", local_files_only=True, offline=True) == {
        "error": "DownloadError",
        "message": f"{hub[0]}/bert.tar.gz was asked for; it was never pulled, and the network is not to be used; run "
        f"wellread pull {hub[0]}/bert.tar.gz while online, or pass a local directory",
        "without_hub": True,
    }


def test_an_archive_can_be_kept_elsewhere(hub, run, tmp_path):
    found = run(f"{hub[0]}/bert.tar.gz", cache_dir=str(tmp_path / "elsewhere"))
    assert Path(found["path"]).is_relative_to(tmp_path / "elsewhere")
    assert held(found) == {"config.json", "vocab.txt"}


def test_a_tfhub_module_comes_from_tensorflow_hubs_cache_first(own_cache, tmp_path):
    handle = "https://tfhub.dev/tensorflow/small_bert/bert_en_uncased_L-2_H-128_A-2/1"
    place = installed(handle, "saved_model.pb", "assets/vocab.txt")
    assert place == tmp_path / "tfhub" / hashlib.sha1(handle.encode()).hexdigest()
    found = pull(handle)
    assert found.directory == place
    assert not found.fetched
    assert found.sha256s == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("saved_model.pb", "assets/vocab.txt")
    }
    assert found.size == 30
    assert found.notes == ("nothing is recorded of these files: they were hashed, and compared with nothing",)


def located(hub, monkeypatch, **changes):
    """Have a handle of TF Hub lead to a server on this machine."""
    location = Location(handle="a handle", kind="tfhub", address=f"{hub[0]}/bert.tar.gz", **changes)
    monkeypatch.setattr("wellread.hub.pull.locate", lambda handle: location)
    return location


def test_a_tfhub_module_is_fetched(own_cache, hub, monkeypatch):
    located(hub, monkeypatch, note="it is the retrained one")
    found = pull("a handle")
    assert found.fetched
    assert set(found.files) == {"config.json", "vocab.txt"}
    assert found.notes == ("it is the retrained one",)


def test_a_dead_handle_names_the_living_ones(own_cache, hub, monkeypatch):
    hub[1].plain = {}
    located(hub, monkeypatch, alternatives=("google/bert",))
    with pytest.raises(DownloadError, match="the same weights are at google/bert"):
        pull("a handle")
    assert not all_records()


# -- what needs no network -----------------------------------------------------------------------------------------


def test_a_local_directory_is_hashed_and_default_is_compared(own_cache, tmp_path):
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "vocab.txt").write_bytes(b"[PAD]\n")
    found = pull(tmp_path / "module")
    assert found.sha256s == {"vocab.txt": hashlib.sha256(b"[PAD]\n").hexdigest()}
    assert "compared with nothing" in found.notes[0]
    assert pull("default").notes == ()
    assert "model.safetensors" in pull("default").files


def test_a_damaged_native_directory_is_refused(own_cache, tmp_path):
    module = shutil.copytree(pull("default").directory, tmp_path / "module")
    (module / "vocab.txt").write_bytes(b"")
    with pytest.raises(CheckpointError) as error:
        pull(module)
    assert str(error.value) == (
        f"every file must be as it is recorded; found that {module / 'vocab.txt'} has another SHA-256; run wellread "
        "pull, or save the module again"
    )


def test_an_encoder_without_a_vocabulary_brings_the_preprocessor_of_its_page(own_cache):
    encoder = installed(DISTILBERT, "saved_model.pb")
    text = installed(TEXT, "saved_model.pb", "assets/vocab.txt")
    found = pull(DISTILBERT)
    assert found.directory == encoder
    assert found.notes[-1] == f"it carries no vocabulary: its preprocessor {TEXT} is here too, in {text}"


def test_a_cache_that_cannot_be_written_is_named_by_pull_and_bears_a_load(hub, tmp_path):
    (tmp_path / "file").touch()
    environment = [("WELLREAD_CACHE", str(tmp_path / "file"))]
    found = answer(start(tmp_path, hub[0], do="pull", handle="owner/name", environment=environment))
    assert found["error"] == "DownloadError"
    assert "wellread's cache cannot be written, so that each load would ask the network" in found["message"]
    assert "path" in answer(start(tmp_path, hub[0], handle="owner/name", environment=environment))


# -- what is asked -------------------------------------------------------------------------------------------------


def test_revisions_are_for_hugging_face(own_cache):
    archive = Location(handle="https://host/a.zip", kind="archive", address="https://host/a.zip")
    with pytest.raises(InputError, match=r"revision 'v1' of https://host/a.zip was asked for; found that only"):
        request_for(archive, revision="v1")
    named = Location(handle="hf://a/b@v2", kind="huggingface", address="a/b", revision="v2")
    with pytest.raises(HandleError, match=r"revision 'v1' of hf://a/b@v2 was asked for; found .* names 'v2'; leave"):
        request_for(named, revision="v1")
    assert request_for(named, revision="v2").location.revision == request_for(named).location.revision == "v2"


def test_the_place_of_the_hubs_cache_is_what_its_client_says(monkeypatch, tmp_path):
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    ways = {"": tmp_path / ".cache/huggingface/hub", "XDG_CACHE_HOME": tmp_path / "x/huggingface/hub"}
    ways |= {"HF_HOME": tmp_path / "x/hub", "HUGGINGFACE_HUB_CACHE": tmp_path / "x", "HF_HUB_CACHE": tmp_path / "x"}
    for name, place in ways.items():
        if name:
            monkeypatch.setenv(name, str(tmp_path / "x"))
        assert hub_cache() == str(place), name
    assert hub_cache("y") == str(Path("y").absolute())


@pytest.mark.parametrize("value", ["1", "on", "Yes", "TRUE"])
@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_is_what_the_client_takes_it_to_be(monkeypatch, name, value):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    assert not is_offline()
    monkeypatch.setenv(name, "0")
    assert not is_offline()
    monkeypatch.setenv(name, value)
    assert is_offline()


def test_a_lock_that_cannot_be_had_is_done_without(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "file"))
    request = request_for(Location(handle="a/b", kind="huggingface", address="a/b"))
    with locked(request):
        assert not (tmp_path / "locks").exists()
