"""The stages as calls of the verbs of training; each resumes by its own checkpoints."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wellread.data.examples import Examples
from wellread.files import whole_file
from wellread.learn import checkpoints
from wellread.learn.distill.distill import distill
from wellread.learn.finetune import finetune
from wellread.learn.log import LOG, read_log
from wellread.learn.pretrain import pretrain
from wellread.learn.settings import DistillConfig, FinetuneConfig, LoopConfig, PretrainConfig, RelationsConfig
from wellread.module import Module
from wellread.shrinking.material import Material
from wellread.shrinking.settings import ShrinkConfig
from wellread.shrinking.students import takes_layers

TEMPERATURE = 1.0  # of soft labels: the plain cross-entropy of Turc et al. 2019
MOST_RELATION_HEADS = 12  # RelationsConfig's own
TAKEN_RATE = 0.3  # of the learning rates, for layers that are the teacher's: what they know is to stay
LOGGED = 50  # lines of a stage's log
SHARED = {"teacher": "outputs", "tokens": "tokens"}  # what runs keep, under names of what decides it -> in which folder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """One stage of one candidate in one rung."""

    material: Material
    config: ShrinkConfig
    teacher: Module
    source: Module  # the teacher with the student's vocabulary
    student: Module  # as it comes to this stage
    steps: int
    seed: int
    texts: Path  # a file of the texts that are learnt from
    directory: Path  # of this run


def _loop(work: Work, rate: float, steps: int | None = None) -> LoopConfig:
    steps = steps or work.steps
    taken = takes_layers(work.student.checkpoint.config.hidden_size, work.teacher.checkpoint.config)
    return LoopConfig(
        max_steps=steps,
        per_device_train_batch_size=work.config.per_device_train_batch_size,
        learning_rate=rate * (TAKEN_RATE if taken else 1),
        lr_scheduler_type="linear",
        warmup_ratio=0.1,
        seed=work.seed,
        bf16=work.config.bf16,
        save_steps=work.config.save_steps,
        save_total_limit=1,
        logging_steps=max(1, steps // LOGGED),
    )


def _pretrain(work: Work, resume: bool) -> Module:
    config = PretrainConfig(
        objective=work.config.objective,
        max_seq_length=work.config.max_seq_length,
        loop=_loop(work, work.config.pretrain_learning_rate),
    )
    return pretrain(work.student, [work.texts], output_dir=work.directory, config=config, resume_from_checkpoint=resume)


def _relations(work: Work, resume: bool) -> Module:
    widths = [module.checkpoint.config.hidden_size for module in (work.source, work.student)]
    heads = max(n for n in range(1, MOST_RELATION_HEADS + 1) if math.gcd(*widths) % n == 0)
    config = DistillConfig(
        method="relations",
        max_seq_length=work.config.max_seq_length,
        relations=RelationsConfig(relation_heads=heads),
        loop=_loop(work, work.config.pretrain_learning_rate),
    )
    return distill(
        work.source,
        [work.texts],
        output_dir=work.directory,
        config=config,
        student=work.student,
        resume_from_checkpoint=resume,
    )


def _distilled(work: Work, method: str, resume: bool) -> Module:
    texts, pairs = work.material.transfer
    config = DistillConfig(
        method=method,
        max_seq_length=work.config.max_seq_length,
        temperature=TEMPERATURE,
        loop=_loop(work, work.config.distill_learning_rate),
    )
    return distill(
        work.teacher,
        texts,
        output_dir=work.directory,
        config=config,
        student=work.student,
        pairs=pairs if method == "labels" else None,
        resume_from_checkpoint=resume,
    )


def _finetune(work: Work, resume: bool) -> Module:
    rows, head = work.material.train, work.teacher.checkpoint.head
    assert rows is not None
    assert head is not None
    most = math.ceil(work.config.finetune_epochs * len(rows) / work.config.per_device_train_batch_size)
    return finetune(
        work.student,
        rows,
        task=work.material.task,
        output_dir=work.directory,
        config=FinetuneConfig(
            max_seq_length=work.config.max_seq_length,
            loop=_loop(work, work.config.finetune_learning_rate, min(work.steps, most)),
        ),
        labels=head.labels,
        resume_from_checkpoint=resume,
    )


TRAININGS: Mapping[str, Callable[[Work, bool], Module]] = {
    "pretrain": _pretrain,
    "relations": _relations,
    "labels": lambda work, resume: _distilled(work, "labels", resume),
    "vectors": lambda work, resume: _distilled(work, "vectors", resume),
    "finetune": _finetune,
}


def train(stage: str, work: Work, *, shared: Path) -> Module:
    """Run a stage, or what is left of it, and return the module; its checkpoints stay until `clear`.

    What runs may share (the teacher's outputs, tokens) lies in `shared`, under names of what decides it.
    """
    work.directory.mkdir(parents=True, exist_ok=True)
    for name, folder in SHARED.items():
        (shared / folder).mkdir(parents=True, exist_ok=True)
        if not (link := work.directory / name).is_symlink():
            link.symlink_to(Path(*[".."] * len(work.directory.relative_to(shared).parts), folder))
    return TRAININGS[stage](work, bool(checkpoints.checkpoints(work.directory)))


def clear(directory: Path) -> None:
    """Remove the checkpoints of a run that is over; its log stays."""
    checkpoints.remove_all(directory)


def seconds_a_step(directory: Path) -> float:
    """Return how long a step of a run took: the median of those that its log holds, but for the first."""
    seconds = [float(line["seconds"]) for line in read_log(directory / LOG) if "seconds" in line]
    return statistics.median(seconds[1:] or seconds)


def teacher_of(material: Material, rows: Examples, config: ShrinkConfig, directory: Path) -> Module:
    """Fine-tune a base on labelled rows, to be the teacher."""
    base = material.given
    assert material.head is not None
    loop = replace(
        FinetuneConfig().loop,
        num_train_epochs=config.teacher_epochs,
        learning_rate=config.teacher_learning_rate,
        per_device_train_batch_size=config.per_device_train_batch_size,
        seed=config.seed,
        bf16=config.bf16,
        save_steps=config.save_steps,
        save_total_limit=1,
    )
    settings = FinetuneConfig(max_seq_length=min(config.max_seq_length, base.checkpoint.config.max_length), loop=loop)
    resume = bool(checkpoints.checkpoints(directory))
    return finetune(
        base,
        rows,
        task=material.task,
        output_dir=directory,
        config=settings,
        labels=material.head.labels,
        resume_from_checkpoint=resume,
    )


def write_texts(texts: list[str], path: Path) -> None:
    """Write texts as JSON lines, whole or not at all. Raises: DataError where the disk refuses."""
    with whole_file(path) as file:
        file.writelines(f"{json.dumps({'text': text})}\n".encode() for text in texts)
