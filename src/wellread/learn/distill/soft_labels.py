"""The well-read student's way: a small pre-trained module learns what a fine-tuned teacher says of unlabelled text.

Turc et al. 2019 (arXiv:1908.08962), section 2: after pre-training, and before fine-tuning, the student is drawn to the
teacher's soft labels on text of the task, the transfer set. The two need have neither vocabulary nor shape in common.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.config import SINGLE
from wellread.encoder.heads import LOGITS_OUTPUT
from wellread.errors import DataError, TrainingError
from wellread.learn.distill.student import DistillInputs, Student, teacher_cache, text_rows, texts_in_memory
from wellread.learn.init import first_map, with_head
from wellread.learn.step import Inputs, Loss


def labels_student(inputs: DistillInputs) -> Student:
    """Prepare a student to learn soft labels.

    Raises: TrainingError for a teacher that is not fine-tuned for whole texts, or no student; DataError for texts where
        the teacher judges pairs, or the other way round; ConfigError.
    """
    teacher, student, config = inputs.teacher, inputs.student, inputs.config
    head = teacher.checkpoint.head
    if head is None or head.row.problem_type != SINGLE:
        found = f"one for {head.task}" if head else "no head"
        raise TrainingError(
            f"the teacher's labels were asked for; found that it is not fine-tuned for the task: it has {found}; "
            "fine-tune it first: wellread finetune classify, or pair"
        )
    if student is None:
        raise TrainingError(
            "the method 'labels' teaches a module that is pre-trained; found no student; name one with student= "
            "(--student), as google/bert_uncased_L-2_H-128_A-2 or one that wellread pretrain made"
        )
    if (inputs.pairs is not None) != (head.task == "pair"):
        raise DataError(
            f"the teacher is fine-tuned for {head.task}; found texts {'without' if inputs.pairs is None else 'with'} a "
            f"second one; {'name its column (pair_column)' if head.task == 'pair' else 'leave the second out'}"
        )
    columns = [texts_in_memory(inputs), *([] if inputs.pairs is None else [inputs.pairs])]
    checkpoint = with_head(
        student.checkpoint,
        replace(head, **first_map(student.checkpoint, head.kind or head.task)),
        max_seq_length=config.max_seq_length,
        seed=config.loop.seed,
    )
    rows = text_rows(student, columns, max_seq_length=config.max_seq_length)
    rows.warn_cut()
    answers = teacher_cache(inputs, text_rows(teacher, columns), LOGITS_OUTPUT)
    return Student(
        inputs=inputs,
        checkpoint=checkpoint,
        tokenizer=student.tokenizer,
        model=TorchEncoder(checkpoint).train(),
        rows=rows,
        caches=[answers],
        objective=partial(soft_label_loss, temperature=config.temperature),
        facts={
            "answers": answers.outputs[0].key,
            "temperature": config.temperature,
            "max_seq_length": rows.max_seq_length,
        },
    )


def soft_label_loss(model: TorchEncoder, inputs: Inputs, *, temperature: float) -> Loss:
    """Sum the divergences KL(teacher | student) of logits [B, C] at a temperature, times its square.

    Their gradient is that of the paper's cross-entropy with soft labels; they end at 0 where the two agree.
    """
    logits = model(inputs, [LOGITS_OUTPUT])[LOGITS_OUTPUT]
    assert isinstance(logits, Tensor)
    ours = (logits.float() / temperature).log_softmax(-1)
    theirs = (inputs["theirs"].float() / temperature).log_softmax(-1)
    divergence = functional.kl_div(ours, theirs, reduction="sum", log_target=True)
    return Loss(total=divergence * temperature**2, count=len(ours))
