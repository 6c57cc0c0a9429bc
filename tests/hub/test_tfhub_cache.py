"""tfhub_cache: what tensorflow-hub finds, and finds again what it put there; all of a pair or none of it."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap

import pytest

from wellread.errors import ExportError, HandleError
from wellread.files import cache_directory
from wellread.hub import tfhub_cache
from wellread.hub.tfhub_cache import (
    Staged,
    cache_dir,
    described,
    find,
    install,
    installed,
    module_dir,
    remove,
    setting,
    staging,
)

ENCODER = "https://tfhub.dev/owner/encoder_L-3/1"
TEXT = "https://tfhub.dev/owner/preprocess/1"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "my modules"))
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "wellread"))
    return tmp_path / "my modules"


def staged(place, handle, content=b"new", **options):
    directory = place / hashlib.md5(handle.encode() + content).hexdigest()
    (directory / "variables").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(content)
    (directory / "variables" / "variables.index").write_bytes(bytes(7))
    return Staged(handle=handle, directory=directory, **options)


def put(*handles, content=b"new", overwrite=False, **options):
    with staging() as place:
        return install([staged(place, handle, content, **options) for handle in handles], overwrite=overwrite)


def content(handle):
    return (find(handle) / "saved_model.pb").read_bytes()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_cache_is_where_tensorflow_hub_is_told(here, monkeypatch):
    assert cache_dir() == here
    assert setting() == f"export TFHUB_CACHE_DIR='{here}'"
    for unset in ("", None):
        monkeypatch.setenv("TFHUB_CACHE_DIR", unset) if unset is not None else monkeypatch.delenv("TFHUB_CACHE_DIR")
        assert cache_dir() == cache_directory() / "tfhub_modules"


def test_a_relative_cache_is_set_as_a_whole_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFHUB_CACHE_DIR", "modules")
    assert setting() == f"export TFHUB_CACHE_DIR={tmp_path}/modules"


def test_a_cache_on_no_disk_is_refused(monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", "gs://bucket/modules")
    with pytest.raises(HandleError) as error:
        installed()
    assert str(error.value) == (
        "TF Hub's cache was to be opened; found that TFHUB_CACHE_DIR is 'gs://bucket/modules', and wellread reads and "
        "writes local disks; name a directory"
    )


def test_an_empty_or_missing_cache_holds_nothing(here):
    assert installed() == []
    assert find(ENCODER) is None
    assert described(ENCODER) is None
    assert not here.exists()
    module_dir(ENCODER).mkdir(parents=True)
    assert find(ENCODER) is None  # tensorflow-hub would download into an empty directory
    assert installed() == []


def test_a_pair_is_installed_and_listed(here):
    places = put(ENCODER, TEXT, vocabulary="abc")
    assert places == [here / hashlib.sha1(handle.encode()).hexdigest() for handle in (ENCODER, TEXT)]
    assert places == [find(ENCODER), find(TEXT)]
    assert names(here) == sorted(name for place in places for name in (place.name, f"{place.name}.descriptor.txt"))
    found = installed()
    assert [module.handle for module in found] == [ENCODER, TEXT]
    assert [module.directory for module in found] == places
    assert {module.size for module in found} == {3 + 7}
    assert {module.vocabulary for module in found} == {"abc"}
    assert all(module.time for module in found)
    assert described(TEXT) == found[1]


def test_a_descriptor_has_no_name_of_the_machine(here):
    put(ENCODER)
    text = (here / f"{module_dir(ENCODER).name}.descriptor.txt").read_text()
    assert [line.split(":")[0] for line in text.splitlines()] == ["Module", "Download Time", "Written by"]


def test_what_is_installed_is_left_alone(here):
    put(ENCODER)
    with pytest.raises(ExportError) as error:
        put(TEXT, ENCODER, content=b"newer")
    assert str(error.value) == (
        f"modules were to be installed in {here}; found that {ENCODER} is there; pass overwrite=True (--overwrite), or "
        "remove them first"
    )
    assert content(ENCODER) == b"new"
    assert find(TEXT) is None
    put(TEXT)
    with pytest.raises(ExportError, match=f"found that {TEXT}, {ENCODER} are there"):
        put(TEXT, ENCODER)


def test_it_is_replaced_where_that_is_asked_for(here):
    put(ENCODER, vocabulary="abc")
    put(ENCODER, TEXT, content=b"newer", overwrite=True)
    assert content(ENCODER) == content(TEXT) == b"newer"
    assert described(ENCODER).vocabulary == ""
    assert len(names(here)) == 4


@pytest.mark.parametrize("fails", range(1, 6))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_in_the_middle_changes_nothing(here, monkeypatch, fails, error):
    put(ENCODER)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    calls = []

    def failing(kind):
        real = getattr(tfhub_cache.Path, kind)

        def step(self, *args, **options):
            calls.append(kind)
            if len(calls) == fails:
                raise error
            return real(self, *args, **options)

        return step

    with staging() as place:
        modules = [staged(place, ENCODER, b"newer"), staged(place, TEXT, b"newer")]
        with monkeypatch.context() as patch:
            for kind in ("rename", "replace"):
                patch.setattr(tfhub_cache.Path, kind, failing(kind))
            with pytest.raises((ExportError, KeyboardInterrupt)) as raised:
                install(modules, overwrite=True)
    if raised.type is ExportError:
        assert str(raised.value) == (
            f"{ENCODER}, {TEXT} were to be installed in {here}; found that [Errno 28] No space left on device; nothing "
            "was changed: make room, or try again"
        )
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(
        ExportError, match=r"file was to be written; found that .*exists.*; name another TFHUB_CACHE_DIR"
    ):
        put(ENCODER)


def test_a_module_is_removed_with_its_descriptor(here):
    put(ENCODER, TEXT)
    assert remove(ENCODER).handle == ENCODER
    assert find(ENCODER) is None
    assert [module.handle for module in installed()] == [TEXT]
    assert len(names(here)) == 2
    with pytest.raises(HandleError) as error:
        remove(TEXT + "2")
    assert str(error.value) == (
        f"'{TEXT}2' was to be removed; {here} holds 1 modules, and not this one; see wellread revive --list "
        f"(did you mean {TEXT}?)"
    )


def test_what_nothing_describes_is_listed_without_a_handle(here):
    put(ENCODER, TEXT)
    (here / f"{module_dir(ENCODER).name}.descriptor.txt").unlink()
    (here / f"{module_dir(TEXT).name}.descriptor.txt").write_text("Module: https://another/1\nDownload Time: now")
    assert [(module.handle, module.time, module.size) for module in installed()] == [(None, "", 10), (None, "", 10)]


def test_strangers_are_passed_over(here):
    put(ENCODER)
    (here / "notes").mkdir()
    (here / "notes" / "a").touch()
    (here / f"{module_dir(TEXT).name}.lock").touch()
    (here / f"{module_dir(TEXT).name}.0123.tmp").mkdir()
    assert [module.handle for module in installed()] == [ENCODER]


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """Let the real tensorflow-hub resolve two handles: one that it finds, one that it downloads from this machine."""
    here = tmp_path_factory.mktemp("peer")
    script = """
        import functools, http.server, io, json, logging, sys, tarfile, threading, warnings
        warnings.simplefilter("ignore")
        import tensorflow_hub as hub

        class Server(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                made = io.BytesIO()
                with tarfile.open(fileobj=made, mode="w:gz") as tar:
                    info = tarfile.TarInfo("saved_model.pb")
                    info.size = 5
                    tar.addfile(info, io.BytesIO(b"graph"))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(made.getvalue())

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetched = f"http://127.0.0.1:{server.server_port}/owner/fetched/1"
        print(json.dumps({"found": hub.resolve(sys.argv[1]), "handle": fetched, "fetched": hub.resolve(fetched)}))
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFHUB_CACHE_DIR", str(here))
        put(ENCODER)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), ENCODER],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    return here, done.stdout.decode().splitlines()[-1]


def test_tensorflow_hub_finds_what_we_install_and_we_what_it_downloads(peer, monkeypatch):
    here, printed = peer
    seen = json.loads(printed)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(here))
    assert seen["found"] == str(find(ENCODER))
    assert seen["fetched"] == str(find(seen["handle"]))
    assert {module.handle: module.size for module in installed()} == {ENCODER: 10, seen["handle"]: 5}
    assert remove(seen["handle"]).time
    assert len(names(here)) == 2
