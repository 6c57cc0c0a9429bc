"""Who is compared in a report: modules, and the FastText baseline, each with its size, its scores and its work."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wellread.errors import InputError, TruncationWarning, nearest
from wellread.measure.bootstrap import Interval
from wellread.measure.evaluate import evaluate
from wellread.measure.examples import Examples
from wellread.measure.fasttext import FastText
from wellread.measure.labels import LabelMap
from wellread.measure.predictions import MAIN_SCORE, Scoring, score_predictions
from wellread.measure.speed import spread
from wellread.module import Module

FASTTEXT = "FastText"
FLOAT32 = 4  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What everyone is tried on."""

    task: str  # of MAIN_SCORE
    examples: Examples
    positive: str | None = None  # a label whose F1 is wanted too
    rules: str = "squad"  # by which answers are compared

    def __post_init__(self) -> None:
        """Refuse a task that has no score."""
        if self.task not in MAIN_SCORE:
            raise InputError(
                f"a report on the task {self.task!r} was asked for; there are {', '.join(MAIN_SCORE)}; name one of them"
                f"{nearest(self.task, MAIN_SCORE)}"
            )

    @property
    def main(self) -> str:
        """The name of the score that the task is judged by."""
        return MAIN_SCORE[self.task]

    @property
    def pairs(self) -> list[str] | None:
        """The second texts, where there are some."""
        return self.examples.pairs

    def part(self, count: int) -> Trial:
        """Return the same trial on at most `count` examples, evenly spread over all."""
        all_of = self.examples
        rows = spread(range(len(all_of)), count)
        columns = {name: getattr(all_of, name) for name in ("lines", "texts", "pairs", "spans")}
        taken = {name: column and [column[row] for row in rows] for name, column in columns.items()}
        return replace(self, examples=Examples(source=all_of.source, **taken))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """One of those that are compared."""

    name: str
    size_bytes: int
    parameters: int
    precision: str  # in which it works
    score: Callable[[Trial], Mapping[str, Interval]]
    work: Callable[[Trial], object]  # predicts every example once
    training_seconds: float | None = None  # of a baseline
    settings: Mapping[str, float] | None = None  # that a baseline was trained with


def short_names(handles: Sequence[str]) -> dict[str, str]:
    """Return every handle by the last part of it, or by as many as tell it from the others.

    >>> short_names(["out/a/student", "out/b/student", "skt/kobert-base-v1"])
    {'a/student': 'out/a/student', 'b/student': 'out/b/student', 'kobert-base-v1': 'skt/kobert-base-v1'}
    """
    parts = {handle: [part for part in _address(handle).split("/") if part] for handle in dict.fromkeys(handles)}
    found = {}
    for handle, own in parts.items():
        others = [other for key, other in parts.items() if key != handle]
        lengths = range(1, len(own) + 1)
        length = next((n for n in lengths if not any(other[-n:] == own[-n:] for other in others)), len(own))
        found["/".join(own[-length:]) or handle] = handle
    return found


def _address(handle: str) -> str:
    """Return a path in full, for it may be called `.`; any other handle as it is."""
    path = os.path.expanduser(handle)
    return Path(path).resolve().as_posix() if os.path.exists(path) else handle


def module_entrant(name: str, module: Module) -> Entrant:
    """Enter a module: its size is that of its tensors in float32, whatever they are stored in."""

    def score(trial: Trial) -> Mapping[str, Interval]:
        found = evaluate(module, trial.examples, task=trial.task, positive=trial.positive, rules=trial.rules)
        return found.scores

    def work(trial: Trial) -> None:
        with warnings.catch_warnings():  # `score` has told how many texts are cut
            warnings.simplefilter("ignore", TruncationWarning)
            _predict(module, trial)

    parameters = module.checkpoint.num_parameters
    return Entrant(
        name=name,
        size_bytes=FLOAT32 * parameters,
        parameters=parameters,
        precision=module.running().precision,
        score=score,
        work=work,
    )


def _predict(module: Module, trial: Trial) -> None:
    examples, head = trial.examples, module.checkpoint.head
    if trial.task == "similarity" and (head is None or head.task != "similarity"):
        for side in (examples.texts, trial.pairs or []):
            module.encode(side, show_progress_bar=False)
    else:
        module.predict(examples.texts, trial.pairs, tokens=examples.spans, show_progress_bar=False)


def fasttext_entrant(baseline: FastText) -> Entrant:
    """Enter the baseline: its size is that of its file, the words included."""

    def score(trial: Trial) -> Mapping[str, Interval]:
        examples, known = trial.examples, LabelMap(names=baseline.labels)
        known.ids(examples.labels or [], source=examples.source, lines=examples.lines)
        scoring = Scoring(labels=baseline.labels, positive=trial.positive)
        return score_predictions(trial.task, examples, work(trial), scoring=scoring).scores

    def work(trial: Trial) -> list[str]:
        return baseline.predict(trial.examples.texts, trial.pairs)

    return Entrant(
        name=FASTTEXT,
        size_bytes=baseline.size_bytes,
        parameters=baseline.parameters,
        precision="f32",
        score=score,
        work=work,
        training_seconds=baseline.seconds,
        settings=asdict(baseline.config),
    )
