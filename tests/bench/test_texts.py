"""The texts of a measurement: a file's lines, or the sample that ships."""

from pathlib import Path

import pytest

from wellread.bench.texts import evenly, read_texts
from wellread.errors import DataError


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
