"""Predictions against labelled files: the scores of every task, and what does not fit."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
import sklearn.metrics

from wellread.data.examples import take_examples
from wellread.errors import DataError, InputError
from wellread.measure.predictions import read_predictions, score_predictions
from wellread.tasks.task import Scoring

TRUE, SAID = list("0101101001"), list("0101001011")
LABELLED = take_examples([{"text": "a", "y": label} for label in TRUE], label="y")
NUMBERED = take_examples([{"text": "a", "y": i**2} for i in range(6)], score="y")
TAGGED = take_examples([{"text": list("ab"), "t": ["B-PS", "O"]}, {"text": ["c"], "t": ["B-LC"]}], tags="t")
ASKED = take_examples(
    [
        {"id": "q1", "q": "?", "a": [{"text": "한강", "answer_start": 0}]},
        {"id": "q2", "q": "?", "a": []},
    ],
    text="q",
    answers="a",
    id="id",
)


@pytest.mark.parametrize("task", ["classify", "pair"])
def test_labels(task):
    found = score_predictions(task, LABELLED, SAID, scoring=Scoring(positive="1"))
    assert found.task == task
    assert found.examples == 10
    scores = {name: interval.value for name, interval in found.scores.items()}
    assert scores == pytest.approx(
        {
            "accuracy": 0.8,
            "macro_f1": sklearn.metrics.f1_score(TRUE, SAID, average="macro"),
            "matthews": sklearn.metrics.matthews_corrcoef(TRUE, SAID),
            "f1": sklearn.metrics.f1_score(TRUE, SAID, pos_label="1"),
        }
    )
    assert all(score.low < score.value < score.high for score in found.scores.values())
    assert "f1" not in score_predictions(task, LABELLED, SAID).scores


def test_labels_that_do_not_occur_may_be_named():
    said = ["2", *SAID[1:]]
    with pytest.raises(
        DataError, match="the labels 0, 1 were asked of the predictions; 1 of 10 are others, line 1: '2'"
    ):
        score_predictions("classify", LABELLED, said)
    assert score_predictions("classify", LABELLED, said, scoring=Scoring(labels=("2",))).scores["accuracy"].value == 0.7
    assert score_predictions("classify", LABELLED, [f" {label}" for label in TRUE]).scores["accuracy"].value == 1


def test_a_positive_label_that_is_nowhere_is_refused():
    with pytest.raises(
        DataError, match="the labels 0, 1 were asked of the positive label; 1 of 1 are others, line 1: 'yes'"
    ):
        score_predictions("classify", LABELLED, SAID, scoring=Scoring(positive="yes"))


def test_numbers():
    said = ["0", "1", "5", "4", "20", "19"]
    found = score_predictions("similarity", NUMBERED, said).scores
    true = [i**2 for i in range(6)]
    assert found["spearman"].value == pytest.approx(scipy.stats.spearmanr(true, [float(x) for x in said]).statistic)
    assert found["pearson"].value == pytest.approx(scipy.stats.pearsonr(true, [float(x) for x in said]).statistic)


def test_tags():
    found = score_predictions("tag", TAGGED, [["B-PS", "B-PS"], ["B-PS"]]).scores
    values = {name: score.value for name, score in found.items()}
    assert values == pytest.approx({"f1": 2 / 5, "macro_f1": 1 / 4, "precision": 1 / 3, "recall": 1 / 2})


def test_answers():
    said = ["한강은", ""]
    values = {
        n: s.value for n, s in score_predictions("answer", ASKED, said, scoring=Scoring(rules="korquad")).scores.items()
    }
    assert values == {"exact_match": 0.5, "f1": pytest.approx(0.4)}  # KorQuAD's F1 of nothing is 0
    values = {n: s.value for n, s in score_predictions("answer", ASKED, said).scores.items()}
    assert values == {"exact_match": 0.5, "f1": 0.5}


@pytest.mark.parametrize(
    ("task", "examples", "said", "message"),
    [
        ("classify", LABELLED, SAID[1:], "for each of the 10 examples of the given rows was asked; found 9; predict"),
        (
            "tag",
            LABELLED,
            SAID,
            "tags were asked of the given rows; no column was named for them; name it, or its format",
        ),
        ("answer", TAGGED, ["", ""], "answers were asked"),
        ("classify", NUMBERED, list("abcdef"), "labels were asked"),
        ("similarity", NUMBERED, list("12345x"), "numbers were asked of the predictions; .*'x'; mend them"),
        ("similarity", NUMBERED, ["nan", *"12345"], "1 of 6 are not finite"),
        ("tag", TAGGED, [["O"], ["O"]], "sentence 0 has 2 tags and 1 were predicted"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(task, examples, said, message):
    with pytest.raises(DataError, match=message):
        score_predictions(task, examples, said)


def test_predictions_of_an_unknown_task_are_refused():
    with pytest.raises(InputError, match="'clasify' was asked for; .* for classify, pair, .*did you mean classify"):
        score_predictions("clasify", LABELLED, SAID)


def test_predictions_are_lines_columns_tags_or_answers_by_id(tmp_path):
    (tmp_path / "p.txt").write_text("0\n1\n")
    assert read_predictions(tmp_path / "p.txt", "classify", LABELLED) == ["0", "1"]
    (tmp_path / "p.tsv").write_text("prediction\tmine\n0\t7\n")
    assert read_predictions(tmp_path / "p.tsv", "classify", LABELLED) == ["0"]
    assert read_predictions(tmp_path / "p.tsv", "classify", LABELLED, name="mine") == ["7"]
    pq.write_table(pa.table({"prediction": [0.5, 1.0]}), tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet", "similarity", NUMBERED) == [0.5, 1.0]
    (tmp_path / "p.conll").write_text("a B-PS\nb O\n\nc O\n")
    assert read_predictions(tmp_path / "p.conll", "tag", TAGGED) == [["B-PS", "O"], ["O"]]
    (tmp_path / "p.json").write_text(json.dumps({"q2": "", "q1": "강", "q3": "more"}))
    assert read_predictions(tmp_path / "p.json", "answer", ASKED) == ["강", ""]


@pytest.mark.parametrize(
    ("text", "task", "examples", "message"),
    [
        ("[", "answer", ASKED, "answers by id were asked of .*; it cannot be read"),
        (
            '{"q1": null}',
            "answer",
            ASKED,
            "a text for each of 2 questions of .*; 2 have none: q1, q2; answer with an empty",
        ),
        ("{}", "answer", TAGGED, "ids were asked of the given rows"),
        (
            "{}",
            "classify",
            LABELLED,
            "a column prediction was asked .*; it has none; name one of them with prediction=",
        ),
    ],
)
def test_bad_files_of_predictions_are_refused(tmp_path, text, task, examples, message):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / "p.json", task, examples)


def test_a_wrong_column_of_predictions_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("predicted\n0\n")
    with pytest.raises(
        DataError, match=r"a column prediction was asked of .*; it has predicted; .*did you mean predicted"
    ):
        read_predictions(tmp_path / "p.csv", "classify", LABELLED)


def test_tags_that_are_no_lists_are_counted_and_refused():
    examples = take_examples([{"text": ["a", "b"], "tags": ["B-X", "O"]}] * 2, tags="tags", text="text")
    with pytest.raises(DataError, match="lists of tags were asked of the predictions; 1 of 2 are none; mend them"):
        score_predictions("tag", examples, [["O", "O"], "B-X O"])
