"""LEAF's way: the student's sentence vectors are drawn to the teacher's, and lie in the teacher's space.

Vujanic and Rueckstiess 2025 (arXiv:2509.12539): the squared distance of unit vectors, the student's through a linear
map to the teacher's width, which stays in the module. So vectors of the two can be compared with each other.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.encoder.heads import SENTENCE_OUTPUT
from wellread.errors import ConfigError
from wellread.learn.distill.student import (
    DistillInputs,
    Student,
    teacher_cache,
    text_rows,
    texts_in_memory,
)
from wellread.learn.init import from_teacher_to_vectors, refuse_long, with_unit_vectors
from wellread.learn.rows import rows_of
from wellread.learn.settings import VectorsConfig
from wellread.learn.step import Inputs, Loss

SHAPE = ("num_hidden_layers", "hidden_size", "num_attention_heads")


def vectors_student(inputs: DistillInputs) -> Student:
    """Prepare a student to learn sentence vectors.

    Raises: ConfigError for rows that it has no positions for, and for a teacher whose prompt is not pooled.
    """
    teacher, config, texts = inputs.teacher, inputs.config, texts_in_memory(inputs)
    if inputs.student is None:
        checkpoint, tokenizer = from_teacher_to_vectors(teacher.checkpoint, config), teacher.tokenizer
    else:
        refuse_long(inputs.student.checkpoint, config.max_seq_length, who="student")
        checkpoint = with_unit_vectors(inputs.student.checkpoint, teacher.checkpoint.embedding_size, config)
        tokenizer = inputs.student.tokenizer
    rows = rows_of(tokenizer, [texts], max_seq_length=config.max_seq_length)
    rows.warn_cut()
    # the teacher reads texts as its `encode` does, the default prompt put before
    prompts, name = teacher.checkpoint.sentence.prompts, teacher.checkpoint.sentence.default_prompt_name
    if name is not None and prompts[name] and not teacher.checkpoint.sentence.include_prompt:
        raise ConfigError(
            f"a teacher whose vectors are of whole rows was expected; found one that puts the prompt {name!r} before "
            "texts and does not pool it (include_prompt); save it without default_prompt_name"
        )
    prompted = [prompts[name] + text for text in texts] if name is not None else texts
    answers = teacher_cache(inputs, text_rows(teacher, [prompted]), SENTENCE_OUTPUT)
    return Student(
        inputs=inputs,
        checkpoint=checkpoint,
        tokenizer=tokenizer,
        model=TorchEncoder(checkpoint).eval(),  # dropout off: targets are given, there is little to overfit
        rows=rows,
        teacher=answers,
        objective=partial(vectors_loss, config=config.vectors),
        facts={
            "answers": answers.outputs[0].key,
            **{name: getattr(checkpoint.config, name) for name in SHAPE},
            "max_seq_length": rows.max_seq_length,
            **asdict(rows.template.special),
            **asdict(config.vectors),
        },
    )


def vectors_loss(model: TorchEncoder, inputs: Inputs, *, config: VectorsConfig) -> Loss:
    """Sum the squared Euclidean distances of unit vectors: 2 - 2 cos, 0 to 4 each; then the contrastive part."""
    theirs = functional.normalize(inputs["theirs"].float(), dim=-1)
    ours = model(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
    assert isinstance(ours, Tensor)
    total = (ours - theirs).square().sum()
    if config.contrastive_weight:
        contrast = contrastive_loss(ours, theirs, temperature=config.contrastive_temperature)
        total = total + config.contrastive_weight * contrast
    return Loss(total=total, count=len(ours))


def contrastive_loss(ours: Tensor, theirs: Tensor, *, temperature: float) -> Tensor:
    """Sum, over the texts of a batch, how badly a student's vector tells the teacher's of its text from the others.

    InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) over unit vectors [B, E] of student and teacher. The negatives
    are the texts of one batch, so this part of the loss depends on how a step is divided into batches.
    """
    scores = (ours @ theirs.T).float() / temperature
    return functional.cross_entropy(scores, torch.arange(len(ours), device=ours.device), reduction="sum")
