"""Predictions scored against a labelled file, without any model: the scores of a task, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from wellread.data.examples import Examples, LabelMap, column, table_of
from wellread.data.formats import ending_of
from wellread.data.tables import format_of, read_bytes, read_lines, read_rows
from wellread.errors import DataError, nearest
from wellread.metrics.entities import count_entities
from wellread.metrics.metrics import (
    Interval,
    Outcomes,
    accuracy_of,
    f1_of_classes,
    interval,
    macro_f1_of,
    matthews_of,
    pearson,
    spearman,
)
from wellread.metrics.spans import score_spans
from wellread.schema import parse_object

# task -> the score that it is judged by
MAIN_SCORE = {"classify": "accuracy", "pair": "accuracy", "similarity": "spearman", "tag": "f1", "answer": "f1"}

Scored: TypeAlias = Callable[[NDArray[np.int64]], float]
Scores: TypeAlias = dict[str, Scored]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """What the predictions of a task are worth."""

    task: str
    examples: int
    scores: dict[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What the scores of a task depend on beside the examples."""

    labels: tuple[str, ...] = ()  # what may be predicted beside the labels that occur
    positive: str | None = None  # a label whose F1 is wanted too
    rules: str = "squad"  # by which answers are compared: squad or korquad


def score_predictions(
    task: str, examples: Examples, predicted: Sequence[object], *, scoring: Scoring | None = None, seed: int = 0
) -> TaskScore:
    """Score N predictions, in the order of the examples, with intervals at 95 % over the examples.

    `classify` and `pair`: accuracy, macro F1, Matthews, and F1 of one label if asked for. `similarity`: Spearman and
    Pearson. `tag`: F1, macro F1, precision and recall of entities. `answer`: exact match and F1.

    Raises: DataError for another task, examples without what it needs, or predictions that do not fit them.
    """
    if task not in TASKS:
        raise DataError(
            f"the task {task!r} was asked for; predictions are scored for {', '.join(TASKS)}; name one of them"
            f"{nearest(task, TASKS)}"
        )
    if len(predicted) != len(examples):
        raise DataError(
            f"a prediction for each of the {len(examples)} examples of {examples.source} was asked; found "
            f"{len(predicted)}; predict each of them, in their order"
        )
    found = TASKS[task](examples, predicted, scoring or Scoring())
    scores = {name: interval(score, len(examples), seed=seed) for name, score in found.items()}
    return TaskScore(task=task, examples=len(examples), scores=scores)


def needed(examples: Examples, what: str) -> list[object]:
    """Return a column of the examples. Raises: DataError where there is none."""
    found: list[object] | None = getattr(examples, what)
    if found is None:
        raise DataError(f"{what} were asked of {examples.source}; no column was named for them; name it, or its format")
    return found


def _classes(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    true = [str(label) for label in needed(examples, "labels")]
    said = [str(label).strip() for label in predicted]
    LabelMap.of({*true, *scoring.labels}).ids(said, source="the predictions")
    outcomes = Outcomes.of(true, said)
    scores: Scores = {"accuracy": accuracy_of, "macro_f1": macro_f1_of, "matthews": matthews_of}
    if scoring.positive is not None:
        known = LabelMap(names=tuple(map(str, outcomes.classes)))
        place = int(known.ids([scoring.positive], source="the positive label")[0])
        scores["f1"] = lambda confusion: float(f1_of_classes(confusion)[place])
    return {name: _counted(outcomes, score) for name, score in scores.items()}


def _counted(outcomes: Outcomes, score: Callable[[NDArray[np.int64]], float]) -> Scored:
    return lambda rows: score(outcomes.confusion(rows))


def _numbers(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    true = np.asarray(needed(examples, "scores"), np.float64)
    try:
        said = np.asarray([float(value) for value in predicted])  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"numbers were asked of the predictions; {error}; mend them, or name another column") from None
    if bad := int((~np.isfinite(said)).sum()):
        raise DataError(f"numbers were asked of the predictions; {bad} of {len(said)} are not finite; mend them")
    return {
        "spearman": lambda rows: spearman(true[rows], said[rows]),
        "pearson": lambda rows: pearson(true[rows], said[rows]),
    }


def _tags(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    rows = needed(examples, "tags")
    bare = sum(not isinstance(row, list) for row in predicted)
    if bare:
        raise DataError(f"lists of tags were asked of the predictions; {bare} of {len(predicted)} are none; mend them")
    true, said = ([list(map(str, row)) for row in each] for each in (rows, predicted))  # type: ignore[call-overload]
    found = count_entities(true, said)
    return {"f1": found.f1, "macro_f1": found.macro_f1, "precision": found.precision, "recall": found.recall}


def _spans(examples: Examples, predicted: Sequence[object], scoring: Scoring) -> Scores:
    right = [[answer.text for answer in row] for row in needed(examples, "answers")]  # type: ignore[attr-defined]
    found = score_spans([str(text) for text in predicted], right, rules=scoring.rules)
    return {
        "exact_match": lambda rows: float(found.exact[rows].mean()),
        "f1": lambda rows: float(found.f1[rows].mean()),
    }


NEEDS = {"classify": "labels", "pair": "labels", "similarity": "scores", "tag": "tags", "answer": "answers"}
TASKS: dict[str, Callable[[Examples, Sequence[object], Scoring], Scores]] = {
    "classify": _classes,
    "pair": _classes,
    "similarity": _numbers,
    "tag": _tags,
    "answer": _spans,
}


def read_predictions(path: Path, task: str, examples: Examples, *, name: str = "prediction") -> list[object]:
    """Read predictions in the order of the examples.

    `answer` takes JSON as the scripts of SQuAD do, from the id of a question to its answer; `tag` the last column of
    CoNLL. Other files hold one a line (.txt) or in the column `name`.

    Raises: DataError for a file that cannot be read, a wrong column, or questions without an answer.
    """
    if task == "answer" and ending_of(path) == ".json":
        return _by_id(path, examples)
    form = format_of(path)
    if form.kind == "txt":
        return list(read_lines(path))
    return column(table_of(read_rows(path, form), str(path)), form.roles.get("tags", name), role="prediction")


def _by_id(path: Path, examples: Examples) -> list[object]:
    try:
        found: Mapping[str, object] = parse_object(read_bytes(path))
    except ValueError as error:
        raise DataError(f"answers by id were asked of {path}; it cannot be read: {error}; check the file") from None
    ids = [str(name) for name in needed(examples, "ids")]
    lacking = [name for name in ids if not isinstance(found.get(name), str)]
    if lacking:
        raise DataError(
            f"a text for each of {len(ids)} questions of {examples.source} was asked of {path}; {len(lacking)} have "
            f"none: {', '.join(lacking[:5])}; answer with an empty text where there is no answer"
        )
    return [found[name] for name in ids]
