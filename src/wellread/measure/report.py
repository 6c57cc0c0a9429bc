"""A report: modules, and FastText beside them, on one labelled file: size, scores, texts a second."""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, TypeVar

from wellread.data.examples import Examples, LabelMap
from wellread.errors import ConfigError, InputError, TruncationWarning
from wellread.measure.evaluate import evaluate, predictions_for
from wellread.measure.fasttext import FastText, FastTextConfig, train_fasttext
from wellread.measure.predictions import score_predictions
from wellread.metrics.metrics import Interval
from wellread.module import Module
from wellread.tasks.registry import task_named
from wellread.tasks.task import Scoring

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Texts a second."""

    rate: float  # the median of the rounds
    slowest: float
    fastest: float


def measure_speed(work: Mapping[str, Callable[[], object]], *, texts: int, rounds: int = 5) -> dict[str, Speed]:
    """Do each work once, which does not count, then `rounds` times in turn; each handles the same number of texts.

    In turn, because what else the machine does then falls on all alike.

    Raises: InputError for no texts or no rounds.
    """
    if texts < 1 or rounds < 1:
        raise InputError(f"a speed takes at least 1 text and 1 round; found {texts} and {rounds}; give more")
    for do in work.values():
        do()
    laps = [{name: texts / _seconds(do) for name, do in work.items()} for _ in range(rounds)]
    return {name: _speed([lap[name] for lap in laps]) for name in work}


def spread(items: Sequence[T], count: int) -> list[T]:
    """Choose at most `count` items, evenly spread.

    >>> spread("abcdefghi", 3), spread("ab", 3)
    (['a', 'e', 'i'], ['a', 'b'])
    """
    if len(items) <= count:
        return list(items)
    return [items[round(place * (len(items) - 1) / max(count - 1, 1))] for place in range(count)]


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return max(time.perf_counter() - start, 1e-9)


def _speed(rates: Sequence[float]) -> Speed:
    return Speed(rate=statistics.median(rates), slowest=min(rates), fastest=max(rates))


FASTTEXT = "FastText"
FLOAT32 = 4  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What everyone is tried on."""

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

    def part(self, count: int) -> Trial:
        """Return the same trial on at most `count` examples, evenly spread over all."""
        return replace(self, examples=self.examples.part(spread(range(len(self.examples)), count)))


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
            predictions_for(module, task_named(trial.task), trial.examples, show_progress_bar=False)

    parameters = module.checkpoint.num_parameters
    return Entrant(
        name=name,
        size_bytes=FLOAT32 * parameters,
        parameters=parameters,
        precision=module.running().precision,
        score=score,
        work=work,
    )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """How the speed is measured, and how the baseline is trained."""

    speed_examples: Annotated[int, "at most; evenly spread over the file"] = 1_000
    rounds: Annotated[int, "in turn"] = 5
    fasttext: FastTextConfig = field(default_factory=FastTextConfig)

    def __post_init__(self) -> None:
        """Refuse numbers that measure nothing."""
        if self.speed_examples < 1 or self.rounds < 1:
            raise ConfigError(
                f"a speed was to be measured on {self.speed_examples} examples in {self.rounds} rounds; it takes at "
                "least 1 of each; give more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was found of one module, or of the baseline."""

    name: str
    size_bytes: int  # of its weights in float32; of FastText the whole file
    parameters: int
    precision: str  # in which the speed was measured
    scores: Mapping[str, Interval]
    speed: Speed  # examples a second
    training_seconds: float | None  # of a baseline; None for a module
    settings: Mapping[str, float] | None  # that a baseline was trained with

    @property
    def megabytes(self) -> float:
        """The size in units of 1,000,000 bytes."""
        return self.size_bytes / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All rows, smallest first, and what they were measured on."""

    task: str
    main: str  # the score that the task is judged by
    source: str  # the file's name
    examples: int
    unit: str  # what the speed counts: texts or pairs
    speed_examples: int
    rounds: int
    machine: str  # where the speed was measured, in words
    rows: tuple[Row, ...]


def make_report(
    modules: Mapping[str, Module],
    trial: Trial,
    *,
    train: Examples | None = None,
    config: ReportConfig | None = None,
    machine: str = "",
) -> Report:
    """Score every module, by its name, on the examples of a task; then measure their speeds in turn.

    `train` are the examples that a FastText baseline is trained on; without them there is none.

    Raises: InputError for no modules, a module of the baseline's name, or a baseline that the task cannot have; what
    `evaluate` and `train_fasttext` raise.
    """
    config = config or ReportConfig()
    if not modules or (train and FASTTEXT in modules):
        raise InputError(
            f"a report takes one module or more, none of them called {FASTTEXT} beside the baseline; found "
            f"{', '.join(modules) or 'none'}; name a module, or call it otherwise"
        )
    baseline = train_fasttext(train, task=trial.task, config=config.fasttext) if train else None
    entrants = [module_entrant(name, module) for name, module in modules.items()]
    entrants += [fasttext_entrant(baseline)] if baseline else []
    return Report(
        task=trial.task,
        main=trial.main,
        source=Path(trial.examples.source).name,
        examples=len(trial.examples),
        unit="pairs" if trial.pairs else "texts",
        speed_examples=min(config.speed_examples, len(trial.examples)),
        rounds=config.rounds,
        machine=machine,
        rows=_rows(entrants, trial, config),
    )


def _rows(entrants: list[Entrant], trial: Trial, config: ReportConfig) -> tuple[Row, ...]:
    """Score everyone, then let everyone work in turn."""
    scores = {one.name: one.score(trial) for one in entrants}
    some = trial.part(config.speed_examples)
    work = {one.name: (lambda work=one.work: work(some)) for one in entrants}
    speeds = measure_speed(work, texts=len(some.examples), rounds=config.rounds)
    rows = (_row(one, scores[one.name], speeds[one.name]) for one in entrants)
    return tuple(sorted(rows, key=lambda row: (row.size_bytes, row.name)))


def _row(one: Entrant, scores: Mapping[str, Interval], speed: Speed) -> Row:
    return Row(
        name=one.name,
        size_bytes=one.size_bytes,
        parameters=one.parameters,
        precision=one.precision,
        scores=dict(scores),
        speed=speed,
        training_seconds=one.training_seconds,
        settings=one.settings,
    )
