"""manifest: every file is held against its SHA-256, at every load or when it changed."""

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from wellread import files as checksums
from wellread.catalog import packaged
from wellread.checkpoints.native import Manifest, check_files, read_manifest, write_manifest
from wellread.config import DenseConfig, SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError, ConfigError
from wellread.files import cache_directory, sha256

MANIFEST = Manifest(
    pooled_output="first_token",
    sentence=SentenceConfig(
        pooling="cls",
        dense=(DenseConfig(in_features=12, out_features=7, activation="tanh"),),
        max_seq_length=23,
        prompts={"query": "질문: "},
    ),
    tokenizer=TokenizerConfig(dialect="tfhub", do_lower_case=True),
    provenance={"steps": 7, "loss": 0.5, "teachers": ["a"]},
    written_by="wellread 0.1.0",
)
MINIMAL = {"format": 1, "pooled_output": "dense_tanh", "sentence": {}, "tokenizer": {"dialect": "hf"}}


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """Two files under a manifest, and a cache of their own."""
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "module" / "2_Dense").mkdir(parents=True)
    (tmp_path / "module" / "config.json").write_text("{}")
    (tmp_path / "module" / "2_Dense" / "model.safetensors").write_bytes(bytes(range(99)))
    write_manifest(tmp_path / "module", MANIFEST)
    return tmp_path / "module"


@pytest.fixture
def hashed(monkeypatch):
    """The files that are hashed, in order; every module counts as large."""
    seen = []
    monkeypatch.setattr(checksums, "HASHED_AT_EVERY_LOAD", 10)
    monkeypatch.setattr(checksums, "sha256", lambda path: seen.append(path.name) or sha256(path))
    return seen


def write(directory, data):
    (directory / "wellread.json").write_text(json.dumps(data))


def test_what_is_written_is_read_back(directory):
    files = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in MODULE_FILES}
    found = read_manifest(directory)
    assert found.files == files
    assert found.sentence == MANIFEST.sentence
    assert found.tokenizer == MANIFEST.tokenizer
    assert (found.pooled_output, found.provenance, found.written_by) == (
        "first_token",
        MANIFEST.provenance,
        "wellread 0.1.0",
    )
    assert json.loads((directory / "wellread.json").read_text())["format"] == 1


MODULE_FILES = ("2_Dense/model.safetensors", "config.json")


def test_defaults_fill_what_is_absent(tmp_path):
    write(tmp_path, MINIMAL)
    assert read_manifest(tmp_path) == Manifest(
        pooled_output="dense_tanh", sentence=SentenceConfig(), tokenizer=TokenizerConfig(dialect="hf")
    )


@pytest.mark.parametrize("found", [3, None, "1"])
def test_a_later_format_says_that_it_is_later(tmp_path, found):
    write(tmp_path, {**MINIMAL, "format": found, "zzz": "of the future"})
    with pytest.raises(
        CheckpointError, match=f"must be of format 1 or 2; found {found!r}; a later .*: upgrade with pip install -U"
    ):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"sentense": {}}, r"sentense is unknown \(did you mean sentence\?\)"),
        ({"pooled_output": 7}, "pooled_output is 7, not str"),
        ({"sentence": []}, r"sentence is \[\], not SentenceConfig"),
        ({"sentence": {"poling": "cls"}}, r"sentence\.poling is unknown \(did you mean pooling\?\)"),
        ({"sentence": {"dense": [7]}}, r"sentence\.dense\.0 is 7, not DenseConfig"),
        (
            {"sentence": {"pooling": "median"}},
            r"wellread\.json: pooling was given as 'median'; wellread knows cls, max",
        ),
        ({"tokenizer": {}}, r"tokenizer\.dialect is missing"),
        ({"tokenizer": {"dialect": "hf", "do_lower_case": "no"}}, r"tokenizer\.do_lower_case is 'no', not bool"),
        ({"files": [["a", "b"]]}, r"files is \[\['a', 'b'\]\], not Mapping"),
        ({"files": {"a": 7}}, r"files\.a is 7, not str"),
        ({"provenance": "me"}, "provenance is 'me', not Mapping"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, change, found):
    write(tmp_path, {**MINIMAL, **change})
    with pytest.raises(ConfigError, match=found):
        read_manifest(tmp_path)


def test_an_untouched_module_passes(directory):
    check_files(directory, read_manifest(directory), needed=["config.json"])


def test_every_damage_is_named(directory):
    for name in MODULE_FILES:
        (directory / name).write_bytes((directory / name).read_bytes() + b" ")
    with pytest.raises(CheckpointError) as error:
        check_files(directory, read_manifest(directory))
    assert str(error.value) == (
        f"the files of {directory} must be as wellread.json records them; found that 2_Dense/model.safetensors has "
        "another SHA-256; config.json has another SHA-256; fetch or save the module again"
    )


@pytest.mark.parametrize("offset", range(0, 99, 7))
def test_a_flipped_bit_and_a_cut_are_seen(directory, offset):
    path, files = directory / MODULE_FILES[0], read_manifest(directory)
    whole = path.read_bytes()
    for damaged in (whole[:offset], whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"2_Dense/model\.safetensors has another SHA-256"):
            check_files(directory, files)


def test_missing_and_unrecorded_files_are_named(directory):
    (directory / "config.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"found that vocab\.txt is not recorded; config\.json is missing; fetch or save"
    ):
        check_files(directory, read_manifest(directory), needed=["vocab.txt"])


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../x", "..", ".", "", "a\\b", "./config.json", "a//b", "2_Dense/../config.json"],
)
def test_a_path_that_may_lead_outside_is_refused(directory, name):
    (directory.parent / "x").touch()
    files = {**read_manifest(directory).files, name: sha256(directory.parent / "x")}
    write(directory, {**MINIMAL, "files": files})
    with pytest.raises(CheckpointError, match=f"found that {re.escape(name)} lies outside; fetch or save"):
        check_files(directory, read_manifest(directory))


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\ud800"])
def test_a_path_that_no_file_has_is_missing(directory, name):
    write(directory, {**MINIMAL, "files": {name: ""}})
    with pytest.raises(CheckpointError, match=r"is missing|surrogates not allowed"):
        check_files(directory, read_manifest(directory))


def test_the_links_of_the_hubs_cache_are_followed(directory, tmp_path):
    snapshot = tmp_path / "snapshots" / "main"
    (snapshot / "2_Dense").mkdir(parents=True)
    for name in (*MODULE_FILES, "wellread.json"):
        (snapshot / name).symlink_to(directory / name)
    check_files(snapshot, read_manifest(snapshot))


def test_files_beside_the_recorded_ones_are_left_alone(directory):
    (directory / "README.md").write_text("written later")
    check_files(directory, read_manifest(directory))


def test_a_small_module_is_hashed_every_time(directory, hashed, monkeypatch):
    monkeypatch.setattr(checksums, "HASHED_AT_EVERY_LOAD", 1000)
    for _ in range(2):
        check_files(directory, read_manifest(directory))
    assert hashed == ["model.safetensors", "config.json"] * 2
    assert not cache_directory().exists()


def test_a_large_module_is_hashed_once_and_again_after_a_change(directory, hashed):
    files, path = read_manifest(directory), directory / MODULE_FILES[0]
    check_files(directory, files)
    assert hashed == ["model.safetensors", "config.json"]
    check_files(directory, files)
    assert len(hashed) == 2
    check_files(directory, files, full=True)
    assert len(hashed) == 4
    os.utime(path, ns=(0, 7))  # as new, with the same bytes: hashed, and remembered
    check_files(directory, files)
    check_files(directory, files)
    assert hashed[4:] == ["model.safetensors"]
    path.write_bytes(bytes(99))
    for _ in range(2):  # a damaged module is never remembered as whole
        with pytest.raises(CheckpointError, match="another SHA-256"):
            check_files(directory, files)


def test_the_packaged_module_is_hashed_once_and_again_after_a_change(directory, hashed, monkeypatch):
    monkeypatch.setattr(checksums, "HASHED_AT_EVERY_LOAD", 1000)
    monkeypatch.setattr(packaged, "PACKAGED", directory.parent)
    monkeypatch.setattr(packaged, "DEFAULT", directory.name)
    manifest = read_manifest(directory)
    for _ in range(2):
        check_files(directory, manifest)
    assert hashed == ["model.safetensors", "config.json"]
    check_files(directory, manifest, full=True)
    assert len(hashed) == 4
    path = directory / MODULE_FILES[0]
    whole, status = path.read_bytes(), path.stat()
    path.write_bytes(bytes(99))
    with pytest.raises(CheckpointError, match=r"2_Dense/model\.safetensors has another SHA-256"):
        check_files(directory, manifest)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # size and time say nothing: a full check does
    check_files(directory, manifest)
    with pytest.raises(CheckpointError, match=r"2_Dense/model\.safetensors has another SHA-256"):
        check_files(directory, manifest, full=True)
    path.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match=r"2_Dense/model\.safetensors has another SHA-256"):
        check_files(directory, manifest)


def test_a_large_module_with_another_manifest_is_hashed_again(directory, hashed):
    check_files(directory, read_manifest(directory))
    write(directory, {**MINIMAL, "files": {**read_manifest(directory).files, "config.json": "0" * 64}})
    with pytest.raises(CheckpointError, match=r"config\.json has another SHA-256"):
        check_files(directory, read_manifest(directory))


@pytest.mark.parametrize("damage", [b"", b"{", b"7", b"\xff"])
def test_a_damaged_record_is_no_record(directory, hashed, damage):
    files = read_manifest(directory)
    check_files(directory, files)
    (record,) = (cache_directory() / "verified").iterdir()
    record.write_bytes(damage)
    check_files(directory, files)
    check_files(directory, files)
    assert len(hashed) == 4


def test_a_cache_that_cannot_be_written_costs_time_alone(directory, hashed, monkeypatch):
    monkeypatch.setenv("WELLREAD_CACHE", str(directory / "config.json"))  # a file: nothing can be made in it
    for _ in range(2):
        check_files(directory, read_manifest(directory))
    assert len(hashed) == 4


def test_a_user_without_a_home_needs_no_cache(directory, hashed, monkeypatch):
    for name in ("WELLREAD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(RuntimeError, match="no home"):
        cache_directory()
    check_files(directory, read_manifest(directory))
    assert len(hashed) == 2


def homeless():
    raise RuntimeError("no home")
