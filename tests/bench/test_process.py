"""A contender's process: it answers, its prints do no harm, and its death is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from wellread.bench.contenders import CONTENDERS
from wellread.bench.process import Worker, died, environment
from wellread.bench.worker import STATUS, peak_bytes
from wellread.errors import BenchError

OURS = CONTENDERS["wellread-numpy"]


def test_a_worker_answers_and_ends(tmp_path: Path) -> None:
    with Worker(OURS, tmp_path, tmp_path) as worker:
        assert worker.ask("prepare") == {}
        assert worker.ask("take", texts=["한국어", "\ud800 lone", "two\nlines"]) == {}
        assert worker.age() > 0
    assert worker._process.returncode == 0


def test_a_worker_that_cannot_load_tells_why(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with Worker(OURS, gone, tmp_path) as worker, pytest.raises(BenchError) as caught:
        worker.ask("load")
    assert str(caught.value).startswith(
        "wellread-numpy was asked to load; its process ended with code 1: wellread.errors."
    )
    assert str(gone) in str(caught.value)
    assert str(caught.value).endswith("; leave it out, or mend its installation")


def test_a_worker_that_died_before_it_was_asked_tells_it_too(tmp_path: Path) -> None:
    with Worker(replace(OURS, name="nobody"), tmp_path, tmp_path) as worker:
        worker._process.wait()
        with pytest.raises(BenchError, match=r"nobody was asked to load; .* code 1: KeyError: 'nobody'; leave"):
            worker.ask("load")


def test_a_worker_that_is_killed_tells_its_signal(tmp_path: Path) -> None:
    with Worker(OURS, tmp_path, tmp_path) as worker:
        worker.ask("prepare")
        worker._process.kill()
        with pytest.raises(BenchError, match="ended with code -9, without a word; leave it out"):
            worker.ask("load")


def test_an_error_outside_ends_the_worker(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Worker(OURS, tmp_path, tmp_path) as worker:
        raise KeyboardInterrupt
    assert worker._process.returncode == -9


def test_the_last_words_are_the_last_line_with_any() -> None:
    assert "code 3: b; leave" in str(died("x", "load", 3, b"a\n  b \n\n \n"))


def test_everyone_gets_the_same_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    found = environment()
    assert found["OMP_NUM_THREADS"] == found["MKL_NUM_THREADS"] == found["RAYON_NUM_THREADS"] != "77"
    assert found["PYTHONPATH"].endswith("/elsewhere")
    assert (found["CUDA_VISIBLE_DEVICES"], found["HF_HUB_OFFLINE"]) == ("", "1")


def test_peak_memory_only_grows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = peak_bytes()
    assert before > 2**20
    held = bytearray(peak_bytes() + 2**26)
    assert peak_bytes() >= len(held) > before
    monkeypatch.setattr("wellread.bench.worker.STATUS", tmp_path / "none")
    assert peak_bytes() >= len(held)
    assert STATUS.name == "status"
