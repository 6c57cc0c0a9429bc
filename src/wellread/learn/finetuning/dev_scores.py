"""Scores on development examples while a run goes on, and the best weights among them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from wellread.errors import CheckpointError, TrainingError
from wellread.hub.atomic import whole_directory
from wellread.measure.evaluate import evaluate
from wellread.measure.examples import Examples
from wellread.module import Module
from wellread.weights.checkpoint import Array
from wellread.weights.keys import read_json, write_json
from wellread.weights.safetensors import read_safetensors, write_safetensors

WEIGHTS, SCORES = "model.safetensors", "scores.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Best:
    """The best weights of a run so far: a directory in `output_dir`, which outlives the process."""

    output_dir: Path
    deciding: str

    def scores(self) -> dict[str, float]:
        """Return the scores of the best weights; empty if there are none yet."""
        found = [{name: float(value) for name, value in read_json(path / SCORES).items()} for path in self._places()]
        return max(found, key=lambda scores: scores[self.deciding], default={})

    def weights(self) -> dict[str, Array]:
        """Read the best weights."""
        wanted = self.scores()
        place = next(path for path in self._places() if read_json(path / SCORES) == wanted)
        return {name: tensor.read() for name, tensor in read_safetensors(place / WEIGHTS).items()}

    def offer(self, arrays: Mapping[str, Array], scores: Mapping[str, float]) -> None:
        """Keep weights if they are better than the best so far. Raises: TrainingError where the disk refuses."""
        before = self.scores()
        if before and scores[self.deciding] <= before[self.deciding]:
            return
        old = self._places()
        number = 1 + max((int(path.name.removeprefix("best-")) for path in old), default=0)
        directory = self.output_dir / f"best-{number}"
        try:
            with whole_directory(directory) as place:
                write_safetensors(place / WEIGHTS, arrays)
                write_json(place / SCORES, dict(scores))
        except CheckpointError as error:
            raise TrainingError(f"the best weights so far were to be kept; {error}") from error
        for path in old:
            shutil.rmtree(path)

    def forget(self) -> None:
        """Remove what an earlier run has left."""
        for path in self._places():
            shutil.rmtree(path)

    def _places(self) -> list[Path]:
        return sorted(self.output_dir.glob("best-*"))


@dataclass(slots=True, kw_only=True, eq=False)
class DevScores:
    """What the loop calls: score the module as it stands."""

    current: Callable[[], Module]
    task: str
    examples: Examples
    rules: str
    best: Best | None = None  # none: the last weights are taken
    last: dict[str, float] = field(default_factory=dict)

    def __call__(self) -> dict[str, float]:
        """Score the module in float32, and keep its weights if they are the best."""
        module = self.current()
        if torch.cuda.is_available():
            module.backend = "torch"
        found = evaluate(module, self.examples, task=self.task, rules=self.rules)
        self.last = {name: interval.value for name, interval in found.scores.items()}
        if self.best is not None:
            self.best.offer(module.checkpoint.arrays(), self.last)
        return self.last
