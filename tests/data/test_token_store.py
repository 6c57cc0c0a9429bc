"""The token store: what it holds, when it is made again, and how much memory it takes."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from tiny import PIECES, tiny_tokenizer

from wellread.data import token_store as store_module
from wellread.data.token_store import FACTS, SPLITS, VALUES, open_store, token_store
from wellread.errors import CheckpointError, DataError, InputError, TrainingError
from wellread.text.vocabulary import Vocabulary

LINES = ["A man runs.", "", "the cat", "[SEP] [SEP]", "a woman is playing the guitar , a man is playing the flute"]


@pytest.fixture
def tokenizer(tmp_path):
    return tiny_tokenizer(tmp_path / "files")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"{line}\n" for line in LINES))
    return tmp_path / "a.txt"


def made(texts, tokenizer, tmp_path, **options):
    return token_store(texts, tokenizer, cache=tmp_path / "cache", **{"max_seq_length": 8, **options})


def test_rows_are_cut_and_those_without_words_dropped(tokenizer, path, tmp_path):
    store = made([path], tokenizer, tmp_path)
    whole = tokenizer.tokenize(LINES).to_list()
    expected = [whole[0], whole[2], whole[4][:6], whole[4][6:12], whole[4][12:]]
    assert store.rows.to_list() == expected
    facts = store.facts
    assert (facts.texts, facts.rows, facts.dropped, facts.tokens) == (5, 5, 2, sum(map(len, expected)))
    assert len(store) == 5
    assert store.lengths.tolist() == [*map(len, expected)]
    taken = store.take(np.array([3, 0]))
    assert taken.to_list() == [expected[3], expected[0]]
    assert taken.values.dtype == np.int32


def test_ids_lie_on_disk_in_as_few_bytes_as_hold_them(tokenizer, path, tmp_path):
    small = made([path], tokenizer, tmp_path)
    assert isinstance(small.rows.values, np.memmap)
    assert small.rows.values.dtype == np.uint16
    pieces = [*PIECES, *(f"more{i}" for i in range(1 << 16))]
    large = replace(tokenizer, vocabulary=Vocabulary.of(pieces, tokenizer.config))
    assert made([path], large, tmp_path).rows.values.dtype == np.int32


def test_parts_are_joined(tokenizer, path, tmp_path, monkeypatch):
    whole = made([path], tokenizer, tmp_path / "whole")
    monkeypatch.setattr(store_module, "PART", 2)
    parts = made([path], tokenizer, tmp_path / "parts")
    assert parts.rows.to_list() == whole.rows.to_list()


def test_a_store_is_made_once(tokenizer, path, tmp_path, monkeypatch):
    first = made([path], tokenizer, tmp_path)
    monkeypatch.setattr(store_module, "_write", None)
    assert made([path], tokenizer, tmp_path).facts == first.facts


def test_a_store_is_made_again_for_another_text_length_tokenizer_or_column(tokenizer, path, tmp_path):
    cased = replace(tokenizer, config=replace(tokenizer.config, do_lower_case=False))
    (tmp_path / "b.tsv").write_text("text\tother\na\tcat\n")
    made([path], tokenizer, tmp_path)
    made([path], tokenizer, tmp_path, max_seq_length=9)
    made([path], cased, tmp_path)
    made([tmp_path / "b.tsv"], tokenizer, tmp_path)
    made([tmp_path / "b.tsv"], tokenizer, tmp_path, column="other")
    path.write_text("the cat\n")
    made([path], tokenizer, tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == 6


def test_strings_serve_as_files_do(tokenizer, path, tmp_path):
    from_file = made([path], tokenizer, tmp_path)
    listed = made(LINES, tokenizer, tmp_path)
    once = made((line for line in LINES), tokenizer, tmp_path)
    assert listed.rows.to_list() == once.rows.to_list() == from_file.rows.to_list()
    assert listed.facts == once.facts
    assert made(["\ud800 cat"], tokenizer, tmp_path).facts.rows == 1  # half of a pair, which no file could hold


def test_memory_does_not_grow_with_the_corpus(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "PART", 64)
    peaks = []
    for texts in (2_000, 20_000):
        tracemalloc.start()
        made((LINES[4] for _ in range(texts)), tokenizer, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 100_000


def test_a_text_without_words_is_refused_and_leaves_nothing(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text("[SEP]\n\n[MASK] [PAD]\n")
    message = "asked of a.txt; found 3 texts and in them no token that the vocabulary knows; give other files"
    with pytest.raises(DataError, match=message):
        made([tmp_path / "a.txt"], tokenizer, tmp_path)
    assert not list((tmp_path / "cache").iterdir())
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match="found 0 texts"):
        made([tmp_path / "a.txt"] * 6, tokenizer, tmp_path)
    with pytest.raises(DataError, match="and 1 more; found 0 texts"):
        made([tmp_path / "a.txt"] * 6, tokenizer, tmp_path)


def test_what_is_no_list_of_texts_is_refused(tokenizer, path, tmp_path):
    for wrong in ("a text", path):
        with pytest.raises(InputError, match=r"files or texts were asked for; found one \w+; put it in a list"):
            made(wrong, tokenizer, tmp_path)
    with pytest.raises(InputError, match="each text must be a str; row 1 is a int; convert or drop it"):
        made(["a", 7], tokenizer, tmp_path)


@pytest.mark.parametrize("name", [VALUES, SPLITS, FACTS])
def test_a_damaged_store_is_told(tokenizer, path, tmp_path, name):
    made([path], tokenizer, tmp_path)
    (directory,) = (tmp_path / "cache").iterdir()
    (directory / name).write_bytes((directory / name).read_bytes()[:-8])
    with pytest.raises(TrainingError, match="were to be read; found them damaged: .*; remove that directory"):
        open_store(directory)


def test_a_disk_that_refuses_leaves_nothing(tokenizer, path, tmp_path):
    (tmp_path / "cache").write_text("a file where a directory should be")
    with pytest.raises(CheckpointError, match="was to be written; found that"):
        made([path], tokenizer, tmp_path)


def test_two_at_once_are_no_harm(tokenizer, path, tmp_path):
    """Two runs that share a run directory by mistake: one of them is refused, and the store is whole."""
    faults: list[BaseException] = []

    def work() -> None:
        try:
            made([path], tokenizer, tmp_path)
        except CheckpointError as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(faults) < 4
    assert made([path], tokenizer, tmp_path).facts.rows == 5
