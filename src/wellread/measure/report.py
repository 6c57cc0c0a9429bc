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


def measure_speed(workloads: Mapping[str, Callable[[], object]], *, texts: int, rounds: int = 5) -> dict[str, Speed]:
    """Run each workload once, which does not count, then `rounds` times in turn; each handles as many texts.

    In turn, because what else the machine does then falls on all alike.

    Raises: InputError for no texts or no rounds.
    """
    if texts < 1 or rounds < 1:
        raise InputError(f"a speed takes at least 1 text and 1 round; found {texts} and {rounds}; give more")
    for run in workloads.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in workloads}
    for _ in range(rounds):
        for name, run in workloads.items():
            start = time.perf_counter()
            run()
            rates[name].append(texts / max(time.perf_counter() - start, 1e-9))
    return {
        name: Speed(rate=statistics.median(values), slowest=min(values), fastest=max(values))
        for name, values in rates.items()
    }


def spread(items: Sequence[T], count: int) -> list[T]:
    """Choose at most `count` items, evenly spread.

    >>> spread("abcdefghi", 3), spread("ab", 3)
    (['a', 'e', 'i'], ['a', 'b'])
    """
    if len(items) <= count:
        return list(items)
    return [items[round(index * (len(items) - 1) / max(count - 1, 1))] for index in range(count)]


FASTTEXT = "FastText"
FLOAT32 = 4  # bytes


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
    """One of the systems that are compared: a module, or the baseline."""

    name: str
    size_bytes: int
    parameters: int
    precision: str  # in which it works
    score: Callable[[EvalSet], Mapping[str, Interval]]
    predict: Callable[[EvalSet], object]  # every example once
    training_seconds: float | None = None  # of a baseline
    settings: Mapping[str, float] | None = None  # that a baseline was trained with


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


def module_system(name: str, module: Module) -> System:
    """Describe a module as a system: its size is that of its tensors in float32, whatever they are stored in."""

    def score(eval_set: EvalSet) -> Mapping[str, Interval]:
        return evaluate(
            module, eval_set.examples, task=eval_set.task, positive=eval_set.positive, rules=eval_set.rules
        ).scores

    def predict(eval_set: EvalSet) -> None:
        with warnings.catch_warnings():  # `score` has told how many texts are cut
            warnings.simplefilter("ignore", TruncationWarning)
            predictions_for(module, task_named(eval_set.task), eval_set.examples, show_progress_bar=False)

    parameters = module.checkpoint.num_parameters
    return System(
        name=name,
        size_bytes=FLOAT32 * parameters,
        parameters=parameters,
        precision=module.running().precision,
        score=score,
        predict=predict,
    )


def fasttext_system(baseline: FastText) -> System:
    """Describe the baseline as a system: its size is that of its file, the words included."""

    def score(eval_set: EvalSet) -> Mapping[str, Interval]:
        examples, label_map = eval_set.examples, LabelMap(names=baseline.labels)
        label_map.ids(examples.labels or [], source=examples.source, lines=examples.lines)
        scoring = Scoring(labels=baseline.labels, positive=eval_set.positive)
        return score_predictions(eval_set.task, examples, predict(eval_set), scoring=scoring).scores

    def predict(eval_set: EvalSet) -> list[str]:
        return baseline.predict(eval_set.examples.texts, eval_set.pairs)

    return System(
        name=FASTTEXT,
        size_bytes=baseline.size_bytes,
        parameters=baseline.parameters,
        precision="f32",
        score=score,
        predict=predict,
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
    """The figures of one module, or of the baseline."""

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
    eval_set: EvalSet,
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
    baseline = train_fasttext(train, task=eval_set.task, config=config.fasttext) if train else None
    systems = [module_system(name, module) for name, module in modules.items()]
    systems += [fasttext_system(baseline)] if baseline else []
    return Report(
        task=eval_set.task,
        main=eval_set.main,
        source=Path(eval_set.examples.source).name,
        examples=len(eval_set.examples),
        unit="pairs" if eval_set.pairs else "texts",
        speed_examples=min(config.speed_examples, len(eval_set.examples)),
        rounds=config.rounds,
        machine=machine,
        rows=measure_systems(systems, eval_set, config),
    )


def measure_systems(systems: Sequence[System], eval_set: EvalSet, config: ReportConfig) -> tuple[Row, ...]:
    """Score every system, then measure their speeds in turn; the smallest comes first."""
    scores = {system.name: system.score(eval_set) for system in systems}
    part = eval_set.part(config.speed_examples)
    workloads = {system.name: (lambda predict=system.predict: predict(part)) for system in systems}
    speeds = measure_speed(workloads, texts=len(part.examples), rounds=config.rounds)
    rows = (
        Row(
            name=system.name,
            size_bytes=system.size_bytes,
            parameters=system.parameters,
            precision=system.precision,
            scores=dict(scores[system.name]),
            speed=speeds[system.name],
            training_seconds=system.training_seconds,
            settings=system.settings,
        )
        for system in systems
    )
    return tuple(sorted(rows, key=lambda row: (row.size_bytes, row.name)))
