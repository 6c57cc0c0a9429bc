"""Logits become labels and probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from wellread.tasks.classify import read_classes, softmax


def test_the_largest_logit_wins_and_all_are_told():
    first, second = read_classes(np.array([[0, 2, 1], [3, -1, 2]], np.float32), ("a", "b", "c"))
    raised = np.exp([0.0, 2, 1])
    assert (first.label, second.label) == ("b", "a")
    assert first.score == pytest.approx(raised[1] / raised.sum())
    assert list(first.scores) == ["a", "b", "c"]
    assert sum(second.scores.values()) == pytest.approx(1)


def test_no_texts_no_predictions():
    assert read_classes(np.empty((0, 2)), ("a", "b")) == []


def test_large_logits_do_not_overflow():
    assert softmax(np.array([1e4, 0.0])).tolist() == [1, 0]
