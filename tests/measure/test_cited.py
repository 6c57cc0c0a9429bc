"""Figures of others, read from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from wellread.errors import ConfigError, DataError
from wellread.measure.cited import Cited, read_cited

ROW = 'name = "a"\nmegabytes = 2\nscore = 85.5\nsource = "a page"\nnote = "test split"\n'


def written(tmp_path, text):
    (tmp_path / "cited.toml").write_text(text, "utf-8")
    return tmp_path / "cited.toml"


def test_a_file_gives_its_rows(tmp_path):
    other = ROW.replace('"a"', '"b"')
    path = written(tmp_path, f"[[cited]]\n{ROW}[[cited]]\n{other}parameters = 7\n")
    first, second = read_cited(path)
    assert first == Cited(name="a", megabytes=2, score=85.5, source="a page", note="test split")
    assert (second.name, second.parameters) == ("b", 7)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"[[cited]]\n{ROW}mb = 3\n", r"found that cited.0.mb is unknown"),
        ("[[cited]]\nname = 3\n", r"cited.0.megabytes is missing; .*cited.0.name is 3, not str"),
        (f"[[rows]]\n{ROW}", "rows is unknown; cited is missing"),
        (f"[[cited]]\n{ROW.replace('2', '0')}", "found another megabytes of 'a'; correct it"),
        (f"[[cited]]\n{ROW.replace('85.5', '855')}", "a score from 0 to 100; found another score of 'a'"),
        (f"[[cited]]\n{ROW.replace('a page', ' ')}parameters = 0\n", "found another source and parameters of 'a'"),
    ],
)
def test_other_keys_and_values_are_refused(tmp_path, text, found):
    with pytest.raises(ConfigError, match=found) as caught:
        read_cited(written(tmp_path, text))
    assert "cited.toml" in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(DataError, match=r"cited figures were asked of .*none.toml; it cannot be read: .*No such file"):
        read_cited(tmp_path / "none.toml")
    with pytest.raises(DataError, match=r"cited.toml; it cannot be read: .*line 1"):
        read_cited(written(tmp_path, "[[cited]\n"))


def test_a_name_stands_once(tmp_path):
    with pytest.raises(DataError, match="cited figures have names of their own; .* has a twice; tell them apart"):
        read_cited(written(tmp_path, f"[[cited]]\n{ROW}" * 2))


def test_the_published_figures_of_nsmc_are_such_a_file():
    rows = read_cited(Path(__file__).parents[2] / "proofs" / "nsmc-published.toml")
    assert {row.name: row.score for row in rows}["KoBERT"] == 89.63
    assert all("test split" in row.note and row.source.startswith("https://") for row in rows)
