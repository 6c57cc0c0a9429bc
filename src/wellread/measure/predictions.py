"""Predictions scored against a labelled file, without any model: the scores of a task, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wellread.data.examples import Examples, column, table_of
from wellread.data.formats import ending_of
from wellread.data.tables import format_of, read_bytes, read_lines, read_rows
from wellread.errors import DataError
from wellread.metrics.metrics import Interval, interval
from wellread.schema import parse_object
from wellread.tasks.registry import task_named
from wellread.tasks.task import Scores, Scoring, needed


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """What the predictions of a task are worth."""

    task: str
    examples: int
    scores: dict[str, Interval]


def score_predictions(
    task: str, examples: Examples, predicted: Sequence[object], *, scoring: Scoring | None = None, seed: int = 0
) -> TaskScore:
    """Score N predictions, in the order of the examples, with intervals at 95 % over the examples.

    `classify` and `pair`: accuracy, macro F1, Matthews, and F1 of one label if asked for. `similarity`, `score` and
    `rank`: Spearman and Pearson. `multilabel`: F1, macro F1 and accuracy of sets. `tag`: F1, macro F1, precision and
    recall of entities. `answer`: exact match and F1.

    Raises: InputError for another task; DataError for examples without what it needs, or predictions that do not fit.
    """
    scores = scores_of(task, examples, predicted, scoring=scoring)
    return TaskScore(task=task, examples=len(examples), scores=intervals(scores, len(examples), seed=seed))


def scores_of(task: str, examples: Examples, predicted: Sequence[object], *, scoring: Scoring | None = None) -> Scores:
    """Return the scores of N predictions, each as a function of the numbers of the examples that it is taken over.

    Raises: as `score_predictions`.
    """
    row = task_named(task)
    if len(predicted) != len(examples):
        raise DataError(
            f"a prediction for each of the {len(examples)} examples of {examples.source} was asked; found "
            f"{len(predicted)}; predict each of them, in their order"
        )
    return row.score(examples, predicted, scoring or Scoring())


def intervals(scores: Scores, examples: int, *, seed: int = 0) -> dict[str, Interval]:
    """Return every score of N examples with its interval at 95 % over them."""
    return {name: interval(score, examples, seed=seed) for name, score in scores.items()}


def read_predictions(path: Path, task: str, examples: Examples, *, name: str = "prediction") -> list[object]:
    """Read predictions in the order of the examples.

    Answers are JSON as the scripts of SQuAD take it, from the id of a question to its answer; tags the last column of
    CoNLL. Other files hold one a line (.txt) or in the column `name`.

    Raises: DataError for a file that cannot be read, a wrong column, or questions without an answer.
    """
    if task_named(task).target == "answers" and ending_of(path) == ".json":
        return _by_id(path, examples)
    form = format_of(path)
    if form.kind == "txt":
        return list(read_lines(path))
    return column(table_of(read_rows(path, form), str(path)), form.roles.get("tags", name), role="prediction")


def _by_id(path: Path, examples: Examples) -> list[object]:
    try:
        answers: Mapping[str, object] = parse_object(read_bytes(path))
    except ValueError as error:
        raise DataError(f"answers by id were asked of {path}; it cannot be read: {error}; check the file") from None
    ids = [str(name) for name in needed(examples, "ids")]
    lacking = [name for name in ids if not isinstance(answers.get(name), str)]
    if lacking:
        raise DataError(
            f"a text for each of {len(ids)} questions of {examples.source} was asked of {path}; {len(lacking)} have "
            f"none: {', '.join(lacking[:5])}; answer with an empty text where there is no answer"
        )
    return [answers[name] for name in ids]
