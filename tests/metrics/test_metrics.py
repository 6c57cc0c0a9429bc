"""Scores of labels, numbers and masked words against scikit-learn's and SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from wellread.errors import DataError
from wellread.metrics.metrics import (
    Outcomes,
    accuracy,
    f1,
    f1_of_classes,
    macro_f1_of,
    matthews,
    pearson,
    perplexity,
    ranks,
    spearman,
)

LABELS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=40)


@given(LABELS)
def test_scores_of_labels_agree_with_scikit_learn(pairs):
    true, predicted = (list(side) for side in zip(*pairs, strict=True))
    assert accuracy(true, predicted) == pytest.approx(sklearn.metrics.accuracy_score(true, predicted))
    for average in ("macro", "micro"):
        expected = sklearn.metrics.f1_score(true, predicted, average=average, zero_division=0)
        assert f1(true, predicted, average=average) == pytest.approx(expected)
    if len({*true, *predicted}) > 1:  # scikit-learn warns of a single class
        assert matthews(true, predicted) == pytest.approx(sklearn.metrics.matthews_corrcoef(true, predicted))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_binary_f1_agrees_with_scikit_learn(pairs):
    true, predicted = ([int(value) for value in side] for side in zip(*pairs, strict=True))
    for positive in {*true, *predicted}:
        expected = sklearn.metrics.f1_score(
            true, predicted, pos_label=positive, labels=[0, 1], average="binary", zero_division=0
        )
        assert f1(true, predicted, positive=positive) == pytest.approx(expected)


def test_confusion_has_a_true_class_a_row():
    outcomes = Outcomes.of(["x", "x", "y"], ["y", "x", "z"])
    assert outcomes.classes == ("x", "y", "z")
    assert outcomes.confusion().tolist() == sklearn.metrics.confusion_matrix(["x", "x", "y"], ["y", "x", "z"]).tolist()
    assert outcomes.confusion(np.array([2, 2])).tolist() == [[0, 0, 0], [0, 0, 2], [0, 0, 0]]


def test_a_class_that_a_draw_has_not_is_left_out_of_the_mean():
    confusion = np.array([[3, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert f1_of_classes(confusion).tolist() == [0.75, 0.0, 0.0]
    assert macro_f1_of(confusion) == 0.375


def test_matthews_of_one_class_is_0():
    assert matthews(["a", "a"], ["a", "a"]) == 0.0


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda: accuracy([], []), "takes two lists of as many labels; found 0 and 0; match them"),
        (lambda: matthews(["a"], ["a", "b"]), "found 1 and 2"),
        (lambda: accuracy([1, 0], ["1", "0"]), "labels of one kind; found int and str; write all of them alike"),
        (lambda: f1([0, 1, 2], [0, 1, 2]), r"two classes, 1 among them; found 3: \(0, 1, 2\); name the positive one"),
        (lambda: f1(["no", "yes"], ["no", "yes"]), "1 among them; found 2"),
        (lambda: f1([0, 1], [0, 1], average="macr"), r"has binary, macro, micro; name one \(did you mean macro\?\)"),
    ],
)
def test_labels_that_have_no_score_are_refused(score, message):
    with pytest.raises(DataError, match=message):
        score()


@given(st.lists(st.floats(0, 20), min_size=1))
def test_perplexity_is_the_geometric_mean_of_one_over_the_probabilities(losses):
    probabilities = np.exp(-np.array(losses))
    assert perplexity(losses) == pytest.approx(1 / scipy.stats.gmean(probabilities), rel=1e-6)


def test_perplexity_of_large_losses_is_infinite():
    assert perplexity([709.0]) == pytest.approx(math.exp(709))
    assert perplexity(np.full((2, 3), 800.0)) == math.inf


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([], "found 0, 0 of them negative or not finite; check the loss"),
        ([1.0, -0.5], "found 2, 1 of them"),
        ([math.nan, math.inf, 1.0], "found 3, 2 of them"),
    ],
)
def test_losses_that_have_no_perplexity_are_refused(losses, message):
    with pytest.raises(DataError, match=message):
        perplexity(losses)


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
