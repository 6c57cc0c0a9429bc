"""MiniLMv2's way: the student's last layer relates its tokens to each other as a layer of the teacher does.

Wang et al. 2021 (arXiv:2012.15828), section 3: queries, keys and values, each split into as many relation heads on
either side, are compared with themselves; the student's relations are drawn to the teacher's by their divergence. So
widths and numbers of heads may differ. What is kept on disk are the hidden states that enter the teacher's layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import MASKED, TorchEncoder, TorchOps
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.encoder import embed, encode
from wellread.errors import ConfigError
from wellread.learn.distill.targets import (
    Job,
    Question,
    Targets,
    Work,
    key_of,
    refuse_long,
    refuse_other_vocabulary,
    running,
    targets_of,
    token_rows,
)
from wellread.learn.init import fresh_student
from wellread.learn.rows import Rows
from wellread.learn.settings import RelationsConfig
from wellread.learn.step import Inputs, Loss, tensors

PARTS = ("query", "key", "value")


def relations_work(job: Job) -> Work:
    """Prepare a student to learn the relations of a layer.

    Raises: ConfigError for another vocabulary, a layer that the teacher lacks, or widths that the relation heads do not
        divide; TrainingError.
    """
    refuse_other_vocabulary(job)
    teacher, config = job.teacher.checkpoint, job.config
    refuse_long(teacher, job, who="teacher")
    checkpoint = job.student.checkpoint if job.student else fresh_student(teacher, config)
    refuse_long(checkpoint, job, who="student")
    checkpoint = replace(checkpoint, sentence=replace(checkpoint.sentence, max_seq_length=config.max_seq_length))
    layer = _layer(teacher, config.relations)
    _refuse_heads([teacher, checkpoint], config.relations.relation_heads)
    rows = token_rows(job)
    question = _question(job, rows, layer)
    task = RelationsTask(
        model=TorchEncoder(checkpoint).train(),
        judge=_judge(teacher, layer),
        rows=rows,
        targets=targets_of(job, [question]),
        config=config.relations,
        facts={"data": rows.digest(), "teacher": job.teacher_hash},
    )
    return Work(task=task, targets=task.targets, checkpoint=checkpoint, tokenizer=job.teacher.tokenizer)


def _layer(teacher: Checkpoint, wanted: RelationsConfig) -> int:
    layers = teacher.config.num_hidden_layers
    if not -1 <= wanted.relation_layer < layers:
        raise ConfigError(
            f"relation_layer {wanted.relation_layer} was asked for; the teacher has the layers 0 to {layers - 1}; "
            "choose one of these, or -1 for the last"
        )
    return wanted.relation_layer % layers


def _refuse_heads(checkpoints: Sequence[Checkpoint], heads: int) -> None:
    widths = [checkpoint.config.hidden_size for checkpoint in checkpoints]
    if heads < 1 or any(width % heads for width in widths):
        raise ConfigError(
            f"{heads} relation_heads were asked for; they must divide the widths of teacher and student, "
            f"{widths[0]} and {widths[1]}; choose a divisor of {math.gcd(*widths)}"
        )


def _question(job: Job, rows: Rows, layer: int) -> Question:
    """Ask for the hidden states that enter a layer: a teacher of the layers before it is run."""
    backend = running(job.teacher, layers=max(layer, 1))
    return Question(
        backend=backend,
        output="sequence_output" if layer else "embedding_output",
        width=job.teacher.checkpoint.config.hidden_size,
        per_token=True,
        lengths=rows.lengths,
        pack=rows.pack,
        key=key_of("relations", job.teacher_hash, backend.name, backend.precision, rows.digest(), layer),
    )


def _names(layer: int) -> list[str]:
    return [f"encoder.layer.{layer}.attention.self.{part}" for part in PARTS]


def _judge(teacher: Checkpoint, layer: int) -> TorchEncoder:
    """Return the linear maps of one layer's attention as those of a layer 0; they are not trained."""
    tensors = {
        f"{ours}.{leaf}": teacher.tensors[f"{theirs}.{leaf}"]
        for ours, theirs in zip(_names(0), _names(layer), strict=True)
        for leaf in ("weight", "bias")
    }
    return TorchEncoder(replace(teacher, tensors=tensors)).eval().requires_grad_(False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RelationsTask:
    """Draw the relations in a student's last layer to those in a layer of the teacher.

    What comes behind the queries, keys and values of the student's last layer gets no gradient, as in the paper: it
    learns when the student is fine-tuned, or pre-trained further.
    """

    model: TorchEncoder
    judge: TorchEncoder
    rows: Rows
    targets: Targets
    config: RelationsConfig
    facts: Mapping[str, str]

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, [CLS] and [SEP] included."""
        return self.rows.lengths

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest, and put the teacher's hidden states [B, T, D] beside them."""
        batch = self.rows.pack(rows)
        mask = batch["input_mask"] != 0
        theirs = np.zeros((*mask.shape, self.targets.sets[0].width), np.float16)
        theirs[mask] = self.targets.of(rows, epoch)
        return tensors({**batch, "theirs": theirs})

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the divergences over queries, keys, values and tokens; mean over the relation heads."""
        self.judge.to(inputs["theirs"].device)
        with torch.no_grad():
            theirs = _parts(self.judge, inputs["theirs"].float(), 0)
        ours = _parts(self.model, self._entering(inputs), self.model.encoder_config.num_hidden_layers - 1)
        heads = self.config.relation_heads
        losses = [relation_loss(a, b, inputs["input_mask"], heads=heads) for a, b in zip(ours, theirs, strict=True)]
        return Loss(total=torch.stack(losses).sum(), count=inputs["input_mask"].sum())

    def _entering(self, inputs: Inputs) -> Tensor:
        """Run the student up to its last layer."""
        ops, config = TorchOps(self.model), self.model.encoder_config
        if config.num_hidden_layers == 1:
            return embed(ops, config, inputs)
        cut = replace(config, num_hidden_layers=config.num_hidden_layers - 1)
        hidden = encode(ops, cut, inputs, outputs=["sequence_output"])["sequence_output"]
        assert isinstance(hidden, Tensor)
        return hidden

    def identity(self) -> dict[str, Any]:
        """Name teacher and data by their hashes, and what is compared."""
        return {"task": "relations", **self.facts, **asdict(self.config), "teacher_on_disk": self.targets.is_kept}


def _parts(model: TorchEncoder, hidden: Tensor, layer: int) -> list[Tensor]:
    ops = TorchOps(model)
    return [ops.linear(hidden, name) for name in _names(layer)]


def relation_loss(ours: Tensor, theirs: Tensor, mask: Tensor, *, heads: int) -> Tensor:
    """Sum the divergences KL(theirs | ours) of the relations of all real tokens; mean over the heads.

    `ours` [B, T, D] and `theirs` [B, T, D'] are both queries, or keys, or values; `mask` [B, T] is 1 for real tokens.
    """
    log_ours, log_theirs = (_relations(x, mask, heads) for x in (ours, theirs))
    divergences = functional.kl_div(log_ours, log_theirs, reduction="none", log_target=True).sum(-1)
    return (divergences * mask[:, None]).sum() / heads


def _relations(x: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Compare every token with every real one: logarithms of probabilities [B, heads, T, T]."""
    split = x.unflatten(2, (heads, -1)).transpose(1, 2)
    scores = (split @ split.transpose(-1, -2)).float() / math.sqrt(split.shape[-1])
    return (scores + (1 - mask[:, None, None, :].float()) * MASKED).log_softmax(-1)
