"""resolve: paths, the default, archives, and handles that name nothing; what is fetched is in test_pull."""

import hashlib
import shutil
from pathlib import Path

import pytest

from wellread.errors import CheckpointError, DownloadError, HandleError
from wellread.hub.location import SUFFIXES
from wellread.hub.resolve import DEFAULT, resolve


def test_the_default_lies_in_the_package():
    assert resolve("default").directory == DEFAULT
    assert DEFAULT.parts[-3:] == ("wellread", "catalog", "default")


def test_an_existing_path_is_taken_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "module").mkdir()
    (tmp_path / "module.onnx").touch()
    (tmp_path / "module.zip").mkdir()  # a folder, whatever its name
    assert resolve(tmp_path / "module").directory == tmp_path / "module"
    assert resolve(str(tmp_path / "module.onnx")).directory == tmp_path / "module.onnx"
    assert resolve(tmp_path / "module.zip").directory == tmp_path / "module.zip"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/module").directory == tmp_path / "module"
    monkeypatch.chdir(tmp_path)
    assert resolve("module").directory == Path("module")


@pytest.mark.parametrize(
    "handle",
    [
        *("", " ", "gs://example/a/b/c", "a/b/c", "/no/such/path", "../gone", "~nobody/x", "a--b", "a..b"),
        *("name.git", "-a/b", "한국/모델", "a\0b", "x" * 5000, "owner/name\n"),
    ],
)
def test_a_handle_that_names_nothing_is_refused_without_a_network(handle, monkeypatch):
    monkeypatch.setattr("socket.socket", None)
    with pytest.raises(HandleError, match=r"^the handle .* was given; it looks like .*; "):
        resolve(handle)


@pytest.mark.parametrize("kind", SUFFIXES)
def test_an_archive_is_unpacked_into_the_cache(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "vocab.txt").write_text("[PAD]")
    form = {".zip": "zip", ".tar": "tar"}.get(kind, "gztar")
    made = shutil.make_archive(str(tmp_path / "made"), form, tmp_path, "bert")
    archive = Path(made).rename(tmp_path / f"model{kind}")
    found = resolve(archive).directory
    assert found.is_relative_to(tmp_path / "cache" / "unpacked" / str(resolve(archive).archive))
    assert [path.name for path in found.iterdir()] == ["vocab.txt"]
    assert resolve(str(archive)).directory == found


def test_a_damaged_archive_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model.zip").write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match=r"model\.zip was to be unpacked; found that it is damaged or no archive"):
        resolve(tmp_path / "model.zip")


@pytest.mark.parametrize("address", ["https://tfhub.dev/owner/name/1", "http://127.0.0.1:9/module.tar.gz"])
def test_an_address_is_looked_up_where_tensorflow_hub_would_look(tmp_path, monkeypatch, address):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    place = tmp_path / hashlib.sha1(address.encode()).hexdigest()
    place.mkdir()
    (place / "saved_model.pb").write_bytes(b"a graph")
    monkeypatch.setattr("socket.socket", None)
    assert resolve(address).directory == place
    with pytest.raises(DownloadError, match="was never pulled, and the network is not to be used"):
        resolve(address + "?x", local_files_only=True)  # tensorflow-hub takes a handle as it is written


def test_a_local_directory_with_a_pointer_in_place_of_weights_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 7\n")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        resolve(tmp_path)
