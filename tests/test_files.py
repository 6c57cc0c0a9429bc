"""checksums: what is hashed, what is trusted, and every fault by its name."""

import os

import pytest

from wellread import files as checksums
from wellread.files import compare, sha256, sha256s, stamps_of


@pytest.fixture
def module(tmp_path):
    """Two files, one in a folder."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"22")
    return tmp_path


@pytest.fixture
def hashed(monkeypatch):
    """The names of the files that are hashed, in order."""
    seen = []
    monkeypatch.setattr(checksums, "sha256", lambda path: seen.append(path.name) or sha256(path))
    return seen


def test_every_file_is_stamped(module):
    stamps = stamps_of(module)
    assert sha256s(stamps) == {"a/one": sha256(module / "a" / "one"), "two": sha256(module / "two")}
    assert stamps["two"].size == 2
    assert stamps["two"].mtime_ns == (module / "two").stat().st_mtime_ns


def test_a_small_module_is_hashed_and_trusted_files_are_not(module, hashed):
    known = stamps_of(module)
    hashed.clear()
    assert compare(module, sha256s(known), known=known).stamps == known
    assert hashed == ["one", "two"]
    assert compare(module, sha256s(known), known=known, trusted=["two"]).faults == {}
    assert hashed == ["one", "two", "one"]
    assert compare(module, sha256s(known), known=known, trusted=["two"], full=True).faults == {}
    assert hashed[3:] == ["one", "two"]


def test_of_a_large_module_what_is_new_is_hashed(module, hashed, monkeypatch):
    known = stamps_of(module)
    monkeypatch.setattr(checksums, "HASHED_AT_EVERY_LOAD", 2)
    hashed.clear()
    found = compare(module, sha256s(known), known=known)
    assert found.large
    assert found.faults == {}
    assert hashed == []
    os.utime(module / "two", ns=(0, 7))
    assert compare(module, sha256s(known), known=known).stamps["two"].mtime_ns == 7
    assert hashed == ["two"]
    (module / "two").write_bytes(b"33")
    assert compare(module, sha256s(known), known=known).faults == {"two": "has another SHA-256"}


def test_a_stamp_that_is_not_what_is_wanted_is_a_fault(module, monkeypatch):
    known = stamps_of(module)
    monkeypatch.setattr(checksums, "HASHED_AT_EVERY_LOAD", 2)
    assert compare(module, {**sha256s(known), "two": "0" * 64}, known=known).faults == {"two": "has another SHA-256"}


def test_every_fault_is_named_at_once(module, monkeypatch):
    wanted = {"../x": "", "three": "", **sha256s(stamps_of(module)), "a": ""}

    def unreadable(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checksums, "sha256", unreadable)
    assert compare(module, wanted, known={}).faults == {
        "../x": "lies outside",
        "three": "is missing",
        "a": "is missing",
        "a/one": "cannot be read (Permission denied)",
        "two": "cannot be read (Permission denied)",
    }
