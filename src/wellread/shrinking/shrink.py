"""Shrink: find the small module that keeps what is asked of it, by training several and stopping those that lose."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wellread.data.examples import Given
from wellread.errors import InputError, TrainingError
from wellread.module import Module, load
from wellread.shrinking import tables
from wellread.shrinking.halving import going_on
from wellread.shrinking.material import Material, take_material
from wellread.shrinking.outcome import Outcome, Row, conclude
from wellread.shrinking.planning import Setting, make_plan, steps_left
from wellread.shrinking.reporting import report_of, write_outcome
from wellread.shrinking.scoring import discard, finish
from wellread.shrinking.settings import ShrinkConfig, megabytes
from wellread.shrinking.shapes import Candidate
from wellread.shrinking.stages import divided
from wellread.shrinking.state import Ledger, Plan, Result, opened
from wellread.shrinking.training import Work, clear, seconds_a_step, teacher_of, train, write_texts

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shrunk:
    """What a search came to: the plan, and, unless it was a dry run, the module that was chosen and the table."""

    plan: Plan
    module: Module | None = None  # None: of a dry run
    rows: tuple[Row, ...] = ()  # every candidate, the smallest first
    directory: Path | None = None  # of the module, beside which the report lies

    def table(self) -> str:
        """Return the table: that of the plan for a dry run, else that of the report."""
        return tables.outcome_table(self.rows) if self.rows else tables.plan_table(self.plan)


def shrink(
    module: Module,
    *,
    task: str,
    output_dir: str | Path,
    train: Given | None = None,
    dev: Given | None = None,
    texts: Sequence[str] | Sequence[Path] = (),
    config: ShrinkConfig | None = None,
    dry_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> Shrunk:
    """Find a small student of `module` that keeps the bounds in `config`, and return it with all that was tried.

    `task` is `vectors`, for a sentence encoder, or `classify`, `pair` or `tag`, for a module that is fine-tuned for it,
    or a base without a head, which is fine-tuned first. `train` and `dev` are labelled rows as `finetune` takes them
    (for `vectors`, `dev` are pairs with scores); `texts` are plain ones, or paths of files. Without `dev` some rows, or
    texts, are held out, and no candidate is trained on them.

    Shapes that are predicted to keep the bounds are trained by successive halving (Jamieson and Talwalkar 2016, Li et
    al. 2018): each for a few steps, the best of `config.eta` from their weights on for as many times the steps. Each is
    scored as it would be stored. With `config.keep` the smallest that keeps that share of the teacher's score is taken,
    else the best score; of equal scores the smaller. `output_dir` gets the module in `module`, `report.md`,
    `report.json` and the plots, and all that a killed search goes on from with `resume`. `dry_run` stops at the plan.

    Raises: ConfigError for bounds that no shape keeps, with the smallest there is; TrainingError where no candidate
        kept the bounds, with the nearest, or for a directory in use or of another search; InputError, DataError.
    """
    if not hasattr(module, "checkpoint"):
        raise InputError(f"a module was to be shrunk; found {module!r:.60}; pass what wellread.load returns")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError("a search runs in one process; found several of torchrun; start it without")
    config, directory = config or ShrinkConfig(), Path(output_dir)
    material = take_material(module, task, config, train=train, dev=dev, texts=texts)
    settings = {f"settings.{name}": getattr(config, name) for name in config.__dataclass_fields__}
    identity = {**material.identity(), **settings}
    for note in material.notes:
        _say(note)
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="wellread.") as place:
            return Shrunk(plan=make_plan(Setting.of(material, config, Path(place))))
    with opened(directory, identity, resume=resume, overwrite=overwrite) as ledger:
        begin = time.monotonic()
        setting = Setting.of(material, config, directory)
        plan = ledger.state.plan or make_plan(setting)
        _say(tables.plan_table(plan))
        ledger.note(plan=plan, seconds=ledger.state.seconds + time.monotonic() - begin)
        search = Search(setting=_with_teacher(setting, ledger, plan), ledger=ledger, plan=plan)
        search.run()
        outcome = conclude(search.setting, ledger.state)
        judged = search.setting.judge.workload(search.setting.teacher)[1]
        write_outcome(outcome, plan, report_of(outcome, material, judged), directory)
        return _shrunk(outcome, plan, directory)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _shrunk(outcome: Outcome, plan: Plan, directory: Path) -> Shrunk:
    """Return what was chosen. Raises: TrainingError where nothing was."""
    if outcome.chosen is None:
        raise TrainingError(
            f"a module within the bounds was asked for; {outcome.failure} (the report is {directory / 'report.md'}); "
            "loosen a bound, raise the budget, or give more texts"
        )
    return Shrunk(plan=plan, module=load(directory / "module"), rows=outcome.rows, directory=directory / "module")


def _with_teacher(setting: Setting, ledger: Ledger, plan: Plan) -> Setting:
    """Fine-tune a base to be the teacher, unless it was; limit what the teacher answers to the plan's texts."""
    material: Material = replace(setting.material, limit=plan.texts)
    directory = setting.directory
    if not material.is_base or material.train is None:
        return replace(setting, material=material)
    if not (directory / "teacher").exists():
        _say("the teacher: fine-tuning the base")
        begin = time.monotonic()
        teacher = teacher_of(material, material.train, setting.config, directory / "teacher-run")
        teacher.save(directory / "teacher")
        ledger.note(seconds=ledger.state.seconds + time.monotonic() - begin)
    clear(directory / "teacher-run")
    return Setting.of(material, setting.config, directory, load(directory / "teacher", backend=setting.teacher.backend))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Search:
    """Successive halving over the candidates of a plan."""

    setting: Setting
    ledger: Ledger
    plan: Plan

    def run(self) -> None:
        """Run all rungs, or those that are left."""
        material = self.setting.material
        stages = self.setting.stage_names(self.plan.candidates)
        texts, pairs = material.transfer if "relations" in stages else (material.all_texts, None)
        write_texts([*texts, *(pairs or [])], self.setting.directory / "texts.jsonl")
        for rung in range(len(self.plan.sizes)):
            if not (names := self._names(rung)):
                return
            steps = self._steps(rung, names)
            if rung and steps < self.ledger.state.steps[rung - 1]:
                _say(
                    f"the time is up: rung {rung + 1} would have {steps:,} steps, fewer than the one before; "
                    "the search ends here"
                )
                return
            for number, name in enumerate(names, 1):
                if self.ledger.state.result(name, rung + 1) is None:
                    self._say_where(rung, number, names, steps)
                    self._train(self._candidate(name), rung, steps)
            self._stop(rung, names)

    def _names(self, rung: int) -> list[str]:
        """Name the candidates of a rung: those that are through with it too."""
        results = {each.candidate for each in self.ledger.state.results if each.rung == rung + 1}
        going = {each.name for each in self.ledger.state.going}
        return [each.name for each in self.plan.candidates if each.name in results | going]

    def _place(self, name: str, rung: int) -> Path:
        return self.setting.directory / "candidates" / name / f"rung-{rung + 1}"

    def _candidate(self, name: str) -> Candidate:
        return next(each for each in self.plan.candidates if each.name == name)

    def _steps(self, rung: int, names: Sequence[str]) -> int:
        """Return the steps of a rung: as they were noted, or by the time that is left."""
        state = self.ledger.state
        if rung < len(state.steps):
            return state.steps[rung]
        measured = {each.candidate: each.step_seconds for each in state.results}
        where = {"rung": rung, "names": names, "seconds": state.seconds, "measured": measured}
        steps = steps_left(self.plan, self.setting.config, **where)  # type: ignore[arg-type]
        self.ledger.note(steps=(*state.steps, steps))
        return steps

    def _say_where(self, rung: int, number: int, names: Sequence[str], steps: int) -> None:
        """Say what trains now, and how long all that is left is expected to take."""
        measured = {each.candidate: each.step_seconds for each in self.ledger.state.results}
        seconds = [measured.get(name, self.plan.step_seconds[name]) for name in names]
        left = sum(steps * each + self.plan.scoring_seconds for each in seconds[number - 1 :])
        later = zip(self.plan.sizes[rung + 1 :], self.plan.steps[rung + 1 :], strict=True)
        left += sum(size * (n * max(seconds) + self.plan.scoring_seconds) for size, n in later)
        _say(
            f"rung {rung + 1} of {len(self.plan.sizes)}, candidate {number} of {len(names)}: {names[number - 1]}, "
            f"{steps:,} steps; about {tables.span(left)} left"
        )

    def _train(self, candidate: Candidate, rung: int, steps: int) -> None:
        """Take a candidate through the stages of a rung, and note what it comes to."""
        begin = time.monotonic()
        setting, here = self.setting, self._place(candidate.name, rung)
        stages = setting.stages(candidate)
        start = self._place(candidate.name, rung - 1) / stages[0].name
        module = load(start, backend="torch") if rung else setting.fresh(candidate)
        before = self.ledger.state.last(candidate.name)
        total = steps + (before.steps if before else 0)
        step_seconds = []
        for stage, share in zip(stages, divided(steps, stages), strict=True):
            work = Work(
                material=setting.material,
                config=setting.config,
                teacher=setting.teacher,
                source=setting.sources[candidate.vocabulary],
                student=replace(module, provenance=setting.provenance(candidate, total)),
                steps=share,
                seed=setting.config.seed + rung,
                texts=setting.directory / "texts.jsonl",
                directory=here / f"{stage.name}-run",
            )
            if not (here / stage.name).exists():
                train(stage.name, work, shared=setting.directory).save(here / stage.name)
            clear(work.directory)
            step_seconds.append(share * seconds_a_step(work.directory))
            module = load(here / stage.name, backend="torch")
        module.provenance = setting.provenance(candidate, total)
        discard(here / "module")  # of a process that was killed while it scored
        finished = finish(module, candidate.dtype, here / "module", setting.judge)
        result = Result(
            candidate=candidate.name,
            rung=rung + 1,
            steps=total,
            main=setting.judge.main,
            scores={name: (each.value, each.low, each.high) for name, each in finished.scores.items()},
            size_bytes=finished.size_bytes,
            parameters=finished.parameters,
            speed=finished.speed,
            step_seconds=sum(step_seconds) / steps,
        )
        state = self.ledger.state
        self.ledger.note(results=(*state.results, result), seconds=state.seconds + time.monotonic() - begin)
        for stage in stages[1:]:
            discard(here / stage.name)
        discard(start)
        _say(f"  {result.main} {100 * result.score:.2f}, {megabytes(result.size_bytes)}, {result.speed:,.0f} texts/s")

    def _stop(self, rung: int, names: Sequence[str]) -> None:
        """Stop those that are out of the bounds, as measured, and those that others leave behind."""
        state, bounds = self.ledger.state, self.setting.config.bounds
        results = [each for each in state.results if each.rung == rung + 1 and each.candidate in names]
        stopped = dict(state.stopped)
        for each in results:
            if broken := bounds.broken(size_bytes=each.size_bytes, speed=each.speed):
                stopped.setdefault(each.candidate, f"out of bounds after rung {rung + 1}: {', '.join(broken)}")
        left = [each.standing for each in results if each.candidate not in stopped]
        if rung + 1 < len(self.plan.sizes):
            best = going_on(left, self.plan.sizes[rung + 1], enough=self._enough())
            for standing in left:
                if standing.name not in best:
                    stopped[standing.name] = f"behind after rung {rung + 1}"
        if stopped != state.stopped:
            self.ledger.note(stopped=stopped)
        for name in stopped:
            discard(self._place(name, rung) / self.setting.stages(self._candidate(name))[0].name)

    def _enough(self) -> float | None:
        """Return the score that does, if a share of the teacher's was asked for."""
        keep = self.setting.config.bounds.keep
        return None if keep is None else keep * self._teacher_score()

    def _teacher_score(self) -> float:
        plan = self.ledger.state.plan
        assert plan is not None
        score = plan.teacher_score
        if score is None:
            judge = self.setting.judge
            score = judge.scores(self.setting.teacher)[judge.main].value
            if score <= 0:
                raise TrainingError(
                    f"a share of the teacher's score was to be kept (keep); found a {judge.main} of {score:.4f}; take "
                    "a better teacher, train it for more epochs, or leave keep out"
                )
            self.ledger.note(plan=replace(plan, teacher_score=score))
        return score
