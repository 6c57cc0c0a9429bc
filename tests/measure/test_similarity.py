"""Cosines of a module against people's scores."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from tiny import tiny_module

from wellread.config import SentenceConfig
from wellread.data.examples import read_examples, take_examples
from wellread.errors import DataError
from wellread.measure.evaluate import evaluate
from wellread.metrics.metrics import spearman

ROW = "main-captions\tMSRvid\t2012test\t0001\t{}\t{}\t{}"
TEXTS = ["a man runs", "a cat sleeps", "the guitar", "paris of france", "a woman is playing the flute"]


@pytest.fixture
def examples(tmp_path):
    path = tmp_path / "sts.csv"
    path.write_text("\n".join(ROW.format(i, a, b) for i, (a, b) in enumerate(pairwise(TEXTS))), "utf-8")
    return read_examples(path, format="stsb")


def test_evaluation_is_the_correlation_of_cosines(tmp_path, examples):
    module = tiny_module(tmp_path)
    score = evaluate(module, examples, task="similarity")
    first, second = (module.encode(side, precision="f32") for side in (TEXTS[:-1], TEXTS[1:]))
    cosines = np.diag(module.similarity(first, second))
    spearman, pearson = score.scores["spearman"], score.scores["pearson"]
    assert spearman.value == pytest.approx(scipy.stats.spearmanr(cosines, range(4)).statistic)
    assert pearson.value == pytest.approx(scipy.stats.pearsonr(cosines, range(4)).statistic, abs=1e-2)  # float32
    assert spearman.low <= spearman.value <= spearman.high
    assert score.examples == 4


def test_evaluation_compares_what_encode_gives(tmp_path, examples):
    module = tiny_module(tmp_path, sentence=SentenceConfig(truncate_dim=5, max_seq_length=32))
    sides = (module.encode(side, precision="f32").astype(np.float64) for side in (TEXTS[:-1], TEXTS[1:]))
    first, second = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    assert first.shape == (4, 5)
    expected = scipy.stats.pearsonr((first * second).sum(1), range(4)).statistic
    # the cosines are all near 1, in float32
    assert evaluate(module, examples, task="similarity").scores["pearson"].value == pytest.approx(expected, abs=1e-2)


def test_the_interval_leaves_out_draws_of_equal_numbers(tmp_path, examples):
    module = tiny_module(tmp_path)
    score = evaluate(module, examples, task="similarity", seed=3).scores["spearman"]
    first, second = (np.asarray(module.encode(side, precision="f32")) for side in (TEXTS[:-1], TEXTS[1:]))
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    rng, scores = np.random.default_rng(3), np.arange(4)
    drawn = [rng.integers(0, 4, 4) for _ in range(1_000)]
    told = [spearman(cosines[rows], scores[rows]) for rows in drawn if np.ptp(rows)]
    assert (score.low, score.high) == pytest.approx(tuple(np.quantile(told, [0.025, 0.975])))


def test_examples_without_pairs_are_refused(tmp_path):
    with pytest.raises(
        DataError, match="scores were asked of the given rows; no column was named for them; name it, or its format"
    ):
        evaluate(tiny_module(tmp_path), take_examples([{"text": "a"}]), task="similarity")
