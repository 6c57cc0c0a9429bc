"""Scores against SciPy's, and the reader of STS-B."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from tiny import tiny_module

from wellread.errors import DataError
from wellread.measure.metrics import pearson, ranks, spearman
from wellread.measure.similarity import evaluate_similarity, read_stsb

ROW = "main-captions\tMSRvid\t2012test\t0001\t{}\t{}\t{}"


@pytest.mark.parametrize("seed", range(5))
def test_correlations_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, 50), rng.normal(size=50)
    assert pearson(a, b) == pytest.approx(scipy.stats.pearsonr(a, b).statistic, abs=1e-12)
    assert spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-12)
    assert ranks(a).tolist() == scipy.stats.rankdata(a).tolist()


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0], [2.0], r"takes two lists of 2 or more numbers; found \(1,\) and \(1,\)"),
        ([1, 2], [1, 2, 3], r"found \(2,\) and \(3,\)"),
        ([1, 1], [1, 2], "takes numbers that differ; found a list of equal numbers"),
    ],
)
def test_correlations_of_nothing_are_refused(a, b, message):
    with pytest.raises(DataError, match=message):
        pearson(a, b)


def test_stsb_is_read_without_quoting(tmp_path):
    path = tmp_path / "sts.csv"
    lines = [ROW.format("5.000", 'He said "no.', "He said no."), ROW.format("0.5", "a", "b") + "\tsource\tsource"]
    path.write_text("\r\n".join(lines) + "\r\n", "utf-8")
    pairs = read_stsb(path)
    assert pairs.first == ['He said "no.', "a"]
    assert pairs.second == ["He said no.", "b"]
    assert pairs.scores == [5.0, 0.5]


def test_korsts_header_is_passed_over(tmp_path):
    path = tmp_path / "sts.tsv"
    path.write_text(
        "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n" + ROW.format("1", "가", "나") + "\n", "utf-8"
    )
    assert read_stsb(path).first == ["가"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 0; check the file"),
        (ROW.format("5", "a", "b") + "\nragged\tline\n", "line 2 has 2 columns: 'ragged"),
        (ROW.format("high", "a", "b"), "with a score in the fifth"),
    ],
)
def test_bad_stsb_files_are_refused(tmp_path, text, message):
    (tmp_path / "sts.csv").write_text(text, "utf-8")
    with pytest.raises(DataError, match=message):
        read_stsb(tmp_path / "sts.csv")


def test_a_missing_stsb_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        read_stsb(tmp_path / "none.csv")


def test_evaluation_is_the_correlation_of_cosines(tmp_path):
    module = tiny_module(tmp_path)
    path = tmp_path / "sts.csv"
    texts = ["a man runs", "a cat sleeps", "the guitar", "paris of france", "a woman is playing the flute"]
    rows = [ROW.format(i, first, second) for i, (first, second) in enumerate(pairwise(texts))]
    path.write_text("\n".join(rows), "utf-8")
    score = evaluate_similarity(module, read_stsb(path))
    cosines = np.diag(module.similarity(module.encode(texts[:-1]), module.encode(texts[1:])))
    assert score.spearman == pytest.approx(scipy.stats.spearmanr(cosines, range(4)).statistic)
    assert score.pearson == pytest.approx(scipy.stats.pearsonr(cosines, range(4)).statistic, abs=1e-2)  # float32
    assert score.low <= score.spearman <= score.high
