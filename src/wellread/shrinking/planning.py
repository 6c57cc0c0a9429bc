"""The plan of a search: which shapes, in which rungs, for how many steps, in how much time."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wellread.errors import ConfigError, TruncationWarning, VocabularyWarning
from wellread.learn.distributed import device_name
from wellread.learn.init import with_head
from wellread.measure.size import shipped_bytes
from wellread.measure.speed import spread
from wellread.module import Module
from wellread.shrinking.halving import Costs, affordable_steps, rung_sizes, rung_steps, search_seconds
from wellread.shrinking.material import VECTORS, Material
from wellread.shrinking.scoring import Judge, discard, finish, store
from wellread.shrinking.settings import ShrinkConfig
from wellread.shrinking.shapes import Candidate, Grid, chosen, stored_bytes, within
from wellread.shrinking.stages import Stage, stages_of
from wellread.shrinking.state import Plan
from wellread.shrinking.students import Layout, Shape, fresh_student, takes_layers, untrained, vocabularies
from wellread.shrinking.training import Work, seconds_a_step, teacher_of, train, write_texts

PROBE_STEPS = 5  # by which the time of a step is measured
PROBE_TEXTS = 64  # from which the number of tokens of a text is taken, and the teacher's speed
TEACHING = 0.3  # of the budget: what the teacher's answers may take
CONCLUDING = 2  # scorings of a candidate: what comes behind the last rung takes about as long
FEWEST_STEPS = 3  # of a candidate in the first rung; with fewer there is nothing to compare
MOST_STEPS = 1_000_000  # of the last candidate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """What planning and running have in common."""

    material: Material
    config: ShrinkConfig
    directory: Path
    teacher: Module  # a base has a fresh head here, until it is fine-tuned
    sources: Mapping[str, Module]  # vocabulary -> the teacher with it
    judge: Judge = field(init=False)  # what candidates are scored by

    def __post_init__(self) -> None:
        """Make the judge, which computes the teacher's vectors once."""
        judge = Judge(material=self.material, teacher=self.teacher, speed_texts=self.config.speed_texts)
        object.__setattr__(self, "judge", judge)

    @classmethod
    def of(cls, material: Material, config: ShrinkConfig, directory: Path, teacher: Module | None = None) -> Setting:
        """Prepare the vocabularies; without `teacher`, a base gets a head that knows nothing yet."""
        if teacher is None:
            teacher = material.given
            if material.is_base and material.head is not None:
                length = min(config.max_seq_length, teacher.checkpoint.config.max_length)
                headed = with_head(teacher.checkpoint, material.head, max_seq_length=length, seed=config.seed)
                teacher = replace(teacher, checkpoint=headed)
        sources = vocabularies(teacher, config.vocabulary_names, material.all_texts)
        return cls(material=material, config=config, directory=directory, teacher=teacher, sources=sources)

    def stages(self, candidate: Candidate) -> list[Stage]:
        """Return the stages of a candidate."""
        taken = takes_layers(candidate.hidden_size, self.teacher.checkpoint.config)
        return stages_of(self.material.task, plain_texts=bool(self.material.texts), taken_layers=taken)

    def stage_names(self, candidates: Iterable[Candidate]) -> set[str]:
        """Name the stages that any of the candidates goes through."""
        return {stage.name for candidate in candidates for stage in self.stages(candidate)}

    def fresh(self, candidate: Candidate) -> Module:
        """Make a candidate before its training."""
        shape, vectors = candidate.shape(self.config.max_seq_length), self.material.task == VECTORS
        return fresh_student(shape, self.sources[candidate.vocabulary], vectors=vectors, seed=self.config.seed)

    def untrained(self, candidate: Candidate) -> Module:
        """Make a candidate as it will be after its training, but for the values of its weights."""
        shape, source = candidate.shape(self.config.max_seq_length), self.sources[candidate.vocabulary]
        return replace(untrained(shape, source, self.material.head), provenance=self.provenance(candidate, 0))

    def provenance(
        self, candidate: Candidate, steps: int, scores: Mapping[str, float] | None = None, *, seconds: float = 1234.5
    ) -> dict[str, Any]:
        """Say of a module how it was made, for its card; scores of nothing take as much room as those of something."""
        material, config = self.material, self.config
        rows = len(material.train) if material.train is not None else 0
        settings = {name: getattr(config, name) for name in config.__dataclass_fields__}
        return {
            "made_by": "wellread shrink",
            "task": material.task,
            **({"rows": rows} if rows else {}),
            "texts": len(material.transfer[0]),
            "steps": steps,
            "time": {"seconds": seconds, "device": device_name()},
            "stages": ", ".join(stage.name for stage in self.stages(candidate)),
            "candidate": candidate.name,
            "teacher": {"handle": material.given.provenance.get("handle", "(in memory)")},
            "scores": dict(scores) if scores else dict.fromkeys((self.judge.main, "of the teacher's"), 0.123456),
            "settings": settings,
        }


def make_plan(setting: Setting) -> Plan:
    """Choose the candidates within the bounds, time them, and divide the budget among the rungs.

    Raises: ConfigError for bounds that no shape keeps, or a budget that is too short.
    """
    probe = setting.directory / "probe"
    discard(probe)
    try:
        probe.mkdir(parents=True)
        with warnings.catch_warnings():
            for category in (TruncationWarning, VocabularyWarning):
                warnings.simplefilter("ignore", category)  # of a part of the rows: the search tells it of all
            config = setting.config
            fitting = within(_measured_grid(setting, probe).all(), config.bounds)
            teacher = setting.teacher.checkpoint.config
            candidates = chosen(fitting, config.candidates, teacher=teacher, all_sizes=bool(config.keep))
            return _scheduled(setting, candidates, probe)
    finally:
        discard(probe)


def _measured_grid(setting: Setting, probe: Path) -> Grid:
    """Measure what sizes and speeds are predicted from: a module of each vocabulary, and two speeds."""
    config, head = setting.config, setting.material.head
    sample = spread(setting.material.sample, PROBE_TEXTS)
    overhead = setting.teacher.tokenizer.template.overhead()
    lengths = setting.teacher.tokenize(sample).lengths + overhead
    grid = Grid(
        sources=setting.sources,
        head=head,
        config=config,
        tokens=float(np.minimum(lengths, config.max_seq_length).mean()),
    )
    smallest = grid.all()[-1]
    beside = {}
    for vocabulary, source in setting.sources.items():
        shape = Shape(
            num_hidden_layers=smallest.num_hidden_layers,
            hidden_size=smallest.hidden_size,
            max_seq_length=config.max_seq_length,
        )
        module = setting.untrained(replace(smallest, vocabulary=vocabulary))
        stored = store(module, "float16", probe / vocabulary, setting.material)
        tensors = stored_bytes(Layout.of(shape, source.checkpoint, head), "float16", source.checkpoint.family)
        beside[vocabulary] = shipped_bytes(stored, probe / vocabulary) - tensors
    grid = replace(grid, beside=beside)
    fitting = within(grid.all(), replace(config.bounds, min_speed=None))
    return replace(grid, speed=_speed_model(setting, fitting))


def _speed_model(setting: Setting, candidates: Sequence[Candidate]) -> tuple[float, float]:
    """Return the seconds of a text, and those of a multiply-add, from the speeds of the least and the most work."""
    ends = _ends(candidates)
    seconds = [1 / setting.judge.speed(setting.untrained(each)) for each in ends]
    return line_through([each.multiply_adds for each in ends], seconds)


def _ends(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates of the least and the most work."""
    ordered = sorted(candidates, key=lambda each: (each.multiply_adds, each.parameters))
    return [ordered[0], ordered[-1]]


def line_through(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Return offset and slope of the line through two points, neither below 0: through the origin, or flat.

    >>> line_through([1, 3], [5.0, 9.0]), line_through([1, 3], [2.0, 9.0]), line_through([2, 2], [3.0, 5.0])
    ((3.0, 2.0), (0.0, 3.0), (0.0, 2.5))
    """
    (x, right), (y, high) = xs, ys
    slope = (high - y) / (right - x) if right > x else max(y, high) / x
    offset = y - slope * x if right > x else 0.0
    if slope < 0:
        return max(y, high), 0.0
    return (offset, slope) if offset >= 0 else (0.0, high / right)


def _scheduled(setting: Setting, candidates: Sequence[Candidate], probe: Path) -> Plan:
    """Time the candidates and divide the budget."""
    config = setting.config
    dearest = _ends(candidates)
    timings = [_step_seconds(setting, each, probe) for each in {each.name: each for each in dearest}.values()]
    step = line_through([each.multiply_adds for each in dearest], [timings[0][0], timings[-1][0]])
    step_seconds = {each.name: step[0] + step[1] * each.multiply_adds for each in candidates}
    begin = time.monotonic()
    finish(setting.untrained(dearest[-1]), dearest[-1].dtype, probe / "finished", setting.judge)
    scoring = time.monotonic() - begin + min(overhead for _, overhead in timings)  # the first imports too
    texts, answer = _teaching(setting, candidates)
    sizes = rung_sizes(len(candidates), config.eta)
    by_cost = sorted(step_seconds.values(), reverse=True)
    rows = config.per_device_train_batch_size
    base = _base_seconds(setting, probe)
    concluding = CONCLUDING * scoring + answer * setting.judge.examples  # other types of weights; the teacher's score
    costs = Costs(
        fixed=base + concluding,
        answer=rows * answer,
        answers=texts * answer,
        of_scoring=scoring,
        of_steps=by_cost,
    )
    most = min(affordable_steps(config.budget_seconds, sizes, config.eta, costs), config.max_steps or MOST_STEPS)
    fewest = FEWEST_STEPS * sum(config.eta**rung for rung in range(len(sizes)))
    if most < (min(fewest, config.max_steps) if config.max_steps else fewest):
        needed = search_seconds(fewest, sizes, config.eta, costs)
        raise ConfigError(
            f"a search of {config.budget} was asked for (budget); found that {len(candidates)} candidates in "
            f"{len(sizes)} rungs take {needed / 60:,.1f} min with {FEWEST_STEPS} steps in the first; raise the budget, "
            "or try fewer candidates"
        )
    steps = rung_steps(most, len(sizes), config.eta)
    texts = min(texts, steps[-1] * rows)
    return Plan(
        candidates=tuple(candidates),
        sizes=tuple(sizes),
        steps=tuple(steps),
        step_seconds=step_seconds,
        base_seconds=base,
        concluding_seconds=concluding,
        answering_seconds=texts * answer,
        scoring_seconds=scoring,
        texts=texts,
        expected_seconds=search_seconds(most, sizes, config.eta, costs),
    )


def _step_seconds(setting: Setting, candidate: Candidate, probe: Path) -> tuple[float, float]:
    """Train a candidate for a few steps: the seconds of a step, the mean of its stages, and those of all else."""
    rows = PROBE_STEPS * setting.config.per_device_train_batch_size
    part = probe_material(setting.material, rows)
    module, shares, seconds, beside = setting.fresh(candidate), [], [], 0.0
    write_texts(part.all_texts, probe / "texts.jsonl")
    for stage in setting.stages(candidate):
        directory = probe / candidate.name / stage.name
        work = Work(
            material=part,
            config=setting.config,
            teacher=setting.teacher,
            source=setting.sources[candidate.vocabulary],
            student=module,
            steps=PROBE_STEPS,
            seed=setting.config.seed,
            texts=probe / "texts.jsonl",
            directory=directory,
        )
        begin = time.monotonic()
        module = train(stage.name, work, shared=probe)
        shares.append(stage.share)
        seconds.append(seconds_a_step(directory))
        beside += max(0.0, time.monotonic() - begin - PROBE_STEPS * seconds[-1])
    return float(np.average(seconds, weights=shares)), beside


def probe_material(material: Material, rows: int) -> Material:
    """Return a part of what is learnt from."""
    train = None if material.train is None else material.train.part(spread(range(len(material.train)), rows))
    return replace(material, train=train, texts=spread(material.texts, rows))


def _teaching(setting: Setting, candidates: Sequence[Candidate]) -> tuple[int, float]:
    """Return how many texts the teacher can answer in its share of the budget, and the seconds of each."""
    texts, _ = setting.material.transfer
    if not setting.stage_names(candidates) & {"labels", "vectors", "relations"}:
        return len(texts), 0.0
    sample = spread(texts, PROBE_TEXTS)
    setting.teacher.encode(sample[:1], show_progress_bar=False)  # prepares the backend
    begin = time.monotonic()
    setting.teacher.encode(sample, show_progress_bar=False)
    seconds = (time.monotonic() - begin) / len(sample)
    allowed = max(1, int(TEACHING * setting.config.budget_seconds / max(seconds, 1e-9)))
    return min(len(texts), allowed), seconds


def _base_seconds(setting: Setting, probe: Path) -> float:
    """Return the seconds that it takes to make a teacher of a base; 0 for a teacher."""
    rows = setting.material.train
    if not setting.material.is_base or rows is None:
        return 0.0
    part = rows.part(spread(range(len(rows)), PROBE_STEPS * setting.config.per_device_train_batch_size))
    once = replace(setting.config, teacher_epochs=1)
    teacher_of(setting.material, part, once, probe / "base")
    steps = math.ceil(len(rows) / setting.config.per_device_train_batch_size) * setting.config.teacher_epochs
    return steps * seconds_a_step(probe / "base")


def steps_left(
    plan: Plan, config: ShrinkConfig, *, rung: int, names: Sequence[str], seconds: float, measured: Mapping[str, float]
) -> int:
    """Return the steps of a candidate in a rung (from 0), by the time that is left and by what steps took so far."""
    sizes = [len(names), *plan.sizes[rung + 1 :]]
    costs = Costs(
        of_scoring=plan.scoring_seconds,
        of_steps=sorted((measured.get(name, plan.step_seconds[name]) for name in names), reverse=True),
        fixed=plan.concluding_seconds + (0.0 if rung else plan.answering_seconds),
    )
    left = affordable_steps(config.budget_seconds - seconds, sizes, config.eta, costs)
    allowed = rung_steps(left, len(sizes), config.eta)[0] if left else 1
    return max(1, min(allowed, plan.steps[rung]) if config.max_steps else allowed)
