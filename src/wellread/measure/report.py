"""A report: modules, and FastText beside them, on one labelled file: size, scores, texts a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from wellread.errors import ConfigError, InputError
from wellread.measure.bootstrap import Interval
from wellread.measure.entrants import FASTTEXT, Entrant, Trial, fasttext_entrant, module_entrant
from wellread.measure.examples import Examples
from wellread.measure.fasttext import FastTextConfig, train_fasttext
from wellread.measure.speed import Speed, measure_speed
from wellread.module import Module


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
