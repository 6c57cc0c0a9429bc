"""The well-read student's way: a small pre-trained module learns what a fine-tuned teacher says of unlabelled text.

Turc et al. 2019 (arXiv:1908.08962), section 2: after pre-training, and before fine-tuning, the student is drawn to the
teacher's soft labels on text of the task, the transfer set. The two need have neither vocabulary nor shape in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import HeadConfig
from wellread.encoder.heads import LOGITS_OUTPUT
from wellread.errors import DataError, TrainingError
from wellread.learn.distill.targets import Job, Question, RowsTask, Work, key_of, running, targets_of, texts_of
from wellread.learn.init import has_pre_classifier, with_head
from wellread.learn.rows import rows_of
from wellread.learn.step import Inputs, Loss


def labels_work(job: Job) -> Work:
    """Prepare a student to learn soft labels.

    Raises: TrainingError for a teacher that is not fine-tuned for whole texts, or no student; DataError for texts where
        the teacher judges pairs, or the other way round; ConfigError.
    """
    head = _head(job.teacher.checkpoint)
    if job.student is None:
        raise TrainingError(
            "the method 'labels' teaches a module that is pre-trained; found no student; name one with student= "
            "(--student), as google/bert_uncased_L-2_H-128_A-2 or one that wellread pretrain made"
        )
    columns = _columns(job, head)
    student, config = job.student, job.config
    checkpoint = with_head(
        student.checkpoint,
        replace(head, pre_classifier=has_pre_classifier(student.checkpoint, head.kind or head.task)),
        max_seq_length=config.max_seq_length,
        seed=config.loop.seed,
    )
    types = student.checkpoint.config.type_vocab_size
    rows = rows_of(student.tokenizer, columns, max_seq_length=config.max_seq_length, type_rows=types)
    rows.warn_cut()
    question = _question(job, columns)
    task = LabelsTask(
        model=TorchEncoder(checkpoint).train(),
        rows=rows,
        targets=targets_of(job, [question]),
        temperature=config.temperature,
        facts={"data": rows.digest(), "teacher": job.teacher_hash, "answers": question.key},
    )
    return Work(task=task, targets=task.targets, checkpoint=checkpoint, tokenizer=student.tokenizer)


def _head(teacher: Checkpoint) -> HeadConfig:
    if teacher.head is None or teacher.head.row.reads != "pooled_output":
        found = f"one for {teacher.head.task}" if teacher.head else "no head"
        raise TrainingError(
            f"the teacher's labels were asked for; found that it is not fine-tuned for the task: it has {found}; "
            "fine-tune it first: wellread finetune classify, or pair"
        )
    return teacher.head


def _columns(job: Job, head: HeadConfig) -> list[Sequence[str]]:
    """Return the texts, or both texts of every pair, as the teacher judges them."""
    if (job.pairs is not None) != (head.task == "pair"):
        raise DataError(
            f"the teacher is fine-tuned for {head.task}; found texts {'without' if job.pairs is None else 'with'} a "
            f"second one; {'name its column (pair_column)' if head.task == 'pair' else 'leave the second out'}"
        )
    texts = texts_of(job)
    return [texts] if job.pairs is None else [texts, job.pairs]


def _question(job: Job, columns: Sequence[Sequence[str]]) -> Question:
    teacher, backend = job.teacher, running(job.teacher)
    head = _head(teacher.checkpoint)
    types = teacher.checkpoint.config.type_vocab_size
    rows = rows_of(teacher.tokenizer, columns, max_seq_length=teacher.max_seq_length, type_rows=types)
    return Question(
        backend=backend,
        output=LOGITS_OUTPUT,
        width=head.outputs,
        per_token=False,
        lengths=rows.lengths,
        pack=rows.pack,
        key=key_of("labels", job.teacher_hash, backend.name, backend.precision, rows.digest()),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelsTask(RowsTask):
    """Draw a student's logits [B, C] to the teacher's."""

    temperature: float

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the divergences KL(teacher | student) at a temperature, times its square.

        Their gradient is that of the paper's cross-entropy with soft labels; they end at 0 where the two agree.
        """
        made = self.model(inputs, [LOGITS_OUTPUT])[LOGITS_OUTPUT]
        assert isinstance(made, Tensor)
        ours = (made.float() / self.temperature).log_softmax(-1)
        theirs = (inputs["theirs"].float() / self.temperature).log_softmax(-1)
        divergence = functional.kl_div(ours, theirs, reduction="sum", log_target=True)
        return Loss(total=divergence * self.temperature**2, count=len(ours))

    def identity(self) -> dict[str, Any]:
        """Name teacher and data by their hashes."""
        told = {"temperature": self.temperature, "max_seq_length": self.rows.max_seq_length}
        return {"task": "labels", **self.facts, **told, "teacher_on_disk": self.targets.is_kept}
