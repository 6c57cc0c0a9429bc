"""The FastText baseline, trained by FastText itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace

import pytest

from wellread.data.examples import take_examples
from wellread.errors import ConfigError, DataError, InputError, MissingExtra, TrainingError, TrainingWarning
from wellread.measure.fasttext import (
    GRID,
    GRID_SETTINGS,
    FastTextConfig,
    kept_rows,
    quantise_fasttext,
    train_fasttext,
    tune_fasttext,
    tune_quantised,
)

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
from wellread.measure.fasttext import (
    GRID,
    GRID_SETTINGS,
    FastTextConfig,
    kept_rows,
    quantise_fasttext,
    train_fasttext,
    tune_fasttext,
    tune_quantised,
)

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


def test_of_soft_labels_it_learns_the_likeliest_and_says_so():
    words = {"good film": {"yes": 0.6, "no": 0.4}, "bad film": {"yes": 0.1, "no": 0.9}}
    soft = take_examples([{"text": text, "label": label} for text, label in words.items()] * 200)
    with pytest.warns(TrainingWarning, match="labels are soft"):
        assert train_fasttext(soft, config=SMALL).predict(["good film", "bad film"]) == ["yes", "no"]


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


# -- the best settings of a grid ---------------------------------------------------------------------------------------

WORDS, LETTERS, LOST = (0, 0, 2, 16, 20, 0.5), (1, 3, 1, 16, 20, 0.5), (1, 3, 1, 16, 5, 1e9)
CODES = [f"{letter}{n}{letter}" for n in range(100, 400) for letter in "ab"]  # no word comes twice, its letters tell
SPELT = [{"text": code, "label": code[0]} for code in CODES]


def test_the_settings_that_label_the_held_out_rows_best_are_chosen():
    found = tune_fasttext(taken(SPELT), config=SMALL, grid=[WORDS, LETTERS, LOST])
    assert found.held_out == 60
    assert [trial.settings for trial in found.trials] == [
        dict(zip(GRID_SETTINGS, row, strict=True)) for row in (WORDS, LETTERS, LOST)
    ]
    words, letters, lost = (trial.accuracy for trial in found.trials)
    assert words < 0.8 < 0.95 < letters
    assert lost is None
    assert (found.config.minn, found.config.bucket, found.config.seed) == (1, BUCKET, SMALL.seed)
    assert found == tune_fasttext(taken(SPELT), config=SMALL, grid=[WORDS, LETTERS, LOST])


def test_of_equal_settings_the_first_is_chosen():
    found = tune_fasttext(taken(SPELT), config=SMALL, grid=[LETTERS, (*LETTERS[:4], 21, 0.5)])
    assert found.config.epoch == 20


def test_where_all_settings_lead_nowhere_it_is_told():
    with pytest.raises(TrainingError, match=r"trained with 1 settings; it gave up on all of them; give other settings"):
        tune_fasttext(taken(SPELT), config=SMALL, grid=[LOST])
    with pytest.raises(InputError, match="asked for the task 'tag'"):
        tune_fasttext(taken(SPELT), task="tag")


def test_every_row_of_the_grid_is_a_configuration_and_stands_once():
    configs = [FastTextConfig(**dict(zip(GRID_SETTINGS, row, strict=True))) for row in GRID]
    assert configs[0] == FastTextConfig()
    assert len({*GRID}) == len(GRID)


# -- its quantised form ------------------------------------------------------------------------------------------------


def test_the_quantised_form_is_as_large_as_asked_and_says_the_same(model):
    small = quantise_fasttext(model, taken(ROWS), megabytes=0.1)
    assert 99_000 < small.size_bytes < 101_000
    assert small.predict(["a good one", "so bad"]) == ["5 stars", "1 star"]
    assert small.parameters == 16 * kept_rows(model, 0.1) + 2 * 16
    assert (small.precision, small.labels, small.config) == ("pq8", model.labels, model.config)
    assert small.seconds > model.seconds
    assert model.predict(["a good one"]) == ["5 stars"]
    assert model.model.f.isQuant() is False


def test_it_is_quantised_alike_every_time(model):
    first, again = (quantise_fasttext(model, taken(ROWS), megabytes=0.1) for _ in range(2))
    texts = [row["text"] for row in ROWS]
    assert [first.model.predict(text) for text in texts] == [again.model.predict(text) for text in texts]


def test_whether_it_is_trained_once_more_is_chosen_on_the_held_out_rows():
    tuned = tune_fasttext(taken(SPELT), config=SMALL, grid=[LETTERS])
    found = tune_quantised(taken(SPELT), tuned, megabytes=0.1)
    plain, again = (trial.accuracy for trial in found.quantised)
    assert (found.config, found.trials, found.retrain) == (tuned.config, tuned.trials, again > plain)


def test_a_size_without_room_is_refused(model):
    with pytest.raises(
        DataError, match=r"FastText of 0.02 MB was asked for; it has room for \d+ rows of the table, and"
    ):
        quantise_fasttext(model, taken(ROWS), megabytes=0.02)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'this needs fasttext, .*pip install "wellread\[fasttext\]"'):
        train_fasttext(taken(ROWS))
