"""A task is one file and a line in the registry: here is one, and everything that reads the registry does it."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from learn.made_lessons import made_module, made_rows, settings

import wellread
from wellread.data.examples import take_examples
from wellread.errors import InputError
from wellread.learn.finetune import finetune
from wellread.measure.evaluate import evaluate
from wellread.tasks.registry import TASKS, task_named

# The file: labels of texts, or none where the module is not sure.
FILE = '''
"""Labels of texts by a module that may abstain."""

from dataclasses import dataclass, replace

import numpy as np

from wellread.tasks.classify import CLASSIFY
from wellread.tasks.task import Predictions, needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a text is said to be."""

    label: str  # empty: the module is not sure
    score: float

    def __str__(self):
        return self.label or "not sure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `predict` takes."""

    least: float = 0.5  # the probability of a label that is given


def predict(predictor, inputs, advance):
    classes = CLASSIFY.predict(predictor, inputs, advance)
    sure = [prediction.score >= predictor.options.least for prediction in classes.values]
    values = [
        Choice(label=prediction.label if known else "", score=prediction.score)
        for prediction, known in zip(classes.values, sure, strict=True)
    ]
    return Predictions(values=values, truncated=classes.truncated)


def score(examples, predicted, scoring):
    right = np.asarray([a == b for a, b in zip(needed(examples, "labels"), predicted, strict=True)], np.float64)
    given = np.asarray([bool(label) for label in predicted], np.float64)
    return {"right": lambda rows: float(right[rows].mean()), "given": lambda rows: float(given[rows].mean())}


ABSTAIN = replace(
    CLASSIFY,
    name="abstain",
    takes_pairs="no",
    predict=predict,
    score=score,
    main_score="right",
    summary="a label for a text, or none",
    options=Options,
)
'''


@pytest.fixture
def abstain(tmp_path, monkeypatch):
    """Write the file, and add the line."""
    path = tmp_path / "abstain.py"
    path.write_text(FILE)
    spec = importlib.util.spec_from_file_location("abstain", path)
    file = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "abstain", file)
    spec.loader.exec_module(file)
    monkeypatch.setitem(TASKS, file.ABSTAIN.name, file.ABSTAIN)
    return file


def test_a_new_task_is_a_file_and_a_line(abstain, tmp_path):
    """Trained, scored, saved with its card, loaded, and asked; nothing else knows its name."""
    rows = made_rows("classify", 64)
    config = settings(num_train_epochs=6)
    trained = finetune(
        made_module(tmp_path / "files"), rows, task="abstain", output_dir=tmp_path / "run", config=config, dev=rows
    )
    assert trained.provenance["scores"].keys() == {"right", "given"}
    trained.save(tmp_path / "module")
    card = (tmp_path / "module" / "README.md").read_text("utf-8")
    assert "| answers | a label for a text, or none |" in card
    assert "pipeline_tag: text-classification" in card
    assert "BertForSequenceClassification" in (tmp_path / "module" / "config.json").read_text("utf-8")

    module = wellread.load(tmp_path / "module", backend="numpy")
    assert (module.checkpoint.head.task, module.checkpoint.head.kind) == ("abstain", "classify")
    assert str(module.predict("a cat", least=1.0)) == "not sure"
    choice = module.predict("a cat", least=0.0)
    assert choice.label in module.checkpoint.head.labels
    examples = take_examples(rows, label="label")
    found = evaluate(module, examples)
    assert (found.task, found.examples) == ("abstain", 64)
    assert found.scores["right"].value > 0.6

    with pytest.raises(InputError, match="this module is for abstain, which takes one text a row; found two"):
        module.predict("a cat", "a man")
    with pytest.raises(InputError, match=r"the options lest were given; .* abstain takes least, .*did you mean least"):
        module.predict("a cat", lest=0.5)
    with pytest.raises(InputError, match="a score for classify was asked for; this module is fine-tuned for abstain"):
        evaluate(module, examples, task="classify")


def test_a_module_whose_task_is_not_there_still_encodes(abstain, tmp_path, monkeypatch):
    config = settings(max_steps=1)
    rows = made_rows("classify", 16)
    module = finetune(made_module(tmp_path / "files"), rows, task="abstain", output_dir=tmp_path / "run", config=config)
    monkeypatch.delitem(TASKS, "abstain")
    assert module.encode(["a cat"]).shape == (1, 24)
    with pytest.raises(InputError, match="the task 'abstain' was asked for; modules are trained and scored for class"):
        module.predict("a cat")


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_rows_name_what_there_is(task):
    from wellread.config import HEADS
    from wellread.data.examples import Examples
    from wellread.learn.objectives import LOSSES

    assert task.head in HEADS
    assert {*task.columns, task.target} <= Examples.__dataclass_fields__.keys()
    assert task.target in task.columns
    assert task.loss in (*LOSSES, "cosine")
    assert task.takes_pairs in ("no", "yes", "either")
    assert task_named(task.name) is task
