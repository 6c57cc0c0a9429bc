"""The caches: what lies in them, and what is wrong with them."""

import os
import shutil
import time
from pathlib import Path

import pytest

from wellread.doctor import installation
from wellread.doctor.installation import inspect_cache
from wellread.files import Stamp
from wellread.hub.location import Fetched, Location
from wellread.hub.records import Request, write_record

OLD = time.time() - 2 * installation.RUNNING


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "wellread"))
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)
    monkeypatch.delenv("KAGGLEHUB_CACHE", raising=False)
    return tmp_path / "wellread"


def put(path: Path, content: bytes = b"abc", *, age: float | None = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if age is not None:
        os.utime(path, (age, age))
    return path


def found(*given):
    return [(problem.found, problem.advice, problem.broken) for problem in installation.cache_problems(given)]


def test_places(cache, monkeypatch):
    assert installation.cache_directories()["wellread"] == cache
    assert installation.cache_directories()["TF Hub"] == cache / "tfhub_modules"
    assert installation.cache_directories()["huggingface_hub"].name == "hub"
    assert installation.cache_directories()["kagglehub"] == Path.home() / ".cache" / "kagglehub"
    monkeypatch.setenv("KAGGLEHUB_CACHE", "/elsewhere")
    assert installation.cache_directories()["kagglehub"] == Path("/elsewhere")


def test_a_cache_that_is_not_there_yet_is_none_to_worry_about(tmp_path):
    cache = inspect_cache("ours", tmp_path / "a" / "b")
    assert (cache.files, cache.size, cache.writable, cache.unfinished, cache.dead) == (0, 0, True, (), ())
    assert cache.free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert found(cache) == []
    assert not (tmp_path / "a").exists()


def test_counts_files_and_links_as_links(tmp_path):
    put(tmp_path / "c" / "blobs" / "b", bytes(1000))
    put(tmp_path / "c" / "other" / "o", bytes(10))
    os.symlink("blobs/b", tmp_path / "c" / "link")
    cache = inspect_cache("ours", tmp_path / "c", exclude=[tmp_path / "c" / "other"])
    assert (cache.files, cache.size, cache.dead) == (2, 1000 + len("blobs/b"), ())


@pytest.mark.parametrize(
    "name",
    [
        *("blobs/abc.incomplete", "a.zip.part", "a.zip.part.json", f"pulled/{'0' * 64}.123"),
        *(".module.abc_1234/file", f"{'a' * 40}.{'b' * 32}.tmp/file"),
    ],
)
def test_what_broken_downloads_left_is_named_once_it_is_old(tmp_path, name):
    path = put(tmp_path / "c" / name)
    top = path.parent if path.name == "file" else path
    os.utime(top, (OLD, OLD))
    assert inspect_cache("ours", tmp_path / "c").unfinished == (top,)
    assert found(inspect_cache("ours", tmp_path / "c")) == [
        (
            f"the cache of ours in {tmp_path / 'c'} holds what downloads left that broke off: {top}",
            "run them again to go on, or remove these",
            False,
        )
    ]
    os.utime(top)
    assert inspect_cache("ours", tmp_path / "c").unfinished == ()


@pytest.mark.parametrize("name", ["config.json", ".gitattributes", ".locks/a.lock", "a.particle", ".odd.template"])
def test_what_is_whole_is_not(tmp_path, name):
    put(tmp_path / "c" / name)
    assert inspect_cache("ours", tmp_path / "c").unfinished == ()


def test_many_are_counted(tmp_path):
    for number in range(5):
        put(tmp_path / "c" / f"{number}.part")
    assert found(inspect_cache("ours", tmp_path / "c"))[0][0].endswith(" and 2 more")


def test_links_to_files_that_are_gone(tmp_path):
    place = tmp_path / "hub" / "models--owner--name" / "snapshots" / "c"
    place.mkdir(parents=True)
    os.symlink("../../blobs/gone", place / "config.json")
    said, advice, broken = found(inspect_cache("huggingface_hub", tmp_path / "hub"))[0]
    assert said.endswith(f" holds links to files that are gone: {place / 'config.json'}")
    assert advice == "run wellread pull owner/name, or remove them"
    assert broken


def test_a_cache_that_cannot_be_written(tmp_path):
    put(tmp_path / "file")
    cache = inspect_cache("ours", tmp_path / "file" / "below")
    assert found(cache) == [
        (
            f"the cache of ours in {tmp_path / 'file' / 'below'} cannot be written",
            "make it a directory that you may write, or name another",
            True,
        )
    ]


def test_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    monkeypatch.setattr(installation.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 12_000_000))
    assert found(inspect_cache("ours", tmp_path)) == [
        (f"the cache of ours in {tmp_path} is on a disk with 12 MB left", "make room, or name another", False)
    ]


def record(directory, name="owner/name"):
    files = {path.name: Stamp(size=path.stat().st_size, mtime_ns=0, sha256="") for path in directory.iterdir()}
    location = Location(handle=name, kind="huggingface", address=name)
    request = Request(location=location, cache="")
    assert write_record(request, Fetched(location=location, directory=directory, files=files))


def test_records(cache, tmp_path):
    put(tmp_path / "module" / "config.json")
    weights = put(tmp_path / "module" / "model.safetensors")
    record(tmp_path / "module")
    path = next((cache / "pulled").iterdir())
    assert found() == []
    weights.write_bytes(b"longer than before")
    said = f"owner/name was pulled to {tmp_path / 'module'}; 1 of its 2 files are gone, or of another size: "
    advice = f"run wellread pull owner/name, or remove {path}"
    assert found() == [(said + "model.safetensors", advice, True)]
    weights.unlink()
    assert found() == [(said + "model.safetensors", advice, True)]
    shutil.rmtree(tmp_path / "module")
    assert found() == [(said.replace("1 of", "2 of") + "config.json, model.safetensors", advice, False)]
    for damaged in ("{", "[]", '{"handle": "a"}', '{"handle": "a", "directory": 3, "files": {}}'):
        path.write_text(damaged)
        assert found() == [(f"the record {path} cannot be read", "remove it", False)]


def test_tfhub_modules(cache, monkeypatch):
    place = cache / "tfhub_modules" / ("a" * 40)
    put(place / "saved_model.pb")
    assert found() == [
        (
            "1 modules are installed for tensorflow-hub, and TFHUB_CACHE_DIR is not set, so it does not find them",
            f"export TFHUB_CACHE_DIR={cache / 'tfhub_modules'}",
            False,
        )
    ]
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(cache / "tfhub_modules"))
    assert found() == []
    (place / "saved_model.pb").rename(place / "other")
    said = f"the TF Hub module in {place} has no saved_model.pb"
    assert found() == [(said, "remove it, and install it again", True)]


def test_a_tfhub_module_whose_handle_is_known(cache, monkeypatch):
    from wellread.hub import tfhub_cache

    monkeypatch.setenv("TFHUB_CACHE_DIR", str(cache))
    place = tfhub_cache.module_dir("https://tfhub.dev/a/b/1")
    put(place / "assets" / "vocab.txt")
    put(place.with_name(f"{place.name}.descriptor.txt"), b"Module: https://tfhub.dev/a/b/1\n")
    [(said, advice, _)] = found()
    assert said == f"the TF Hub module https://tfhub.dev/a/b/1 in {place} has no saved_model.pb"
    assert advice == "run wellread revive --remove https://tfhub.dev/a/b/1, and install it again"


def test_a_tfhub_cache_that_is_no_directory(monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", "gs://bucket/cache")
    assert "TF Hub" not in installation.cache_directories()
    [(said, advice, broken)] = found()
    assert "TFHUB_CACHE_DIR is 'gs://bucket/cache'" in said
    assert advice == "set TFHUB_CACHE_DIR to a directory"
    assert broken


def test_without_a_home(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("WELLREAD_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert installation.cache_directories().keys() == {"huggingface_hub"}
    [(said, advice, _)] = found()
    assert said == "wellread has no place for a cache: Could not determine home directory."
    assert advice == "set WELLREAD_CACHE to a directory"
