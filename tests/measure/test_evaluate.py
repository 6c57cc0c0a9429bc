"""A module's score is that of what it predicts; labels that it cannot give are refused."""

from __future__ import annotations

import pytest
from heads import headed_module
from tiny import tiny_module

from wellread.data.examples import take_examples
from wellread.errors import DataError, InputError
from wellread.measure.evaluate import evaluate, task_of
from wellread.measure.predictions import score_predictions
from wellread.metrics.metrics import pearson
from wellread.tasks.task import Scoring

TEXTS = ["a man is playing the guitar .", "", "paris , france !", "the cat sleeps", "of paris"]
PAIRS = ["a woman runs .", "the cat", "of", "", "playing guitars , a man runs"]


def examples(**columns):
    """Make examples of the texts and further columns, under their own names."""
    rows = [{"text": text, **{name: column[row] for name, column in columns.items()}} for row, text in enumerate(TEXTS)]
    return take_examples(rows, **{name: name for name in columns})


@pytest.mark.parametrize("task", ["classify", "pair"])
def test_labels(tmp_path, task):
    module = headed_module(tmp_path, task)
    pairs = {"pair": PAIRS} if task == "pair" else {}
    said = [found.label for found in module.predict(TEXTS, *pairs.values())]
    labels = module.checkpoint.head.labels
    wrong = [labels[0] if label == labels[1] else labels[1] for label in said]
    given = examples(label=[*said[:3], *wrong[3:]], **pairs)
    found = evaluate(module, given, positive=labels[1])
    assert found.task == task
    assert found.scores["accuracy"].value == pytest.approx(0.6)
    scoring = Scoring(labels=labels, positive=labels[1])
    assert found == score_predictions(task, given, said, scoring=scoring)
    other = {"pair": "classify", "classify": "pair"}[task]
    assert evaluate(module, given, task=other).scores["accuracy"].value == pytest.approx(0.6)


def test_numbers_of_a_head_and_of_any_module(tmp_path):
    scores = [1.0, 2.0, 4.0, 3.0, 5.0]
    other = tiny_module(tmp_path / "b", backend="numpy")
    for module in (headed_module(tmp_path / "a", "similarity", low=1.0, high=5.0), other):
        first, second = (module.encode(side, normalize_embeddings=True).astype(float) for side in (TEXTS, PAIRS))
        found = evaluate(module, examples(pair=PAIRS, score=scores), task="similarity")
        assert found.scores["pearson"].value == pytest.approx(pearson((first * second).sum(1), scores), abs=1e-4)


def test_tags_of_the_examples_own_tokens(tmp_path):
    module = headed_module(tmp_path, "tag")
    rows = [{"text": ["paris", "france"], "tags": ["B-LC", "I-LC"]}, {"text": ["a"], "tags": ["O"]}]
    given = take_examples(rows, tags="tags", joiner="")
    assert given.texts == ["parisfrance", "a"]
    said = [row.tags for row in module.predict(given.texts, tokens=given.spans)]
    assert [len(row) for row in said] == [2, 1]
    assert evaluate(module, given) == score_predictions("tag", given, said)


def test_answers_and_none(tmp_path):
    module = headed_module(tmp_path, "answer")
    rows = [{"text": "a ?", "pair": pair, "answers": []} for pair in PAIRS]
    rows[0]["answers"] = [{"text": "woman", "answer_start": 2}]
    given = take_examples(rows, pair="pair", answers="answers")
    said = [found.text for found in module.predict(given.texts, given.pairs, null_threshold=0.0)]
    assert said != [found.text for found in module.predict(given.texts, given.pairs)]
    assert evaluate(module, given) == score_predictions("answer", given, said)
    one = take_examples(rows[:1], pair="pair", answers="answers")
    told = [module.predict("a ?", PAIRS[0]).text]
    assert evaluate(module, one, rules="korquad") == score_predictions(
        "answer", one, told, scoring=Scoring(rules="korquad")
    )


def test_labels_that_a_module_cannot_give_are_named(tmp_path):
    given = examples(label=["bad", "god", "good", "fine", "god"])
    with pytest.raises(
        DataError, match=r"tells bad, fair, good apart; .* other labels: god, fine \(3 of 5\) \(did you"
    ):
        evaluate(headed_module(tmp_path / "a", "classify"), given)
    tags = take_examples([{"text": ["a"], "tags": ["B-OG"]}], tags="tags")
    with pytest.raises(DataError, match=r"tells O, B-LC, I-LC, .* other labels: B-OG \(1 of 1\)"):
        evaluate(headed_module(tmp_path / "b", "tag"), tags)


def test_the_task_must_be_the_modules(tmp_path):
    given = examples(label=["bad"] * 5)
    with pytest.raises(InputError, match="a score for tag was asked for; this module is fine-tuned for classify"):
        evaluate(headed_module(tmp_path / "a", "classify"), given, task="tag")
    with pytest.raises(InputError, match="a score for its task was asked for; this module is fine-tuned for none"):
        evaluate(tiny_module(tmp_path / "b"), given)
    with pytest.raises(InputError, match=r"the task 'clasify' was asked for; .*did you mean classify"):
        task_of(tiny_module(tmp_path / "c"), "clasify")


def test_what_is_scored_must_be_there_before_the_work(tmp_path):
    module = headed_module(tmp_path, "classify", backend="none")  # which cannot run
    with pytest.raises(DataError, match="labels were asked of the given rows; no column was named for them"):
        evaluate(module, examples())
    with pytest.raises(DataError, match="pairs were asked of the given rows; no column was named for them"):
        evaluate(module, examples(score=[1, 2, 3, 4, 5]), task="similarity")
