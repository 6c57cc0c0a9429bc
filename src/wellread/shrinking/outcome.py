"""What a search came to: every candidate timed in turn, the one that is taken, the module and its card."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wellread.errors import TruncationWarning, VocabularyWarning
from wellread.measure.predictions import intervals
from wellread.measure.size import shipped_bytes
from wellread.measure.speed import Speed, measure_speed
from wellread.metrics.metrics import Interval, ratio
from wellread.module import Module, load
from wellread.shrinking.halving import Standing, ranked
from wellread.shrinking.planning import Setting
from wellread.shrinking.scoring import ROUNDS, Judge, store
from wellread.shrinking.settings import DTYPES, Bounds
from wellread.shrinking.shapes import Candidate, candidate_name
from wellread.shrinking.state import State
from wellread.tasks.task import Scores

TEACHER = "the teacher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of a candidate, or of the teacher."""

    name: str
    size_bytes: int  # of its directory
    parameters: int
    speed: float  # texts a second; pairs, of a task of pairs
    slowest: float
    fastest: float
    precision: str  # in which it was measured
    main: str
    score: float
    low: float  # of the 95 % interval
    high: float
    share: float | None  # of the teacher's score
    share_interval: Interval | None  # on the same draws of the rows; None: of one that was stopped
    speedup: float  # its speed over the teacher's
    steps: int  # 0: the teacher
    fate: str  # chosen, or where it was stopped and why


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A module that may be chosen."""

    name: str
    candidate: Candidate | None  # None: the teacher
    directory: Path
    module: Module
    scores: Mapping[str, Interval]
    functions: Scores | None  # the scores of any of the rows; None: of one that was stopped
    steps: int
    seconds: float  # that its training took
    fate: str  # why it does not train on


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All candidates, and the one that is taken, if there is one."""

    rows: tuple[Row, ...]  # the smallest first
    chosen: Row | None
    failure: str = ""  # why none is taken, and which is nearest


def conclude(setting: Setting, state: State) -> Outcome:
    """Time all candidates in turn, choose, and write the module that is taken."""
    entries = _entries(setting, state)
    judge = setting.judge
    teacher = _teacher(setting)
    speeds = _speeds(setting, entries)
    rows = [_row(each, judge, teacher, speeds) for each in entries]
    best, failure = choose(rows, setting.config.bounds)
    rows = [replace(row, fate="chosen") if best is not None and row.name == best.name else row for row in rows]
    rows.append(replace(_row(teacher, judge, teacher, speeds), fate=""))
    rows.sort(key=lambda row: (row.size_bytes, row.name))
    outcome = Outcome(rows=tuple(rows), chosen=best, failure=failure)
    if best is not None:
        _save(setting, next(each for each in entries if each.name == best.name), best)
    return outcome


def _teacher(setting: Setting) -> Entry:
    judge = setting.judge
    functions = judge.functions(setting.teacher)
    return Entry(
        name=TEACHER,
        candidate=None,
        directory=setting.directory / "teacher",
        module=setting.teacher,
        scores=intervals(functions, judge.examples),
        functions=functions,
        steps=0,
        seconds=0.0,
        fate="",
    )


def choose(rows: Sequence[Row], bounds: Bounds) -> tuple[Row | None, str]:
    """Return the row that is taken: of those within the bounds the best score, of equal ones the smaller.

    Where a share of the teacher's score is to be kept, the smallest that keeps it. If none is within the bounds, say
    why, and which row breaks the fewest.
    """
    by_name = {row.name: row for row in rows}
    faults = {
        row.name: bounds.broken(size_bytes=row.size_bytes, speed=row.speed, share=row.share or 0.0) for row in rows
    }
    standings = [
        Standing(name=row.name, score=row.score, size_bytes=row.size_bytes, speed=row.speed)
        for row in sorted(rows, key=lambda row: len(faults[row.name]))
    ]
    sound = [each for each in standings if not faults[each.name]]
    if sound:
        return by_name[ranked(sound, enough=None if bounds.keep is None else -1.0)[0].name], ""
    fewest = min(map(len, faults.values()), default=0)
    near = [each for each in standings if len(faults[each.name]) == fewest]
    nearest = ranked(near)[0].name
    return None, f"no candidate keeps what was asked; the nearest, {nearest}, has {', '.join(faults[nearest])}"


def _entries(setting: Setting, state: State) -> list[Entry]:
    """Return the last module of every candidate; those that no other left behind also as the less exact types."""
    entries, judge = [], setting.judge
    assert state.plan is not None
    for candidate in state.plan.candidates:
        result = state.last(candidate.name)
        if result is None:
            continue
        place = setting.directory / "candidates" / candidate.name / f"rung-{result.rung}"
        last = result.rung == len(state.plan.sizes)
        ended = "trained to the end" if last else f"the time was up after rung {result.rung}"
        scores = {name: Interval(value=v, low=low, high=high) for name, (v, low, high) in result.scores.items()}
        entry = Entry(
            name=candidate.name,
            candidate=candidate,
            directory=place / "module",
            module=load(place / "module"),
            scores=scores,
            functions=None,
            steps=result.steps,
            seconds=state.training_seconds(candidate.name),
            fate=state.stopped.get(candidate.name, ended),
        )
        if candidate.name in state.stopped:
            entries.append(entry)
            continue
        entries.append(replace(entry, functions=judge.functions(entry.module)))
        for dtype in _less_exact(candidate, setting.config.stored_as):
            stored = store(entry.module, dtype, place / f"module-{dtype}", setting.material)
            shape = (candidate.num_hidden_layers, candidate.hidden_size, candidate.vocabulary)
            other = replace(candidate, name=candidate_name(*shape, dtype), dtype=dtype)
            functions = judge.functions(stored)
            entries.append(
                replace(
                    entry,
                    name=other.name,
                    functions=functions,
                    candidate=other,
                    directory=place / f"module-{dtype}",
                    module=stored,
                    scores=intervals(functions, judge.examples),
                )
            )
    return entries


def _less_exact(candidate: Candidate, dtypes: Sequence[str]) -> list[str]:
    return [dtype for dtype in dtypes if DTYPES.index(dtype) > DTYPES.index(candidate.dtype)]


def _speeds(setting: Setting, entries: Sequence[Entry]) -> dict[str, Speed]:
    """Time all, and the teacher, in turn."""
    judge = setting.judge
    workloads = {each.name: judge.workload(each.module) for each in entries}
    workloads[TEACHER] = judge.workload(setting.teacher)
    texts = workloads[TEACHER][1]
    with warnings.catch_warnings():
        for category in (TruncationWarning, VocabularyWarning):
            warnings.simplefilter("ignore", category)
        return measure_speed({name: work for name, (work, _) in workloads.items()}, texts=texts, rounds=ROUNDS)


def _row(entry: Entry, judge: Judge, teacher: Entry, speeds: Mapping[str, Speed]) -> Row:
    score, whole, speed = entry.scores[judge.main], teacher.scores[judge.main].value, speeds[entry.name]
    interval = None
    if entry.functions is not None and teacher.functions is not None and whole > 0:
        interval = ratio(entry.functions[judge.main], teacher.functions[judge.main], judge.examples)
    there = entry.directory if entry.directory.exists() else None  # not of a teacher that came from elsewhere
    return Row(
        name=entry.name,
        size_bytes=shipped_bytes(entry.module, there),
        parameters=entry.module.checkpoint.num_parameters,
        speed=speed.rate,
        slowest=speed.slowest,
        fastest=speed.fastest,
        precision=entry.module.running().precision,
        main=judge.main,
        score=score.value,
        low=score.low,
        high=score.high,
        share=score.value / whole if whole > 0 else None,
        share_interval=interval,
        speedup=speed.rate / speeds[TEACHER].rate,
        steps=entry.steps,
        fate=entry.fate,
    )


def _save(setting: Setting, entry: Entry, row: Row) -> None:
    """Write the module that is taken, with its scores in its card."""
    scores = {name: round(each.value, 6) for name, each in entry.scores.items()}
    scores["of the teacher's"] = round(row.share or 0.0, 6)
    assert entry.candidate is not None
    plain = replace(entry.module.checkpoint, ignored={}, inferred={})  # it was read from a file of our own
    costs = {key: value for key, value in entry.module.provenance.items() if key == "quantise"}
    seconds = round(entry.seconds, 1)
    provenance = {**setting.provenance(entry.candidate, entry.steps, scores, seconds=seconds), **costs}
    module = replace(entry.module, checkpoint=plain, provenance=provenance)
    dtype = "float32" if entry.candidate.dtype == "float32" else "float16"
    module.save(setting.directory / "module", dtype=dtype, overwrite=True)
