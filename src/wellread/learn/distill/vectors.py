"""LEAF's way: the student's sentence vectors are drawn to the teacher's, and lie in the teacher's space.

Vujanic and Rueckstiess 2025 (arXiv:2509.12539): the squared distance of unit vectors, the student's through a linear
map to the teacher's width, which stays in the module. So vectors of the two can be compared with each other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.encoder.heads import SENTENCE_OUTPUT
from wellread.learn.distill.targets import (
    Job,
    Question,
    RowsTask,
    Work,
    key_of,
    refuse_long,
    running,
    targets_of,
    texts_of,
)
from wellread.learn.init import mapped_student, sentence_student
from wellread.learn.rows import rows_of
from wellread.learn.settings import VectorsConfig
from wellread.learn.step import Inputs, Loss

SHAPE = ("num_hidden_layers", "hidden_size", "num_attention_heads")


def vectors_work(job: Job) -> Work:
    """Prepare a student to learn sentence vectors. Raises: ConfigError for rows that it has no positions for."""
    teacher, config = job.teacher.checkpoint, job.config
    if job.student is None:
        checkpoint, tokenizer = sentence_student(teacher, config), job.teacher.tokenizer
    else:
        refuse_long(job.student.checkpoint, job, who="student")
        checkpoint = mapped_student(job.student.checkpoint, teacher.embedding_size, config)
        tokenizer = job.student.tokenizer
    rows = rows_of(tokenizer, [texts_of(job)], max_seq_length=config.max_seq_length)
    rows.warn_cut()
    question = _question(job)
    task = VectorsTask(
        model=TorchEncoder(checkpoint).eval(),  # dropout off: targets are given, there is little to overfit
        rows=rows,
        targets=targets_of(job, [question]),
        config=config.vectors,
        facts={"data": rows.digest(), "teacher": job.teacher_hash, "answers": question.key},
    )
    return Work(task=task, targets=task.targets, checkpoint=checkpoint, tokenizer=tokenizer)


def _question(job: Job) -> Question:
    """Ask for sentence vectors as `encode` makes them, the default prompt put before."""
    teacher, backend = job.teacher, running(job.teacher)
    sentence = teacher.checkpoint.sentence
    prompt = sentence.prompts[sentence.default_prompt_name] if sentence.default_prompt_name is not None else ""
    texts = [prompt + text for text in texts_of(job)]
    rows = rows_of(teacher.tokenizer, [texts], max_seq_length=teacher.max_seq_length)
    return Question(
        backend=backend,
        output=SENTENCE_OUTPUT,
        width=teacher.embedding_size,
        per_token=False,
        lengths=rows.lengths,
        pack=rows.pack,
        key=key_of("vectors", job.teacher_hash, backend.name, backend.precision, rows.digest()),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VectorsTask(RowsTask):
    """Draw a student's sentence vectors [B, E] to the teacher's."""

    config: VectorsConfig

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the squared Euclidean distances of unit vectors: 2 - 2 cos, 0 to 4 each; then the contrastive part."""
        theirs = functional.normalize(inputs["theirs"].float(), dim=-1)
        ours = self.model(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
        assert isinstance(ours, Tensor)
        total = (ours - theirs).square().sum()
        if self.config.contrastive_weight:
            told = told_apart(ours, theirs, temperature=self.config.contrastive_temperature)
            total = total + self.config.contrastive_weight * told
        return Loss(total=total, count=len(ours))

    def identity(self) -> dict[str, Any]:
        """Name the teacher and the data by their hashes, and the student's shape."""
        shape = {name: getattr(self.model.encoder_config, name) for name in SHAPE}
        told = {**shape, "max_seq_length": self.rows.max_seq_length, **asdict(self.rows.template.special)}
        return {"task": "vectors", **self.facts, **told, **asdict(self.config), "teacher_on_disk": self.targets.is_kept}


def told_apart(ours: Tensor, theirs: Tensor, *, temperature: float) -> Tensor:
    """Sum, over the texts of a batch, how badly a student's vector tells the teacher's of its text from the others.

    InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) over unit vectors [B, E] of student and teacher. What a text is
    told from are the texts of its own batch, so this part of the loss depends on how a step is divided into batches.
    """
    scores = (ours @ theirs.T).float() / temperature
    return functional.cross_entropy(scores, torch.arange(len(ours), device=ours.device), reduction="sum")
