"""Distil a small encoder from a large one, by one of four methods."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from wellread.checkpoints.checkpoint import in_memory
from wellread.errors import TrainingError
from wellread.learn.distill.layers import layers_work
from wellread.learn.distill.relations import relations_work
from wellread.learn.distill.soft_labels import labels_work
from wellread.learn.distill.targets import Job, Work, fingerprint
from wellread.learn.distill.vectors import vectors_work
from wellread.learn.distributed import joined
from wellread.learn.log import follow
from wellread.learn.loop import train
from wellread.learn.settings import DistillConfig
from wellread.module import Module

METHOD_OF = {"layers": layers_work, "labels": labels_work, "relations": relations_work, "vectors": vectors_work}


def distill(
    teacher: Module,
    texts: Sequence[str] | Sequence[Path],
    *,
    output_dir: str | Path,
    config: DistillConfig,
    student: Module | None = None,
    pairs: Sequence[str] | None = None,
    resume_from_checkpoint: bool | str | Path | None = None,
) -> Module:
    """Train a student on what the teacher makes of `texts`, by `config.method`, and return it.

    `layers` makes its student of the teacher's layers; `labels` teaches a pre-trained `student`, and takes `pairs`, the
    second texts, where the teacher judges pairs; `relations` and `vectors` teach `student`, or a fresh one of the shape
    in `config`. `layers` and `relations` take files too, which need not fit in memory. `output_dir` gets the teacher's
    outputs (kept for the next run), checkpoints, and what `follow` writes. A run that was killed goes on from
    `resume_from_checkpoint`: one of those, or True for the last. Under torchrun every process returns the student.

    Raises: TrainingError for no texts, or as `train` does; ConfigError for a teacher and a student that do not go
        together.
    """
    if not texts:
        raise TrainingError("a student was to be distilled; found 0 texts; give it some")
    with joined(config.loop.ddp_timeout) as process:
        job = Job(
            teacher=teacher,
            teacher_hash=fingerprint(teacher),
            student=student,
            texts=texts,
            pairs=pairs,
            config=config,
            output_dir=Path(output_dir),
            process=process,
        )
        work = METHOD_OF[config.method](job)
        steps = _trained(work, job, resume_from_checkpoint)
    return Module(
        checkpoint=replace(work.checkpoint, tensors=in_memory(work.task.model.arrays())),
        tokenizer=work.tokenizer,
        provenance=_provenance(job, steps),
    )


def _trained(work: Work, job: Job, resume: bool | str | Path | None) -> int:
    """Train in place, and return the last step; the first process writes the log."""
    loop, place = job.config.loop, job.output_dir
    events = train(work.task, loop, place, resume_from_checkpoint=resume, prepare=work.targets.prepare)
    if job.process.is_main:
        return follow(events, loop, place, settings=job.config)
    return deque(events, maxlen=1).pop().step


def _provenance(job: Job, steps: int) -> dict[str, Any]:
    """Say what a student was made of."""
    return {
        "made_by": "wellread distill",
        "teacher": {**job.teacher.provenance, "sha256": job.teacher_hash},
        **({"student": {**job.student.provenance, "sha256": fingerprint(job.student)}} if job.student else {}),
        "texts": len(job.texts),
        "steps": steps,
        "settings": asdict(job.config),
    }
