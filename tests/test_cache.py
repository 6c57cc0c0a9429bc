"""cache: where the environment says."""

import hashlib

from wellread.files import cache_directory, sha256


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WELLREAD_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == tmp_path / ".cache" / "wellread"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "wellread"
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"


def test_a_file_is_hashed_whole(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 999)
    assert sha256(tmp_path / "a") == hashlib.sha256(bytes(range(256)) * 999).hexdigest()
