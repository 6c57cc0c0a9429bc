"""A corpus on disk: each way to its vectors runs in a process of its own, and one that fails is told."""

from pathlib import Path

import pytest

from benchmarks import corpus, fastembed_peer
from benchmarks.corpus import run_corpus
from benchmarks.report import render
from wellread.catalog.packaged import PACKAGED
from wellread.errors import BenchError


def test_rows_become_vectors_in_every_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(corpus, "SIZES", (1_000,))
    monkeypatch.setattr(corpus, "LARGE", 2_000)
    monkeypatch.setattr(corpus, "PEERS", "print('{\"seconds\": 1.0}')")
    monkeypatch.setattr(fastembed_peer, "PYTHON", tmp_path / "nothing")
    texts = [f"a man runs {number} times" for number in range(20)]
    result = run_corpus("default", texts, peers=PACKAGED / "default", rounds=1)
    assert [(row.name, row.rows) for row in result.rows] == [
        ("encode", 1_000),
        ("embed", 1_000),
        ("encode", 2_000),
        ("embed", 2_000),
        ("embed, 1,000 shards", 1_000),
        ("resume of 1,000 shards", 1_000),
        ("sentence-transformers, a pool of processes", 1_000),
    ]
    assert all(row.seconds > 0 for row in result.rows)
    assert all(row.peak_bytes for row in result.rows[:4])
    assert result.derived()[0]["ratio"] == 1
    assert "resume of 1,000 shards" in render(result)


def test_a_way_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "SIZES", (1_000,))
    monkeypatch.setattr(corpus, "WORKER", "raise ValueError('no vectors')")
    with pytest.raises(BenchError, match=r"encode was asked for; its process ended with 1: ValueError: no vectors"):
        run_corpus("default", ["a cat"], peers=PACKAGED / "default", rounds=1)
