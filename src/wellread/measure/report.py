"""A report: modules, and FastText beside them, on one labelled file: size, scores, texts a second, who is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from wellread.data.examples import Examples
from wellread.errors import ConfigError, InputError, nearest
from wellread.measure.cited import Cited
from wellread.measure.fasttext import (
    FastTextConfig,
    Tuned,
    quantise_fasttext,
    train_fasttext,
    tune_fasttext,
    tune_quantised,
)
from wellread.measure.predictions import intervals
from wellread.measure.speed import Speed, measure_speed
from wellread.measure.systems import FASTTEXT, EvalSet, System, fasttext_system
from wellread.metrics.metrics import Interval, Score, difference, ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """How the speed is measured, and how the baseline is trained."""

    speed_examples: Annotated[int, "at most; evenly spread over the file"] = 1_000
    rounds: Annotated[int, "in turn"] = 5
    tune: Annotated[bool, "choose FastText's settings from a grid on held-out training rows; else those given"] = True
    quantised_megabytes: Annotated[float, "also FastText's quantised form, of about this size; 0: without"] = 2.0
    fasttext: FastTextConfig = field(default_factory=FastTextConfig)

    def __post_init__(self) -> None:
        """Refuse numbers that measure nothing."""
        if self.speed_examples < 1 or self.rounds < 1:
            raise ConfigError(
                f"a speed was to be measured on {self.speed_examples} examples in {self.rounds} rounds; it takes at "
                "least 1 of each; give more"
            )
        if not 0 <= self.quantised_megabytes < 1_000:
            raise ConfigError(
                f"a quantised FastText of {self.quantised_megabytes} MB was asked for; it has 0 (none) to 1,000; "
                "give such a number"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of one module, or of a baseline."""

    name: str
    size_bytes: int  # of all files that it needs, as it ships
    parameters: int
    precision: str  # in which the speed was measured
    scores: Mapping[str, Interval]
    speed: Speed  # examples a second
    share: Interval | None = None  # of the teacher's main score
    speedup: float | None = None  # its speed over the teacher's
    training_seconds: float | None = None  # of a baseline; None for a module
    settings: Mapping[str, float] | None = None  # that a baseline was trained with
    tuned: Tuned | None = None  # how these settings were chosen

    @property
    def megabytes(self) -> float:
        """The size in units of 1,000,000 bytes."""
        return self.size_bytes / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two rows on the same examples."""

    first: str
    second: str
    difference: Interval  # of the main score, the first's less the second's
    parts: bool  # whether the interval leaves 0 out


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
    teacher: str | None = None  # the row that `share` and `speedup` are of
    pairs: tuple[Pair, ...] = ()
    cited: tuple[Cited, ...] = ()  # figures that were measured elsewhere


def make_report(
    systems: Sequence[System],
    eval_set: EvalSet,
    *,
    config: ReportConfig | None = None,
    teacher: str | None = None,
    compare: Sequence[tuple[str, str]] = (),
    machine: str = "",
) -> Report:
    """Score every system on the examples of a task, compare them on the same rows, then measure their speeds in turn.

    `teacher` names the system that the others are a share of. `compare` names pairs to be compared; without any, these
    are the neighbours by size.

    Raises: InputError for no systems, two of one name, or a teacher or pair that is none of them; what `evaluate`
    raises.
    """
    config = config or ReportConfig()
    names = [system.name for system in systems]
    if not names or len({*names}) < len(names):
        raise InputError(
            f"a report takes one system or more, each with a name of its own; found {', '.join(names) or 'none'}; "
            "name a module, or call it otherwise"
        )
    asked = [*([teacher] if teacher else []), *(name for pair in compare for name in pair)]
    for name in asked:
        if name not in names:
            raise InputError(
                f"{name} was asked for as a teacher or to be compared; the report has {', '.join(names)}"
                f"{nearest(name, names)}; name one of these"
            )
    systems = sorted(systems, key=lambda system: (system.size_bytes, system.name))
    scores = {system.name: system.score(eval_set) for system in systems}
    main = {name: scores[name][eval_set.main] for name in scores}
    count = len(eval_set.examples)
    return Report(
        task=eval_set.task,
        main=eval_set.main,
        source=Path(eval_set.examples.source).name,
        examples=count,
        unit="pairs" if eval_set.pairs else "texts",
        speed_examples=min(config.speed_examples, count),
        rounds=config.rounds,
        machine=machine,
        rows=_rows(systems, eval_set, config, scores, teacher),
        teacher=teacher,
        pairs=tuple(_pair(first, second, main, count) for first, second in compare or pairwise(main)),
    )


def baselines(train: Examples, task: str, config: ReportConfig) -> list[System]:
    """Train FastText on labelled examples, with the best settings of a grid, and quantise it.

    Raises: as `train_fasttext`.
    """
    size = config.quantised_megabytes
    tuned = tune_fasttext(train, task=task, config=config.fasttext) if config.tune else None
    if tuned and size:
        tuned = tune_quantised(train, tuned, task=task, megabytes=size)
    full = train_fasttext(train, task=task, config=tuned.config if tuned else config.fasttext)
    systems = [fasttext_system(full, tuned=tuned)]
    if size:
        small = quantise_fasttext(full, train, megabytes=size, retrain=tuned.retrain if tuned else True)
        systems.append(fasttext_system(small, f"{FASTTEXT} {size:g} MB"))
    return systems


def _rows(
    systems: Sequence[System],
    eval_set: EvalSet,
    config: ReportConfig,
    scores: Mapping[str, Mapping[str, Any]],
    teacher: str | None,
) -> tuple[Row, ...]:
    """Give every score its interval, and measure the speeds in turn."""
    count = len(eval_set.examples)
    shares = {
        name: ratio(scores[name][eval_set.main], scores[teacher][eval_set.main], count) for name in scores if teacher
    }
    part = eval_set.part(config.speed_examples)
    workloads = {system.name: (lambda predict=system.predict: predict(part)) for system in systems}
    speeds = measure_speed(workloads, texts=len(part.examples), rounds=config.rounds)
    return tuple(
        Row(
            name=system.name,
            size_bytes=system.size_bytes,
            parameters=system.parameters,
            precision=system.precision,
            scores=intervals(dict(scores[system.name]), count),
            speed=speeds[system.name],
            share=shares.get(system.name),
            speedup=speeds[system.name].rate / speeds[teacher].rate if teacher else None,
            training_seconds=system.training_seconds,
            settings=system.settings,
            tuned=system.tuned,
        )
        for system in systems
    )


def _pair(first: str, second: str, scores: Mapping[str, Score], examples: int) -> Pair:
    found = difference(scores[first], scores[second], examples)
    return Pair(first=first, second=second, difference=found, parts=not found.low <= 0 <= found.high)
