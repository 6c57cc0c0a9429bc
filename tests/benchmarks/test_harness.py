"""A system's process: it answers, its prints do no harm, and its death is told."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness import SOURCES, Worker, died, environment, evenly, read_texts
from benchmarks.machine import PLACES
from benchmarks.systems import SYSTEMS
from wellread.errors import BenchError, DataError

OURS = SYSTEMS["wellread-numpy"]


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
    first, *_, last = environment("others")["PYTHONPATH"].split(os.pathsep)
    assert (first, last) == (SOURCES[0], "/elsewhere")
    assert environment("others")["PYTHONPATH"].split(os.pathsep)[2] == str(PLACES / "others")
    assert (found["CUDA_VISIBLE_DEVICES"], found["HF_HUB_OFFLINE"]) == ("", "1")


def test_the_sample_holds_short_and_long_texts_without_repetition() -> None:
    texts = read_texts()
    words = [len(text.split()) for text in texts]
    assert len(set(texts)) == len(texts) == 4000
    assert (min(words), max(words)) == (3, 325)
    assert sum(count > 200 for count in words) > 20


def test_texts_of_a_file_are_its_lines(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("one\n\n two\n")
    assert read_texts(tmp_path / "some.txt") == ["one", "two"]
    (tmp_path / "some.txt").write_text("\n \n")
    with pytest.raises(
        DataError, match=r"texts were asked of .*some\.txt; found 0 lines with a text; give another file"
    ):
        read_texts(tmp_path / "some.txt")


def test_places_are_spread_evenly_and_never_repeat() -> None:
    assert evenly(3, 3) == [0, 1, 2]
    assert evenly(256, 4000)[:2] == [0, 16]
    assert len(set(evenly(256, 300))) == 256
    assert evenly(1, 9) == [0]
