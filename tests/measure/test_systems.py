"""The systems that are compared: what a module and FastText weigh, score and predict."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from heads import headed_module
from tiny import tiny_module

from wellread.data.examples import Examples, take_examples
from wellread.errors import DataError, InputError
from wellread.measure.evaluate import evaluate
from wellread.measure.fasttext import FastTextConfig, train_fasttext
from wellread.measure.predictions import intervals
from wellread.measure.size import shipped_bytes
from wellread.measure.systems import EvalSet, fasttext_system, module_system, short_names

ROWS = [{"text": f"a {word} runs", "label": label} for word, label in (("man", "good"), ("cat", "bad"))] * 20
STS = [{"text": "a man", "pair": other, "score": n} for n, other in enumerate(("a cat", "paris", "the flute"))]


def taken(rows):
    return take_examples(rows, **{name: name for name in rows[0]})


def test_a_module_is_a_system(tmp_path):
    module = headed_module(tmp_path, "classify")
    system = module_system("tiny", module)
    assert (system.name, system.size_bytes) == ("tiny", shipped_bytes(module))
    assert system.parameters == sum(array.size for array in module.checkpoint.arrays().values())
    assert (system.precision, system.training_seconds, system.tuned) == ("f64", None, None)


def test_a_module_is_scored_as_evaluate_does(tmp_path):
    module, examples = headed_module(tmp_path, "classify"), taken(ROWS)
    found = module_system("tiny", module).score(EvalSet(task="classify", examples=examples, positive="good"))
    scored = evaluate(module, examples, task="classify", positive="good").scores
    assert intervals(found, len(examples)) == scored
    assert "f1" in found


def asked_of(module, monkeypatch):
    """Note what is asked of a module."""
    asked = []
    for name in ("predict", "encode"):
        own = getattr(type(module), name)
        monkeypatch.setattr(
            type(module),
            name,
            lambda self, *given, own=own, name=name, **o: asked.append((name, *given)) or own(self, *given, **o),
        )
    return asked


def test_the_work_is_to_predict_every_text_once(tmp_path, monkeypatch):
    module, eval_set = headed_module(tmp_path, "classify"), EvalSet(task="classify", examples=taken(ROWS))
    asked = asked_of(module, monkeypatch)
    module_system("tiny", module).predict(eval_set)
    assert asked == [("predict", eval_set.examples.texts, None)]


def test_without_a_head_for_it_similarity_is_to_encode_both_sides(tmp_path, monkeypatch):
    eval_set = EvalSet(task="similarity", examples=taken(STS))
    for module in (tiny_module(tmp_path, backend="numpy"), headed_module(tmp_path, "classify")):
        asked = asked_of(module, monkeypatch)
        module_system("tiny", module).predict(eval_set)
        assert asked == [("encode", eval_set.examples.texts), ("encode", eval_set.examples.pairs)]
        monkeypatch.undo()
    module = headed_module(tmp_path, "similarity")
    asked = asked_of(module, monkeypatch)
    module_system("tiny", module).predict(eval_set)
    assert asked[0] == ("predict", eval_set.examples.texts, eval_set.examples.pairs)


def test_the_spans_of_tokens_are_passed_on(tmp_path):
    rows = [{"text": ["a", "man"], "tags": ["O", "B-PS"]}]
    module_system("tiny", headed_module(tmp_path, "tag")).predict(EvalSet(task="tag", examples=taken(rows)))


def test_long_texts_are_told_by_the_score_and_not_again_by_the_work(tmp_path):
    rows = [{**row, "text": "man " * 99} for row in ROWS]
    system, eval_set = (
        module_system("t", headed_module(tmp_path, "classify")),
        EvalSet(task="classify", examples=taken(rows)),
    )
    with pytest.warns(UserWarning, match="40 of 40 texts were too long"):
        system.score(eval_set)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        system.predict(eval_set)


def test_a_part_of_a_trial_is_spread_over_all_and_keeps_columns_together():
    examples = taken([{"text": str(n), "pair": f"p{n}", "label": "x"} for n in range(9)])
    part = EvalSet(task="pair", examples=examples, rules="korquad").part(3)
    assert (part.examples.texts, part.pairs) == (["0", "4", "8"], ["p0", "p4", "p8"])
    assert (part.task, part.rules, len(part.examples.lines)) == ("pair", "korquad", 3)
    assert EvalSet(task="classify", examples=Examples(source="s", lines=[1], texts=["a"])).part(5).pairs is None


@pytest.fixture(scope="module")
def fasttext():
    return train_fasttext(taken(ROWS), config=FastTextConfig(bucket=530_000, epoch=20, lr=0.5))


def test_fasttext_is_scored_by_the_same_rules(fasttext):
    system = fasttext_system(fasttext)
    found = system.score(EvalSet(task="classify", examples=taken(ROWS), positive="bad"))
    all_rows = np.arange(len(ROWS))
    assert {name: score(all_rows) for name, score in found.items()} == dict.fromkeys(
        ("accuracy", "macro_f1", "matthews", "f1"), 1
    )
    assert (system.name, system.size_bytes, system.parameters) == (
        "FastText",
        fasttext.size_bytes,
        fasttext.parameters,
    )
    assert system.training_seconds == fasttext.seconds
    assert system.predict(EvalSet(task="classify", examples=taken(ROWS[:2]))) == ["good", "bad"]


def test_fasttext_may_say_labels_that_the_file_lacks_but_not_the_reverse(fasttext):
    rows = [{"text": "a cat runs", "label": "good"}]
    assert fasttext_system(fasttext).score(EvalSet(task="classify", examples=taken(rows)))["accuracy"]([0]) == 0
    with pytest.raises(
        DataError, match=r"the labels bad, good were asked of the given rows; 1 of 1 are others, .*'so-so'"
    ):
        fasttext_system(fasttext).score(EvalSet(task="classify", examples=taken([{"text": "a", "label": "so-so"}])))


def test_a_task_without_a_score_is_refused():
    with pytest.raises(
        InputError,
        match=r"the task 'clasify' was asked for; modules are trained and scored for classify, .*did you mean classify",
    ):
        EvalSet(task="clasify", examples=taken(STS))


def test_names_are_as_short_as_tells_them_apart(tmp_path, monkeypatch):
    assert short_names(["default", "a/b/", "x/b", "default"]) == {"default": "default", "a/b": "a/b/", "x/b": "x/b"}
    monkeypatch.chdir(tmp_path)
    assert short_names(["."]) == {tmp_path.name: "."}
    assert short_names(["/"]) == {"/": "/"}
