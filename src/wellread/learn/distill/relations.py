"""MiniLMv2's way: the attention relations of the student's last layer are drawn to those of a layer of the teacher.

Wang et al. 2021 (arXiv:2012.15828), section 3: queries, keys and values, each split into as many relation heads on
either side, are compared with themselves; the student's relations are drawn to the teacher's by their divergence. So
widths and numbers of heads may differ. The cache holds the hidden states that enter the teacher's layer.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import MASKED, TorchEncoder, TorchOps
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.encoder import embed, encode, layer_name
from wellread.errors import ConfigError
from wellread.learn.distill.student import (
    DistillInputs,
    Student,
    refuse_other_vocabulary,
    teacher_cache,
    token_rows,
)
from wellread.learn.init import from_teacher, refuse_long
from wellread.learn.step import Inputs, Loss

PARTS = ("query", "key", "value")
ALONE = "encoder.layer.0"  # the teacher's layer, where it is kept without the others


def relations_student(inputs: DistillInputs) -> Student:
    """Prepare a student to learn the attention relations of a layer.

    Raises: ConfigError for another vocabulary, a layer that the teacher lacks, or widths that the relation heads do not
        divide; TrainingError.
    """
    refuse_other_vocabulary(inputs)
    teacher, config, relations = inputs.teacher.checkpoint, inputs.config, inputs.config.relations
    refuse_long(teacher, config.max_seq_length, who="teacher")
    checkpoint = inputs.student.checkpoint if inputs.student else from_teacher(teacher, config)
    refuse_long(checkpoint, config.max_seq_length, who="student")
    checkpoint = replace(checkpoint, sentence=replace(checkpoint.sentence, max_seq_length=config.max_seq_length))
    layers = teacher.config.num_hidden_layers
    if not -1 <= relations.relation_layer < layers:
        raise ConfigError(
            f"relation_layer {relations.relation_layer} was asked for; the teacher has the layers 0 to {layers - 1}; "
            "choose one of these, or -1 for the last"
        )
    layer, heads = relations.relation_layer % layers, relations.relation_heads
    widths = teacher.config.hidden_size, checkpoint.config.hidden_size
    if heads < 1 or any(width % heads for width in widths):
        raise ConfigError(
            f"{heads} relation_heads were asked for; they must divide the widths of teacher and student, "
            f"{widths[0]} and {widths[1]}; choose a divisor of {math.gcd(*widths)}"
        )
    rows = token_rows(inputs)
    states = teacher_cache(
        inputs,
        rows,
        "sequence_output" if layer else "embedding_output",
        layers=max(layer, 1),  # those before the layer; one at least is run
        packs={(layer,): rows.pack},
    )
    return Student(
        inputs=inputs,
        checkpoint=checkpoint,
        tokenizer=inputs.teacher.tokenizer,
        model=TorchEncoder(checkpoint).train(),
        rows=rows,
        caches=[states],
        objective=partial(relations_loss, teacher=attention_maps(teacher, layer), heads=heads),
        facts=asdict(relations),
    )


def map_names(layer: str) -> list[str]:
    """Name the linear maps to queries, keys and values of a layer by what its tensors' names begin with."""
    return [f"{layer}.attention.self.{part}" for part in PARTS]


def attention_maps(teacher: Checkpoint, layer: int) -> TorchEncoder:
    """Return the maps to queries, keys and values of one layer as those of a layer 0; they are not trained."""
    tensors = {
        f"{ours}.{leaf}": teacher.tensors[f"{theirs}.{leaf}"]
        for ours, theirs in zip(map_names(ALONE), map_names(layer_name(teacher.config, layer)), strict=True)
        for leaf in ("weight", "bias")
    }
    return TorchEncoder(replace(teacher, tensors=tensors)).eval().requires_grad_(False)


def relations_loss(model: TorchEncoder, inputs: Inputs, *, teacher: TorchEncoder, heads: int) -> Loss:
    """Sum the divergences over queries, keys, values and tokens; mean over the relation heads.

    What comes behind the queries, keys and values of the student's last layer gets no gradient, as in the paper: it
    learns when the student is fine-tuned, or pre-trained further.
    """
    mask, states = inputs["input_mask"], inputs["theirs"].float()
    padded = states.new_zeros(*mask.shape, states.shape[-1])
    padded[mask != 0] = states
    last = model.encoder_config.num_hidden_layers - 1
    student_ops, teacher_ops = TorchOps(model), TorchOps(teacher.to(states.device))
    entering = hidden_states_before(model, inputs, last)
    losses = []
    for ours, theirs in zip(map_names(layer_name(model.encoder_config, last)), map_names(ALONE), strict=True):
        with torch.no_grad():
            targets = teacher_ops.linear(padded, theirs)
        losses.append(relation_loss(student_ops.linear(entering, ours), targets, mask, heads=heads))
    return Loss(total=torch.stack(losses).sum(), count=mask.sum())


def hidden_states_before(model: TorchEncoder, inputs: Inputs, layer: int) -> Tensor:
    """Run a model up to a layer: [B, T, D]."""
    ops, config = TorchOps(model), model.encoder_config
    if not layer:
        return embed(ops, config, inputs)
    cut = replace(config, num_hidden_layers=layer)
    states = encode(ops, cut, inputs, outputs=["sequence_output"])["sequence_output"]
    assert isinstance(states, Tensor)
    return states


def relation_loss(ours: Tensor, theirs: Tensor, mask: Tensor, *, heads: int) -> Tensor:
    """Sum the divergences KL(theirs | ours) of the relations of all real tokens; mean over the heads.

    `ours` [B, T, D] and `theirs` [B, T, D'] are both queries, or keys, or values; `mask` [B, T] is 1 for real tokens.
    """
    log_ours, log_theirs = (attention_relations(x, mask, heads) for x in (ours, theirs))
    divergences = functional.kl_div(log_ours, log_theirs, reduction="none", log_target=True).sum(-1)
    return (divergences * mask[:, None]).sum() / heads


def attention_relations(x: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Compare every token of `x` [B, T, D] with every real one: logarithms of probabilities [B, heads, T, T]."""
    split = x.unflatten(2, (heads, -1)).transpose(1, 2)
    scores = (split @ split.transpose(-1, -2)).float() / math.sqrt(split.shape[-1])
    return (scores + (1 - mask[:, None, None, :].float()) * MASKED).log_softmax(-1)
