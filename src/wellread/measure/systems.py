"""The systems that a report compares, in one shape: what they weigh, score and predict."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wellread.data.examples import Examples, LabelMap
from wellread.errors import TruncationWarning
from wellread.measure.evaluate import module_scores, predictions_for, task_of
from wellread.measure.fasttext import FastText, Tuned
from wellread.measure.predictions import scores_of
from wellread.measure.size import shipped_bytes
from wellread.measure.speed import spread
from wellread.module import Module
from wellread.tasks.registry import task_named
from wellread.tasks.task import Scores, Scoring

FASTTEXT = "FastText"  # the name of the baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSet:
    """The labelled examples that all systems are scored on."""

    task: str  # of tasks.registry
    examples: Examples
    positive: str | None = None  # a label whose F1 is wanted too
    rules: str = "squad"  # by which answers are compared

    def __post_init__(self) -> None:
        """Refuse a task that there is not."""
        task_named(self.task)

    @property
    def main(self) -> str:
        """The name of the score that the task is judged by."""
        return task_named(self.task).main_score

    @property
    def pairs(self) -> list[str] | None:
        """The second texts, where there are some."""
        return self.examples.pairs

    def part(self, count: int) -> EvalSet:
        """Return the same set with at most `count` examples, evenly spread over all."""
        return replace(self, examples=self.examples.part(spread(range(len(self.examples)), count)))


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One of the systems that are compared: a module, or a baseline."""

    name: str
    size_bytes: int  # as it ships
    parameters: int
    precision: str  # in which it works
    score: Callable[[EvalSet], Scores]
    predict: Callable[[EvalSet], object]  # every example once
    training_seconds: float | None = None  # of a baseline
    settings: Mapping[str, float] | None = None  # that a baseline was trained with
    tuned: Tuned | None = None  # how these settings were chosen


def short_names(handles: Sequence[str]) -> dict[str, str]:
    """Return every handle by the last part of it, or by as many as tell it from the others.

    >>> short_names(["out/a/student", "out/b/student", "skt/kobert-base-v1"])
    {'a/student': 'out/a/student', 'b/student': 'out/b/student', 'kobert-base-v1': 'skt/kobert-base-v1'}
    """
    parts: dict[str, list[str]] = {}
    for handle in dict.fromkeys(handles):
        path = os.path.expanduser(handle)
        address = Path(path).resolve().as_posix() if os.path.exists(path) else handle  # a path may be called `.`
        parts[handle] = [part for part in address.split("/") if part]
    names = {}
    for handle, words in parts.items():
        others = [other for key, other in parts.items() if key != handle]
        lengths = range(1, len(words) + 1)
        length = next((n for n in lengths if not any(other[-n:] == words[-n:] for other in others)), len(words))
        names["/".join(words[-length:]) or handle] = handle
    return names


def module_system(name: str, module: Module, directory: Path | None = None) -> System:
    """Describe a module as a system: its size is that of its files in `directory`, or of those that `save` writes."""

    def score(eval_set: EvalSet) -> Scores:
        task = task_of(module, eval_set.task)
        return module_scores(module, eval_set.examples, task, positive=eval_set.positive, rules=eval_set.rules)

    def predict(eval_set: EvalSet) -> None:
        with warnings.catch_warnings():  # `score` has told how many texts are cut
            warnings.simplefilter("ignore", TruncationWarning)
            predictions_for(module, task_named(eval_set.task), eval_set.examples, show_progress_bar=False)

    return System(
        name=name,
        size_bytes=shipped_bytes(module, directory),
        parameters=module.checkpoint.num_parameters,
        precision=module.running().precision,
        score=score,
        predict=predict,
    )


def fasttext_system(baseline: FastText, name: str = FASTTEXT, tuned: Tuned | None = None) -> System:
    """Describe a baseline as a system, with how it was tuned: its size is that of its file, the words included."""

    def score(eval_set: EvalSet) -> Scores:
        examples, label_map = eval_set.examples, LabelMap(names=baseline.labels)
        label_map.ids(examples.labels or [], source=examples.source, lines=examples.lines)
        scoring = Scoring(labels=baseline.labels, positive=eval_set.positive)
        return scores_of(eval_set.task, examples, predict(eval_set), scoring=scoring)

    def predict(eval_set: EvalSet) -> list[str]:
        return baseline.predict(eval_set.examples.texts, eval_set.pairs)

    return System(
        name=name,
        size_bytes=baseline.size_bytes,
        parameters=baseline.parameters,
        precision=baseline.precision,
        score=score,
        predict=predict,
        training_seconds=baseline.seconds,
        settings=asdict(baseline.config),
        tuned=tuned,
    )
