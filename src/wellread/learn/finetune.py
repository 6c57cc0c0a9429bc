"""Fine-tune a module for a task on labelled examples.

The five tasks and their heads are those of Devlin et al. 2018, section 4, and of Reimers and Gurevych 2019
(arXiv:1908.10084) for sentence vectors.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Array, Checkpoint, in_memory
from wellread.data.examples import Examples, Given
from wellread.encode import warn_unreadable
from wellread.errors import (
    CheckpointError,
    ConfigError,
    TrainingError,
    TrainingWarning,
    TruncationWarning,
    VocabularyWarning,
)
from wellread.files import whole_directory
from wellread.formats.safetensors import read_safetensors, write_safetensors
from wellread.learn.distributed import Process, joined
from wellread.learn.init import is_continued, with_head
from wellread.learn.log import follow
from wellread.learn.loop import train
from wellread.learn.objectives import build_task
from wellread.learn.settings import FinetuneConfig
from wellread.learn.training_examples import dev_examples, head_for, training_examples
from wellread.measure.evaluate import evaluate, exact, predictions_for
from wellread.measure.report import spread
from wellread.module import Module
from wellread.schema import read_json, write_json
from wellread.tasks.registry import task_named

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


DEFAULT = FinetuneConfig()


def finetune(
    module: Module,
    examples: Given,
    *,
    task: str,
    output_dir: str | Path,
    config: FinetuneConfig = DEFAULT,
    dev: Given | None = None,
    labels: Sequence[str] = (),
    resume_from_checkpoint: bool | str | Path | None = None,
) -> Module:
    """Train `module` with a head for `task` on `examples`, and return it; `module` itself stays as it is.

    `task` is classify, pair, similarity, tag or answer. Examples are those of `read_examples`, the path of a file, or
    rows in Python with the columns text, pair, label, score, tags, answers. `labels` names all labels in the order of
    their ids, where that is not the sorted order of those that occur. A head of the module for the same labels is
    trained further.

    `output_dir` gets checkpoints and what `follow` writes. `dev` is scored every `eval_steps` and at the end. A run
    that was killed goes on from `resume_from_checkpoint`: a checkpoint, or True for the last. Under torchrun every
    process returns the module; with `keep_best` the first alone has the best weights.

    Raises: DataError for examples that do not fit the task; InputError; ConfigError; TrainingError as `train` does.
    """
    output_dir = Path(output_dir)
    train_set = training_examples(task, examples, config)
    head = head_for(task, train_set, module.checkpoint, config, labels)
    scored = None if dev is None else dev_examples(task, dev, head)
    _refuse_idle(config, scored)
    checkpoint = with_head(module.checkpoint, head, max_seq_length=config.max_seq_length, seed=config.loop.seed)
    model = TorchEncoder(checkpoint).train()
    run = Run(module=module, checkpoint=checkpoint, model=model, task=task, config=config, output_dir=output_dir)
    with joined(config.loop.ddp_timeout) as process:
        with warnings.catch_warnings():
            if not process.is_main:  # one of several says it
                warnings.simplefilter("ignore", TruncationWarning)
                warnings.simplefilter("ignore", VocabularyWarning)
            warn_unreadable(module.tokenizer, train_set.texts, stacklevel=3)
            objective = build_task(task, model, module.tokenizer, train_set, config)
        scores = run.dev_scores(scored, process, resumes=bool(resume_from_checkpoint))
        loop = config.loop if scored is None else replace(config.loop, eval_steps=config.loop.eval_steps or sys.maxsize)
        events = train(objective, loop, output_dir, resume_from_checkpoint=resume_from_checkpoint, evaluate=scores)
        if process.is_main:
            steps = follow(events, loop, output_dir, settings=config)
        else:
            steps = deque(events, maxlen=1).pop().step
        trained = run.trained(scores, train_set, steps=steps)
    if scored is not None and scores is not None:
        warn_constant(trained, scored, task, config)
    return trained


HINT_ROWS = (20, 256)  # examples that a hint takes at least, and looks at


def warn_constant(module: Module, dev: Examples, task: str, config: FinetuneConfig) -> None:
    """Say so where the module predicts one label for all of the dev examples that are looked at, and they have more."""
    row = task_named(task)
    sample = dev.part(spread(range(len(dev)), HINT_ROWS[1]))
    if not row.labelled or len(sample) < HINT_ROWS[0] or len(set(row.labels(sample)[0])) < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # the scores have told it
        predictions = predictions_for(module, row, sample, precision=exact(module), show_progress_bar=False)
    values = [row.scored(value) for value in predictions]
    labels = {label for value in values for label in (value if isinstance(value, list) else [value])}
    if len(labels) == 1:
        warnings.warn(
            f"the module predicts {labels.pop()!r} for all of {len(sample)} examples of {dev.source}, which have "
            f"{len(set(row.labels(sample)[0]))} labels: it has learnt nothing yet; try a learning_rate above "
            f"{config.loop.learning_rate:g} (small modules take 1e-3), or more epochs (num_train_epochs)",
            TrainingWarning,
            stacklevel=3,
        )


def _refuse_idle(config: FinetuneConfig, dev: Examples | None) -> None:
    """Refuse to look for the best of no evaluations."""
    if config.keep_best and not (dev and config.loop.eval_steps):
        found = "eval_steps 0" if dev else "no examples to evaluate on"
        raise ConfigError(
            f"the best of several evaluations was asked for; found {found}; give dev and eval_steps, or leave out "
            "keep_best"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A module that is being fine-tuned."""

    module: Module  # as it was
    checkpoint: Checkpoint  # with its head, before any training
    model: TorchEncoder
    task: str
    config: FinetuneConfig
    output_dir: Path

    def dev_scores(self, dev: Examples | None, process: Process, *, resumes: bool) -> DevScores | None:
        """Return what scores the model as it stands, if there is something to score it on."""
        if dev is None or not process.is_main:
            return None
        best = (
            Best(output_dir=self.output_dir, deciding=task_named(self.task).main_score)
            if self.config.keep_best
            else None
        )
        if best and not resumes:
            best.forget()
        return DevScores(current=self.current, task=self.task, examples=dev, rules=self.config.rules, best=best)

    def current(self, arrays: Mapping[str, Array] | None = None, provenance: Mapping[str, Any] | None = None) -> Module:
        """Return the module with the weights of now, or with those that are given."""
        tensors = in_memory(self.model.arrays() if arrays is None else arrays)
        return Module(
            checkpoint=replace(self.checkpoint, tensors=tensors),
            tokenizer=self.module.tokenizer,
            backend=self.module.backend,
            provenance=provenance or {},
        )

    def trained(self, scores: DevScores | None, train_set: Examples, *, steps: int) -> Module:
        """Return the module at the end of the run, with where it comes from."""
        arrays, told = None, {}
        if scores is not None:
            told = scores.last or scores()  # none where a finished run was resumed
            if scores.best is not None:
                arrays, told = scores.best.weights(), scores.best.scores()
        provenance = {
            "made_by": "wellread finetune",
            "from": {**self.module.provenance},
            "task": self.task,
            **({"columns": dict(train_set.columns)} if train_set.columns else {}),
            "rows": len(train_set),
            "steps": steps,
            **self._head(),
            "settings": asdict(self.config),
            "scores": told,
        }
        return self.current(arrays, provenance)

    def _head(self) -> dict[str, Any]:
        """Say what the head tells apart, and where its weights come from."""
        head = self.checkpoint.head
        assert head is not None
        begun = "continued" if is_continued(self.module.checkpoint.head, head) else "fresh"
        return {"labels": list(head.labels), "head": begun if head.outputs else "none"}
