"""What a search knows, in one JSON of its directory: the plan, what every candidate scored, which were stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wellread.errors import CheckpointError, TrainingError
from wellread.files import refuse_others
from wellread.schema import read_json, record, write_json
from wellread.shrinking.halving import Standing
from wellread.shrinking.shapes import Candidate

FORMAT = 1
STATE, LOCK = "shrink.json", "shrink.lock"
# what a search writes into its directory: files, and folders with a slash
OURS = (
    *(STATE, f".{STATE}", LOCK, "texts.jsonl", ".texts.jsonl.partial", "stdin.txt", "report.md", "report.json"),
    *("report.png", "report.svg", "report-speed.png", "report-speed.svg", "module/", "candidates/", "outputs/"),
    *("tokens/", "teacher/", "teacher-run/", "probe/"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is tried, in which rungs, and how long that is expected to take."""

    candidates: tuple[Candidate, ...]  # the largest first
    sizes: tuple[int, ...]  # how many train in each rung
    steps: tuple[int, ...]  # of a candidate in each rung, as planned
    step_seconds: Mapping[str, float]  # candidate -> predicted seconds of a step
    base_seconds: float  # until a base is the teacher; 0 for a teacher
    answering_seconds: float  # of the teacher on the texts
    concluding_seconds: float  # behind the last rung
    scoring_seconds: float  # of one candidate in one rung
    texts: int  # that are learnt from, of those given
    expected_seconds: float
    teacher_score: float | None = None  # None: of a base that is still to be fine-tuned


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a candidate came to in a rung."""

    candidate: str
    rung: int  # counted from 1
    steps: int  # it has trained for in all
    main: str  # the score that decides
    scores: Mapping[str, tuple[float, ...]]  # name -> value, low and high of the 95 % interval
    size_bytes: int  # of its directory
    parameters: int
    speed: float  # texts a second
    step_seconds: float  # of a step of its training, as measured

    @property
    def score(self) -> float:
        """The score that decides."""
        return self.scores[self.main][0]

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return Standing(name=self.candidate, score=self.score, size_bytes=self.size_bytes, speed=self.speed)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that a search goes on from."""

    identity: Mapping[str, Any]  # of inputs and settings
    plan: Plan | None = None
    steps: tuple[int, ...] = ()  # of a candidate in each rung that has begun
    results: tuple[Result, ...] = ()
    stopped: Mapping[str, str] = field(default_factory=dict)  # candidate -> why it does not train on
    seconds: float = 0.0  # that finished work took, in all processes
    format: int = FORMAT

    def result(self, candidate: str, rung: int) -> Result | None:
        """Return what a candidate came to in a rung, if it is through with it."""
        return next((each for each in self.results if (each.candidate, each.rung) == (candidate, rung)), None)

    def last(self, candidate: str) -> Result | None:
        """Return what a candidate came to at last."""
        return next((each for each in reversed(self.results) if each.candidate == candidate), None)

    def training_seconds(self, candidate: str) -> float:
        """Return how long a candidate has trained, in all its rungs."""
        steps, seconds = 0, 0.0
        for each in self.results:
            if each.candidate == candidate:
                seconds += (each.steps - steps) * each.step_seconds
                steps = each.steps
        return seconds

    @property
    def going(self) -> list[Candidate]:
        """The candidates that were not stopped."""
        return [each for each in self.plan.candidates if each.name not in self.stopped] if self.plan else []


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The state of a search on disk; each change of it is there whole or not at all."""

    directory: Path
    state: State

    def note(self, **changes: Any) -> None:
        """Change the state. Raises: TrainingError where the disk refuses."""
        self.state = replace(self.state, **changes)
        partial = self.directory / f".{STATE}"
        try:
            write_json(partial, asdict(self.state))
            partial.replace(self.directory / STATE)
        except OSError as error:
            raise TrainingError(
                f"{self.directory / STATE} was to be written; found that {error}; make room, then go on with "
                "resume=True (--resume)"
            ) from error


@contextmanager
def opened(directory: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Iterator[Ledger]:
    """Give the ledger of a directory that no other process uses: a new one, or with `resume` the one that is there.

    `overwrite` begins anew where another search lies.

    Raises: TrainingError for a directory in use, of another search, or without one to be resumed; CheckpointError for
        one that holds what no search wrote, or that cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise TrainingError(
            f"a search was to begin in {directory}; found that another process uses it; wait for it, or choose another "
            "directory"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{directory} was to be written; found that {error}; choose another place") from error
    try:
        yield _ledger(directory, identity, resume=resume, overwrite=overwrite)
    finally:
        lock.release()


def _ledger(directory: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Ledger:
    path = directory / STATE
    refuse_others(directory, OURS)
    if resume:
        if not path.is_file():
            raise TrainingError(
                f"a search in {directory} was to go on; found none; begin without resume=True (--resume), or name the "
                "directory of one"
            )
        state = record(State, read_json(path), source=path)
        _compare(directory, state.identity, identity)
        return Ledger(directory=directory, state=state)
    if path.is_file() and not overwrite:
        raise TrainingError(
            f"a new search was to begin in {directory}; found another; go on with resume=True (--resume), begin anew "
            "with overwrite=True (--overwrite), or choose another directory"
        )
    for name in OURS:
        if name.endswith("/"):
            shutil.rmtree(directory / name, ignore_errors=True)
        elif name != LOCK:
            (directory / name).unlink(missing_ok=True)
    ledger = Ledger(directory=directory, state=State(identity=identity))
    ledger.note()
    return ledger


def _compare(directory: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with other inputs. Raises: TrainingError that names everything that is not as it was."""
    changed = [
        f"{key} is {now.get(key)!r:.60} and was {then.get(key)!r:.60}"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    ]
    if changed:
        raise TrainingError(
            f"the search in {directory} was to go on with the same inputs; found that {'; '.join(changed)}; set them "
            "back, begin anew with overwrite=True (--overwrite), or choose another directory"
        )
