"""Fine-tune a module for a task on labelled examples.

The tasks and their heads are those of Devlin et al. 2018, section 4, and of Reimers and Gurevych 2019
(arXiv:1908.10084) for sentence vectors and cross-encoders.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Array, in_memory
from wellread.config import HeadConfig
from wellread.data.examples import Examples, Given
from wellread.encode import warn_unreadable
from wellread.errors import (
    CheckpointError,
    ConfigError,
    InputError,
    TrainingError,
    TrainingWarning,
    TruncationWarning,
    VocabularyWarning,
)
from wellread.files import whole_directory
from wellread.formats.safetensors import read_safetensors, write_safetensors
from wellread.learn.distributed import joined
from wellread.learn.init import is_continued, with_head
from wellread.learn.log import time_of
from wellread.learn.loop import run, trained_module
from wellread.learn.objectives import Objective, build_task
from wellread.learn.settings import FinetuneConfig, read_finetune_recipe
from wellread.learn.training_examples import dev_examples, head_for, training_examples
from wellread.measure.evaluate import evaluate, exact, predictions_for
from wellread.measure.speed import spread
from wellread.module import Module
from wellread.schema import read_json, write_json
from wellread.tasks.registry import task_named
from wellread.text.tokenizer import Tokenizer

WEIGHTS, SCORES = "model.safetensors", "scores.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestWeights:
    """The best weights of a run so far: a directory in `output_dir`, which outlives the process."""

    output_dir: Path
    main_score: str  # which decides

    def scores(self) -> dict[str, float]:
        """Return the scores of the best weights; empty if there are none yet."""
        saved = [read_json(path / SCORES) for path in self._directories()]
        best = max(saved, key=lambda scores: float(scores[self.main_score]), default={})
        return {name: float(value) for name, value in best.items()}

    def weights(self) -> dict[str, Array]:
        """Read the best weights."""
        scores = self.scores()
        directory = next(path for path in self._directories() if read_json(path / SCORES) == scores)
        return {name: tensor.read() for name, tensor in read_safetensors(directory / WEIGHTS).items()}

    def offer(self, arrays: Mapping[str, Array], scores: Mapping[str, float]) -> None:
        """Keep weights if they are better than the best so far. Raises: TrainingError where the disk refuses."""
        before = self.scores()
        if before and scores[self.main_score] <= before[self.main_score]:
            return
        old = self._directories()
        number = 1 + max((int(path.name.removeprefix("best-")) for path in old), default=0)
        try:
            with whole_directory(self.output_dir / f"best-{number}") as directory:
                write_safetensors(directory / WEIGHTS, arrays)
                write_json(directory / SCORES, dict(scores))
        except CheckpointError as error:
            raise TrainingError(f"the best weights so far were to be kept; {error}") from error
        for path in old:
            shutil.rmtree(path)

    def remove(self) -> None:
        """Remove what an earlier run has left."""
        for path in self._directories():
            shutil.rmtree(path)

    def _directories(self) -> list[Path]:
        return sorted(self.output_dir.glob("best-*"))


def finetune(
    module: Module,
    examples: Given,
    *,
    task: str,
    output_dir: str | Path,
    config: FinetuneConfig | None = None,
    recipe: str | Path | None = None,
    dev: Given | None = None,
    labels: Sequence[str] = (),
    resume_from_checkpoint: bool | str | Path | None = None,
    overwrite: bool = False,
) -> Module:
    """Train `module` with a head for `task` on `examples`, and return it; `module` itself stays as it is.

    `task` is a name of `tasks.registry`. Examples are those of `read_examples`, a file's path, or rows in Python as
    `take_examples` takes them, with the columns text, pair, label, label_set, score, tags, answers. `labels` names all
    labels in the order of their ids (default: sorted). A head for the same labels is trained further. `recipe` is a
    TOML file; `config` goes before it.

    `output_dir` gets checkpoints and the log. `dev` is scored every `eval_steps` and at the end. A killed run goes on
    from `resume_from_checkpoint`: a checkpoint, or True for the last; `overwrite` starts over. Under torchrun every
    process returns the module; with `keep_best` the first alone has the best weights.

    Raises: DataError for examples that do not fit the task; InputError; ConfigError; TrainingError as `train` does.
    """
    if not hasattr(module, "checkpoint"):
        raise InputError(f"a module was to be trained; found {module!r:.60}; pass what wellread.load returns")
    if config is not None and not isinstance(config, FinetuneConfig):
        raise InputError(f"config= takes a FinetuneConfig; found a {type(config).__name__}; make one of its settings")
    config = config or (read_finetune_recipe(recipe) if recipe else FinetuneConfig())
    train_set = training_examples(task, examples, config)
    head = head_for(task, train_set, module.checkpoint, config, labels)
    dev_set = None if dev is None else dev_examples(task, dev, head)
    refuse_no_evaluations(config, dev_set)
    checkpoint = with_head(module.checkpoint, head, max_seq_length=config.max_seq_length, seed=config.loop.seed)
    model = TorchEncoder(checkpoint).train()
    current = partial(trained_module, model, checkpoint, module.tokenizer, backend=module.backend)
    best = (
        BestWeights(output_dir=Path(output_dir), main_score=task_named(task).main_score) if config.keep_best else None
    )
    scores: dict[str, float] = {}

    def score() -> dict[str, float]:
        scores.update(dev_scores(current(), dev_set, task, config, best) if dev_set is not None else {})
        return scores

    with joined(config.loop.ddp_timeout) as process:
        objective = _objective(task, model, module.tokenizer, train_set, config, warn=process.is_main)
        scored = dev_set is not None and process.is_main
        if scored and best is not None and not resume_from_checkpoint:
            best.remove()
        loop = config.loop if not scored else replace(config.loop, eval_steps=config.loop.eval_steps or sys.maxsize)
        resume: dict[str, Any] = {"resume_from_checkpoint": resume_from_checkpoint, "overwrite": overwrite}
        steps = run(objective, loop, Path(output_dir), settings=config, evaluate=score if scored else None, **resume)
        if scored and not scores:  # a finished run was resumed
            score()
    trained = current()
    if scored and best is not None:
        scores = best.scores()
        trained.checkpoint = replace(checkpoint, tensors=in_memory(best.weights()))
    took = {"steps": steps, **time_of(Path(output_dir))}
    trained.provenance = {**_provenance(module, train_set, head, config), **took, "scores": scores}
    if dev_set is not None and scored:
        warn_constant(trained, dev_set, task, config)
    return trained


def _provenance(module: Module, train_set: Examples, head: HeadConfig, config: FinetuneConfig) -> dict[str, Any]:
    return {
        **{"made_by": "wellread finetune", "from": {**module.provenance}, "task": head.task},
        **({"columns": dict(train_set.columns)} if train_set.columns else {}),
        **{"rows": len(train_set), "labels": list(head.labels)},
        **{"head": head_start(module.checkpoint.head, head), "settings": asdict(config)},
    }


def _objective(
    task: str, model: TorchEncoder, tokenizer: Tokenizer, train_set: Examples, config: FinetuneConfig, *, warn: bool
) -> Objective:
    """Build the training task; of several processes one alone gives its warnings."""
    with warnings.catch_warnings():
        for category in () if warn else (TruncationWarning, VocabularyWarning):
            warnings.simplefilter("ignore", category)
        warn_unreadable(tokenizer, train_set.texts, stacklevel=4)
        return build_task(task, model, tokenizer, train_set, config)


def dev_scores(
    module: Module, dev: Examples, task: str, config: FinetuneConfig, best: BestWeights | None
) -> dict[str, float]:
    """Score a module in float32, and keep its weights if they are the best."""
    if torch.cuda.is_available():
        module.backend = "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)  # training has told it
        score = evaluate(module, dev, task=task, rules=config.rules)
    scores = {name: interval.value for name, interval in score.scores.items()}
    if best is not None:
        best.offer(module.checkpoint.arrays(), scores)
    return scores


def head_start(old: HeadConfig | None, new: HeadConfig) -> str:
    """Say where the weights of a head come from."""
    return ("continued" if is_continued(old, new) else "fresh") if new.outputs else "none"


def refuse_no_evaluations(config: FinetuneConfig, dev: Examples | None) -> None:
    """Refuse to look for the best of no evaluations. Raises: ConfigError."""
    if config.keep_best and not (dev and config.loop.eval_steps):
        found = "eval_steps 0" if dev else "no examples to evaluate on"
        raise ConfigError(
            f"the best of several evaluations was asked for; found {found}; give dev and eval_steps, or leave out "
            "keep_best"
        )


HINT_ROWS = (20, 256)  # examples that a hint takes at least, and looks at


def warn_constant(module: Module, dev: Examples, task: str, config: FinetuneConfig) -> None:
    """Say so where the module predicts one label for all of the dev examples that are looked at, and they have more."""
    row = task_named(task)
    sample = replace(dev.part(spread(range(len(dev)), HINT_ROWS[1])), soft_labels=None)  # the largest share decides
    if not row.labelled or len(sample) < HINT_ROWS[0] or len(set(row.labels(sample)[0])) < 2:
        return
    with warnings.catch_warnings():
        for category in (TruncationWarning, VocabularyWarning):
            warnings.simplefilter("ignore", category)  # the scores have told it
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
