"""Sets of labels: which are given, how they are scored, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from heads import headed_module

from wellread.data.examples import take_examples
from wellread.errors import DataError, InputError
from wellread.measure.evaluate import evaluate
from wellread.measure.predictions import score_predictions
from wellread.tasks.multilabel import MultilabelSettings

ROWS = [{"text": "a man", "label_set": kinds} for kinds in (["a", "b"], ["b"], [], ["c", "a"])]
SAID = [["a"], ["b"], ["c"], "a, c"]


def test_scores_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, f1_score

    examples = take_examples(ROWS)
    found = score_predictions("multilabel", examples, SAID).scores
    names = "abc"
    truth, guess = (
        np.asarray([[name in row for name in names] for row in rows])
        for rows in ([set(row["label_set"]) for row in ROWS], [set("".join(row).replace(", ", "")) for row in SAID])
    )
    assert found["f1"].value == pytest.approx(f1_score(truth, guess, average="micro"))
    assert found["macro_f1"].value == pytest.approx(f1_score(truth, guess, average="macro"))
    assert found["accuracy"].value == accuracy_score(truth, guess) == 0.5
    assert found["f1"].low <= found["f1"].value <= found["f1"].high


def test_nothing_right_of_nothing_scores_0_and_all_sets_are_equal():
    found = score_predictions("multilabel", take_examples([{"text": "a", "label_set": []}] * 2), [[], ""]).scores
    assert [found[name].value for name in ("f1", "macro_f1", "accuracy")] == [0, 0, 1]


def test_predictions_that_are_no_sets_are_counted_and_refused():
    with pytest.raises(DataError, match="lists of labels were asked of the predictions; 1 of 4 are none; mend them"):
        score_predictions("multilabel", take_examples(ROWS), [[], [], [], 7])


def test_a_module_is_scored_on_the_labels_it_has(tmp_path):
    module = headed_module(tmp_path, "multilabel", labels=("a", "b", "c"))
    texts = ["a man", "the cat", "paris", "of"]
    rows = [
        {"text": text, "label_set": list(found.labels)}
        for text, found in zip(texts, module.predict(texts), strict=True)
    ]
    assert evaluate(module, take_examples(rows)).scores["accuracy"].value == 1
    with pytest.raises(DataError, match=r"the module tells a, b, c apart; .* has other labels: d \(1 of "):
        evaluate(module, take_examples([*rows, {"text": "a", "label_set": ["d"]}]))
    assert module.predict("a man", threshold=1.0).labels == ()
    assert set(module.predict("a man", "of", threshold=0).labels) == {"a", "b", "c"}


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(InputError, match="threshold is a probability, 0 to 1; found"):
        MultilabelSettings(threshold=threshold)


def test_numbers_of_several_outputs_are_not_scored_as_one(tmp_path):
    module = headed_module(tmp_path, "score", labels=("a", "b"))
    assert module.predict(["a man"]).shape == (1, 2)
    with pytest.raises(
        DataError, match="one number a row was to be scored; found 2, for the module's head has as many"
    ):
        evaluate(module, take_examples([{"text": "a", "score": 1}, {"text": "b", "score": 2}]))
