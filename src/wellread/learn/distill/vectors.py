"""LEAF's way: the student's sentence vectors are drawn to the teacher's, and lie in the teacher's space.

Vujanic and Rueckstiess 2025 (arXiv:2509.12539): the squared distance of unit vectors, the student's through a linear
map to the teacher's width, which stays in the module. So vectors of the two can be compared with each other.

Several teachers have a map each behind one encoder. The module keeps that of the first, in whose space its vectors lie;
what the encoder learned from the others stays in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder, TorchOps, place
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.heads import SENTENCE_OUTPUT, run, sentence_step
from wellread.errors import ConfigError
from wellread.learn.distill.student import (
    DistillInputs,
    Student,
    shape_of,
    text_caches,
    text_rows,
    texts_in_memory,
)
from wellread.learn.init import from_teacher_to_vectors, random_tensors, refuse_long, with_layers, with_unit_vectors
from wellread.learn.rows import rows_of
from wellread.learn.settings import VectorsConfig
from wellread.learn.step import Inputs, Loss
from wellread.module import Module


def vectors_student(inputs: DistillInputs) -> Student:
    """Prepare a student to learn sentence vectors.

    Raises: ConfigError for rows that it has no positions for, for a teacher whose prompt is not pooled, and for weights
        or prompts of more or fewer teachers than there are.
    """
    teacher, config, texts = inputs.teacher, inputs.config, texts_in_memory(inputs)
    weights = teacher_weights(config.vectors, len(inputs.teachers))
    if inputs.student is None:
        tokenizer = inputs.tokenizer or teacher.tokenizer
        checkpoint = from_teacher_to_vectors(teacher, config, tokenizer=inputs.tokenizer)
        if inputs.layers is not None:
            checkpoint = with_layers(checkpoint, inputs.layers.checkpoint)
    else:
        refuse_long(inputs.student.checkpoint, config.max_seq_length, who="student")
        checkpoint = with_unit_vectors(inputs.student.checkpoint, teacher.checkpoint.embedding_size, config)
        tokenizer = inputs.student.tokenizer
    rows = rows_of(tokenizer, [texts], max_seq_length=config.max_seq_length)
    rows.warn_cut()
    teachers = [one.module for one in inputs.teachers]
    prompts = teacher_prompts(config.vectors, teachers)
    own_rows = [
        text_rows(module, [[prompt + text for text in texts] if prompt else texts])
        for module, prompt in zip(teachers, prompts, strict=True)
    ]
    caches = text_caches(inputs, own_rows, SENTENCE_OUTPUT)
    widths = [module.checkpoint.embedding_size for module in teachers]
    shares = (
        {"weights": list(weights)} if caches[1:] or weights[0] != 1 else {}
    )  # a run of before there were any goes on
    # the prompts are in the teachers' rows already
    loss_facts = {name: value for name, value in asdict(config.vectors).items() if name not in ("weights", "prompts")}
    return Student(
        inputs=inputs,
        checkpoint=checkpoint,
        tokenizer=tokenizer,
        model=model_with_maps(checkpoint, widths[1:], seed=config.loop.seed),
        rows=rows,
        caches=caches,
        objective=partial(vectors_loss, config=config.vectors, widths=widths, weights=weights),
        facts={
            "answers": caches[0].outputs[0].key,
            **({"further_answers": [cache.outputs[0].key for cache in caches[1:]]} if caches[1:] else {}),
            **shape_of(checkpoint.config),
            "max_seq_length": rows.max_seq_length,
            **asdict(rows.template.special),
            **loss_facts,
            **shares,
        },
    )


def teacher_weights(config: VectorsConfig, count: int) -> Sequence[float]:
    """Return the weights of `count` teachers. Raises: ConfigError where the settings have another number of them.

    >>> teacher_weights(VectorsConfig(weights="1, 0.5"), 2)
    [1.0, 0.5]
    """
    weights = config.teacher_weights or [1.0] * count
    if len(weights) != count:
        raise ConfigError(
            f"weights of {count} teachers were asked for; found {len(weights)}: {config.weights}; give one for each "
            "teacher, or none"
        )
    return weights


def teacher_prompts(config: VectorsConfig, teachers: Sequence[Module]) -> list[str]:
    """Return what each teacher reads before a text: what the settings say, or what its own `encode` puts there.

    Raises: ConfigError for another number of prompts than of teachers, and for a prompt that is not pooled.
    """
    if not config.prompts:
        return [default_prompt(module) for module in teachers]
    prompts = config.prompts.split(",")
    if len(prompts) != len(teachers):
        raise ConfigError(
            f"prompts of {len(teachers)} teachers were asked for; found {len(prompts)}: {config.prompts!r}; give one "
            "for each teacher, which may be empty, or none"
        )
    return prompts


def default_prompt(teacher: Module) -> str:
    """Return what a teacher's `encode` puts before texts. Raises: ConfigError for a prompt that is not pooled."""
    sentence = teacher.checkpoint.sentence
    name = sentence.default_prompt_name
    if name is None:
        return ""
    if sentence.prompts[name] and not sentence.include_prompt:
        raise ConfigError(
            f"a teacher whose vectors are of whole rows was expected; found one that puts the prompt {name!r} before "
            "texts and does not pool it (include_prompt); save it without default_prompt_name"
        )
    return sentence.prompts[name]


def model_with_maps(checkpoint: Checkpoint, widths: Sequence[int], *, seed: int) -> TorchEncoder:
    """Return a student with a linear map, drawn anew, into the space of every further teacher, `widths` wide.

    They are parameters of the model, so that checkpoints of the run hold them, and no part of the module.
    """
    model = TorchEncoder(checkpoint).eval()  # dropout off: targets are given, there is little to overfit
    width, deviation = shared_width(checkpoint), checkpoint.config.initializer_range
    for number, out in enumerate(widths, 1):
        name = map_name(number)
        wanted: dict[str, tuple[int, ...]] = {f"{name}.weight": (out, width), f"{name}.bias": (out,)}
        for parameter, array in random_tensors(wanted, deviation, np.random.default_rng([seed, number])).items():
            place(model, parameter, array)
    return model


def map_name(number: int) -> str:
    """Name the map into the space of a further teacher, counted from 1.

    >>> map_name(1)
    'teachers.1'
    """
    return f"teachers.{number}"


def shared_width(checkpoint: Checkpoint) -> int:
    """Return the width of what all maps read: what goes into the last step behind the pooling."""
    sentence = checkpoint.sentence
    return sentence.dense[-1].in_features if sentence.dense else checkpoint.embedding_size


def teacher_space_vectors(model: TorchEncoder, inputs: Inputs, count: int) -> list[Tensor]:
    """Return the student's vectors in the spaces of `count` teachers, each [B, E] of its width and of length 1.

    The first is the module's sentence vector.
    """
    ops, sentence = TorchOps(model), model.sentence_config
    before = replace(sentence, dense=sentence.dense[:-1], normalize=False)
    shared = run(ops, model.encoder_config, before, inputs, outputs=[SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
    assert isinstance(shared, Tensor)
    last = len(sentence.dense) - 1
    own = sentence_step(ops, sentence.dense[last], f"sentence.{last}", shared) if sentence.dense else shared
    others = [ops.linear(shared, map_name(number)) for number in range(1, count)]
    return [ops.normalize(x) for x in (own, *others)]


def vectors_loss(
    model: TorchEncoder,
    inputs: Inputs,
    *,
    config: VectorsConfig,
    widths: Sequence[int],
    weights: Sequence[float],
) -> Loss:
    """Sum the losses in the spaces of all teachers, `widths` wide, times their weights."""
    theirs = inputs["theirs"].float().split(list(widths), dim=1)
    ours = teacher_space_vectors(model, inputs, len(widths))
    losses = [vector_loss(*pair, config=config) for pair in zip(ours, theirs, strict=True)]
    return Loss(
        total=torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum(),
        count=len(inputs["theirs"]),
    )


def vector_loss(ours: Tensor, theirs: Tensor, *, config: VectorsConfig) -> Tensor:
    """Sum the squared Euclidean distances of unit vectors: 2 - 2 cos, 0 to 4 each; then the contrastive part.

    `ours` [B, E] are unit vectors; `theirs` [B, E] are made so.
    """
    theirs = functional.normalize(theirs, dim=-1)
    total = (ours - theirs).square().sum()
    if config.contrastive_weight:
        contrast = contrastive_loss(ours, theirs, temperature=config.contrastive_temperature)
        total = total + config.contrastive_weight * contrast
    return total


def contrastive_loss(ours: Tensor, theirs: Tensor, *, temperature: float) -> Tensor:
    """Sum, over the texts of a batch, how badly a student's vector tells the teacher's of its text from the others.

    InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) over unit vectors [B, E] of student and teacher. The negatives
    are the texts of one batch, so this part of the loss depends on how a step is divided into batches.
    """
    scores = (ours @ theirs.T).float() / temperature
    return functional.cross_entropy(scores, torch.arange(len(ours), device=ours.device), reduction="sum")
