"""A candidate stored, loaded again, scored on dev rows and timed: what it is judged by is what would be shipped."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellread.errors import TruncationWarning, VocabularyWarning
from wellread.measure.evaluate import exact, module_scores, predictions_for
from wellread.measure.predictions import intervals
from wellread.measure.quantise import quantise
from wellread.measure.size import shipped_bytes
from wellread.measure.speed import measure_speed, spread
from wellread.metrics.metrics import Interval
from wellread.metrics.similarity import unit
from wellread.module import Module, load
from wellread.shrinking.material import VECTORS, Material
from wellread.tasks.registry import task_named
from wellread.tasks.task import Scores

COSINE = "cosine"  # the score of vectors without pairs: the mean cosine to the teacher's
CALIBRATION = 512  # texts that int8 is calibrated on and held against, at most
FEWEST_TEXTS = 8  # that int8 is calibrated on; with fewer wellread takes its own
ANY_COSINE = 0.5  # to float32, that int8 must keep: the dev rows are the judge of what it costs
ROUNDS = 3  # of a speed


@dataclass(slots=True, kw_only=True)
class Judge:
    """Scores modules on what was held out."""

    material: Material
    teacher: Module
    speed_texts: int
    _vectors: NDArray[np.float64] | None = field(default=None)  # the teacher's, of the texts held out

    @property
    def task(self) -> str:
        """The task that dev rows are scored for."""
        return "similarity" if self.material.task == VECTORS else self.material.task

    @property
    def main(self) -> str:
        """The score that decides."""
        return COSINE if self.material.dev is None else task_named(self.task).main_score

    @property
    def examples(self) -> int:
        """How many rows, or texts, scores are taken over."""
        return len(self.material.held_out) if self.material.dev is None else len(self.material.dev)

    def functions(self, module: Module) -> Scores:
        """Score a module in float32: each score as a function of the numbers of the rows that it is taken over."""
        with warnings.catch_warnings():
            for category in (TruncationWarning, VocabularyWarning):
                warnings.simplefilter("ignore", category)  # of the same rows for every candidate
            if self.material.dev is not None:
                return module_scores(module, self.material.dev, task_named(self.task), positive=None, rules="squad")
            if self._vectors is None:
                self._vectors = self._unit_vectors(self.teacher)
            cosines = (self._vectors * self._unit_vectors(module)).sum(1)
        return {COSINE: lambda rows: float(cosines[rows].mean())}

    def scores(self, module: Module) -> dict[str, Interval]:
        """Score a module, with intervals at 95 %."""
        return intervals(self.functions(module), self.examples)

    def _unit_vectors(self, module: Module) -> NDArray[np.float64]:
        vectors = module.encode(self.material.held_out, precision=exact(module), show_progress_bar=False)
        return unit(vectors).astype(np.float64)

    def workload(self, module: Module) -> tuple[Callable[[], object], int]:
        """Return what a speed is measured by, and how many texts, or pairs, it handles."""
        if self.material.task == VECTORS or self.material.dev is None:
            texts = spread(self.material.sample, self.speed_texts)
            return lambda: module.encode(texts, show_progress_bar=False), len(texts)
        rows = self.material.dev.part(spread(range(len(self.material.dev)), self.speed_texts))
        task = task_named(self.task)
        return lambda: predictions_for(module, task, rows, show_progress_bar=False), len(rows)

    def speed(self, module: Module) -> float:
        """Return texts, or pairs, a second."""
        work, texts = self.workload(module)
        with warnings.catch_warnings():
            for category in (TruncationWarning, VocabularyWarning):
                warnings.simplefilter("ignore", category)
            return measure_speed({"": work}, texts=texts, rounds=ROUNDS)[""].rate


def store(module: Module, dtype: str, directory: Path, material: Material, *, seed: int = 0) -> Module:
    """Save a module as it would be shipped, unless it lies there already, and load it.

    Of int8 the rest is float16.
    """
    if not directory.exists():
        saved = module
        if dtype == "int8":
            texts = list(dict.fromkeys(text for text in material.transfer[0] if text.strip()))
            rng = np.random.default_rng(seed)
            texts = [texts[row] for row in sorted(rng.permutation(len(texts))[:CALIBRATION].tolist())]
            few = len(texts) < FEWEST_TEXTS
            int8 = quantise(module, None if few else texts, budget=ANY_COSINE, show_progress_bar=False)
            provenance = {**module.provenance, "quantise": int8.provenance["quantise"]}
            saved = replace(int8, provenance=provenance)
        saved.save(directory, dtype="float32" if dtype == "float32" else "float16")
    return load(directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A candidate as it was stored, and what that took."""

    scores: dict[str, Interval]
    size_bytes: int
    parameters: int
    speed: float  # texts a second
    seconds: float


def finish(module: Module, dtype: str, directory: Path, judge: Judge) -> Finished:
    """Store a module, score and time what was stored."""
    begin = time.monotonic()
    stored = store(module, dtype, directory, judge.material)
    return Finished(
        scores=judge.scores(stored),
        size_bytes=shipped_bytes(stored, directory),
        parameters=stored.checkpoint.num_parameters,
        speed=judge.speed(stored),
        seconds=time.monotonic() - begin,
    )


def discard(directory: Path) -> None:
    """Remove a directory, if it is there."""
    shutil.rmtree(directory, ignore_errors=True)
