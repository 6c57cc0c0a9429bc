"""records: written whole, read back, and never trusted when damaged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from wellread.files import Stamp, as_stamps, cache_directory, load_json, save_json
from wellread.hub.location import Fetched, Location
from wellread.hub.records import Request, all_records, find_record, write_record

LOCATION = Location(handle="owner/name", kind="huggingface", address="owner/name")
REQUEST = Request(location=LOCATION, cache="/cache")


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A record of a module of one file, in a cache of its own."""
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "wellread"))
    (tmp_path / "module").mkdir()
    files = {"config.json": Stamp(size=2, mtime_ns=7, sha256="0" * 64)}
    return Fetched(location=LOCATION, directory=tmp_path / "module", files=files, commit="c" * 40)


def test_what_is_written_is_read_back(record):
    assert find_record(REQUEST) is None
    assert write_record(REQUEST, record)
    assert find_record(REQUEST) == record
    assert all_records() == [record]
    (path,) = (cache_directory() / "pulled").iterdir()
    assert json.loads(path.read_text())["format"] == 1


@pytest.mark.parametrize("change", [{"revision": "v1"}, {"cache": "/other"}, {"address": "a/b"}, {"kind": "kaggle"}])
def test_a_record_is_found_by_all_that_was_asked(record, change):
    write_record(REQUEST, record)
    location = {name: value for name, value in change.items() if name != "cache"}
    other = replace(REQUEST, location=replace(LOCATION, **location), cache=change.get("cache", REQUEST.cache))
    assert find_record(other) is None


def test_a_module_that_is_gone_has_no_record(record):
    write_record(REQUEST, record)
    record.directory.rmdir()
    assert find_record(REQUEST) is None
    assert all_records() == []


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 2},
        {"format": None},
        {"files": []},
        {"files": {"config.json": 7}},
        {"files": {"config.json": {"size": "2", "mtime_ns": 7, "sha256": "0"}}},
        {"key": {"kind": "huggingface"}},
        {"key": {**dict.fromkeys(("kind", "address", "revision", "cache"), "x")}},
        {"directory": None},
        {"surplus": 1},
        b"",
        b"{",
        b"7",
        b"\xff",
    ],
)
def test_a_damaged_record_is_none(record, damage):
    write_record(REQUEST, record)
    (path,) = (cache_directory() / "pulled").iterdir()
    data = damage if isinstance(damage, bytes) else json.dumps({**json.loads(path.read_text()), **damage}).encode()
    path.write_bytes(data)
    assert find_record(REQUEST) is None


def test_a_cache_that_cannot_be_written_is_said(record, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "file"))
    assert not write_record(REQUEST, record)
    assert find_record(REQUEST) is None
    assert all_records() == []


def test_a_user_without_a_home_has_no_records(record, monkeypatch):
    for name in ("WELLREAD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert not write_record(REQUEST, record)
    assert find_record(REQUEST) is None
    assert all_records() == []


def homeless():
    raise RuntimeError("no home")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    assert save_json(path, {"a": 1})

    def full(self, target):
        raise OSError("full")

    monkeypatch.setattr(Path, "replace", full)
    assert not save_json(path, {"a": 2})
    assert load_json(path) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_stamps_are_held_to_their_types():
    good = {"size": 2, "mtime_ns": 7, "sha256": "0"}
    assert as_stamps({"a": good}) == {"a": Stamp(**good)}
    for wrong in ({"size": True}, {"mtime_ns": 7.0}, {"sha256": None}):
        with pytest.raises(ValueError, match="is no stamp"):
            as_stamps({"a": {**good, **wrong}})
