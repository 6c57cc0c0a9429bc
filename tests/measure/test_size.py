"""How large a module is as it ships."""

from __future__ import annotations

import json

import pytest
from heads import headed_module
from tiny import tiny_module

from wellread.files import MANIFEST
from wellread.hub.resolve import DEFAULT
from wellread.measure.size import shipped_bytes


@pytest.fixture
def saved(tmp_path):
    headed_module(tmp_path / "files", "classify").save(tmp_path / "saved")
    return tmp_path / "saved"


def sizes(directory):
    return {path.relative_to(directory).as_posix(): path.stat().st_size for path in directory.rglob("*.*")}


def test_a_directory_of_wellread_is_what_its_record_names(saved):
    files = sizes(saved)
    assert {"model.safetensors", "config.json", MANIFEST, "README.md"} < files.keys()
    assert shipped_bytes(None, saved) == sum(files.values()) - files["README.md"]


def test_what_a_run_leaves_beside_a_module_does_not_count(saved):
    before = shipped_bytes(None, saved)
    (saved / "checkpoint-500").mkdir()
    for name in ("log.jsonl", "checkpoint-500/model.safetensors", "notes.json"):
        (saved / name).write_bytes(b"1234")
    assert shipped_bytes(None, saved) == before


def test_another_directory_is_what_would_be_downloaded_of_it(saved):
    files = sizes(saved)
    (saved / MANIFEST).unlink()
    (saved / "checkpoint-500").mkdir()
    for name in ("pytorch_model.bin", "log.jsonl", "checkpoint-500/model.safetensors"):
        (saved / name).write_bytes(b"1234")
    (saved / "2_Dense").mkdir()
    (saved / "2_Dense" / "model.safetensors").write_bytes(b"123")
    assert shipped_bytes(None, saved) == sum(files.values()) - files["README.md"] - files[MANIFEST] + 3


def test_without_a_directory_of_a_known_form_it_is_what_save_writes(saved, tmp_path):
    module = headed_module(tmp_path / "files", "classify")
    whole = shipped_bytes(None, saved)
    assert shipped_bytes(module) == whole
    assert shipped_bytes(module, tmp_path) == whole  # no model lies there
    (saved / MANIFEST).unlink()
    (saved / "adapter_config.json").write_text(json.dumps({}))
    assert shipped_bytes(module, saved) == whole


def test_the_packaged_module_is_its_files():
    assert shipped_bytes(None, DEFAULT) == sum(sizes(DEFAULT).values()) - (DEFAULT / "README.md").stat().st_size


def test_the_form_of_the_numbers_counts(tmp_path):
    whole = shipped_bytes(tiny_module(tmp_path))
    tiny_module(tmp_path).save(tmp_path / "half", dtype="float16")
    assert shipped_bytes(None, tmp_path / "half") < whole
