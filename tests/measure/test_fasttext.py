"""The FastText baseline, trained by FastText itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace

import pytest

from wellread.data.examples import take_examples
from wellread.errors import ConfigError, DataError, InputError, MissingExtra, TrainingError
from wellread.measure.fasttext import FastTextConfig, train_fasttext

BUCKET = 530_000
SMALL = FastTextConfig(bucket=BUCKET, epoch=20, lr=0.5)
ROWS = [{"text": f"good film {n}", "label": "5 stars"} for n in range(30)]
ROWS += [{"text": f"bad film {n}", "label": "1 star"} for n in range(30)]
PAIRS = [{"text": "a", "pair": second, "label": label} for second, label in (("b c", "same"), ("d e", "other"))] * 40


def taken(rows):
    return take_examples(rows, **{name: name for name in rows[0]})


@pytest.fixture(scope="module")
def model():
    return train_fasttext(taken(ROWS), config=SMALL)


def test_labels_with_spaces_come_back_as_they_were(model):
    assert model.labels == ("1 star", "5 stars")
    assert model.predict(["a good one", "so bad"]) == ["5 stars", "1 star"]
    assert model.predict([]) == []


def test_the_second_text_of_a_pair_is_read():
    model = train_fasttext(taken(PAIRS), task="pair", config=SMALL)
    assert model.predict(["a", "a"], ["d e", "b c"]) == ["other", "same"]


def test_it_repeats(model):
    again = train_fasttext(taken(ROWS), config=SMALL)
    assert (again.model.get_input_matrix() == model.model.get_input_matrix()).all()


def test_its_size_is_that_of_its_file(model, tmp_path):
    model.model.save_model(str(tmp_path / "model.bin"))
    assert model.size_bytes == (tmp_path / "model.bin").stat().st_size
    words = len(model.model.get_words())
    assert model.parameters == 16 * (words + BUCKET + 2)
    assert model.seconds > 0


FREED = """
import numpy as np
from wellread.data.examples import take_examples
from wellread.measure.fasttext import FastTextConfig, train_fasttext

np.full(7_000_000, np.nan, np.float32)  # once so many bytes were freed, as many come from the heap
blocks = [np.full(5_000_000, np.nan, np.float32) for _ in range(4)]  # too few for the dictionary
last = np.full(1_000_000, np.nan, np.float32)  # keeps the end of the heap
del blocks
rows = [{"text": f"good film {n}", "label": "5 stars"} for n in range(30)]
rows += [{"text": f"bad film {n}", "label": "1 star"} for n in range(30)]
config = FastTextConfig(bucket=530_000, epoch=20, lr=0.5)
model = train_fasttext(take_examples(rows, text="text", label="label"), config=config)
print(np.isfinite(model.model.get_input_matrix()).all(), last.size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_its_table_does_not_begin_with_what_freed_memory_holds():
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert done.stdout == "True 1000000\n"


def test_settings_reach_fasttext():
    config = FastTextConfig(dim=9, word_ngrams=3, minn=1, maxn=2, bucket=1_000_000, epoch=2, lr=0.3, seed=4)
    found = train_fasttext(taken(ROWS), config=config).model.f.getArgs()
    assert (found.dim, found.wordNgrams, found.minn, found.maxn, found.bucket) == (9, 3, 1, 2, 1_000_000)
    assert (found.epoch, found.lr, found.thread, found.seed) == (2, pytest.approx(0.3), 1, 4)


@pytest.mark.parametrize(
    "hostile", ["good\nfilm", "\1good film", "\0good\r\nfilm", "</s> good film", "good film \ud800"]
)
def test_no_text_ends_its_line_or_gives_a_label(hostile):
    rows = [{**row, "text": row["text"].replace("good film", hostile)} for row in ROWS]
    model = train_fasttext(taken(rows), config=SMALL)
    assert sorted(model.model.get_labels()) == ["\1" + "0", "\1" + "1"]
    assert model.predict([f"{hostile} 3", "bad film"]) == ["5 stars", "1 star"]
    assert {"good", "film", "29"} <= set(model.model.get_words())


def test_an_empty_text_has_a_label_too(model):
    assert model.predict([""])[0] in model.labels
    assert train_fasttext(taken([*ROWS, {"text": "", "label": "1 star"}]), config=SMALL).predict(["good"]) == [
        "5 stars"
    ]


def test_examples_that_do_not_fit_are_refused():
    with pytest.raises(
        DataError, match="60 examples of the given rows were to train FastText for pair; found no pairs"
    ):
        train_fasttext(taken(ROWS), task="pair")
    with pytest.raises(DataError, match="found 1 labels; name the columns of a file with texts and two labels or more"):
        train_fasttext(taken(ROWS[:3]))
    with pytest.raises(DataError, match="found 0 labels"):
        train_fasttext(take_examples([{"text": "a"}]))


def test_other_tasks_are_refused():
    with pytest.raises(
        InputError, match="asked for the task 'tag'; it gives a label a text, which is classify or pair"
    ):
        train_fasttext(taken(ROWS), task="tag")


def test_settings_that_fasttext_would_crash_on_are_refused():
    with pytest.raises(ConfigError, match=r"found dim of 0, lr of -1; give numbers above 0"):
        FastTextConfig(dim=0, lr=-1)
    with pytest.raises(ConfigError, match="found minn 3, maxn 2; give numbers above 0, and a minn from 0 to maxn"):
        FastTextConfig(minn=3, maxn=2)
    assert FastTextConfig(minn=0, maxn=0).minn == 0


@pytest.mark.parametrize("changes", [{"bucket": 524_288}, {"dim": 4}, {"word_ngrams": 1, "minn": 0, "maxn": 0}])
def test_tables_that_fasttext_does_not_clear_are_refused(changes):
    with pytest.raises(ConfigError, match=r"FastText clears no table of 8388608 or fewer; give a larger bucket"):
        FastTextConfig(**changes)


def test_a_rate_that_leads_nowhere_is_told():
    with pytest.raises(
        TrainingError, match=r"FastText was to be trained with .*; it gave up: Encountered NaN.*smaller lr"
    ):
        train_fasttext(taken(ROWS * 20), config=replace(SMALL, lr=1e9))


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'this needs fasttext, .*pip install "wellread\[fasttext\]"'):
        train_fasttext(taken(ROWS))
