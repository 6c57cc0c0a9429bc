"""verify: every file is hashed, whatever its size and time say."""

import json
import os
import shutil

import pytest
from hub_process import answer, start
from hub_server import ReadableHub, serving

from wellread.catalog.packaged import packaged_modules
from wellread.errors import CheckpointError, InputError
from wellread.files import sha256
from wellread.hub.pull import refuse_damaged, verify
from wellread.hub.resolve import DEFAULT

FILES = {"config.json": b"{}", "vocab.txt": b"[PAD]\n", "model.safetensors": bytes(99)}


@pytest.fixture
def pulled(tmp_path, monkeypatch):
    """A repository that was pulled into caches that this process uses too: where it lies."""
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "wellread"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with serving(type("OwnHub", (ReadableHub,), {"repositories": {"owner/name": FILES}})) as address:
        return tmp_path / answer(start(tmp_path, address, do="pull", handle="owner/name"))["path"]


def damage_unseen(path):
    """Change bytes and leave the size and the time."""
    before = path.stat()
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))


def test_all_that_was_pulled_is_verified_and_the_default(pulled):
    *shipped, own = verify()
    assert [one.handle for one in shipped] == [*packaged_modules()]
    default = shipped[0]
    assert (default.handle, default.directory, dict(default.faults)) == ("default", DEFAULT, {})
    assert (own.handle, own.directory, dict(own.faults)) == ("owner/name", pulled, {})
    assert {name: stamp.sha256 for name, stamp in own.stamps.items()} == {name: sha256(pulled / name) for name in FILES}
    assert verify("owner/name") == verify(pulled) == [own]


def test_damage_that_no_size_or_time_tells_of_is_found(pulled):
    damage_unseen(pulled / "model.safetensors")
    (pulled / "vocab.txt").unlink()
    [found] = verify("owner/name")
    assert found.faults == {"model.safetensors": "has another SHA-256", "vocab.txt": "is missing"}
    with pytest.raises(CheckpointError, match=r"model\.safetensors has another SHA-256; .*vocab\.txt is missing; run"):
        refuse_damaged([found])


def test_a_native_directory_is_held_against_its_manifest(pulled, tmp_path):
    module = shutil.copytree(DEFAULT, tmp_path / "module")
    assert verify(module)[0].faults == {}
    damage_unseen(module / "model.safetensors")
    assert verify(module)[0].faults == {"model.safetensors": "has another SHA-256"}


@pytest.mark.parametrize("damage", [b"{", b"7", b"{}", b'{"files": {"vocab.txt": 7}}', b'{"files": []}'])
def test_a_damaged_manifest_is_said(pulled, tmp_path, damage):
    module = shutil.copytree(DEFAULT, tmp_path / "module")
    (module / "wellread.json").write_bytes(damage)
    assert verify(module)[0].faults == {"wellread.json": "is damaged"}


def test_a_native_module_that_was_pulled_is_held_against_both(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "wellread"))
    manifest = json.dumps({"files": {"vocab.txt": "0" * 64, "gone.txt": "0" * 64}}).encode()
    files = {**FILES, "wellread.json": manifest}
    with serving(type("OwnHub", (ReadableHub,), {"repositories": {"owner/name": files}})) as address:
        path = answer(start(tmp_path, address, do="pull", handle="owner/name"))["path"]
    [found] = verify(path)
    assert found.faults == {"vocab.txt": "has another SHA-256", "gone.txt": "is missing"}
    assert set(found.stamps) == set(files)


def test_what_nothing_is_recorded_of_is_not_called_fine(pulled, tmp_path):
    (tmp_path / "plain").mkdir()
    with pytest.raises(InputError) as error:
        verify(tmp_path / "plain")
    assert str(error.value) == (
        f"{tmp_path / 'plain'} was to be verified; found neither wellread.json in {tmp_path / 'plain'} nor a record of "
        "it; pull it by its handle, or write it with Module.save"
    )
    with pytest.raises(InputError) as error:
        verify("owner/other")
    assert str(error.value) == (
        "owner/other was to be verified; found that it was never pulled; run wellread pull owner/other"
    )
    with pytest.raises(InputError, match="never pulled"):
        verify("owner/name", revision="v1")
