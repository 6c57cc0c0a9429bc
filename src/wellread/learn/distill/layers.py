"""DistilBERT's way: a student of some of the teacher's layers learns its MLM logits and its hidden states.

Sanh et al. 2019 (arXiv:1910.01108), section 2: divergence from the teacher's MLM logits at a temperature, the masked
language model's own loss, and the cosine of the last hidden states. The cache holds the teacher's last hidden states;
its MLM logits, forty times as large, are made of them anew.

A step of 2,000 tokens has 60 million logits of the student and as many of the teacher. Both are made for a few tokens
at a time, and the gradients of what made the student's are taken on the spot: hidden states, word table, bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder, TorchOps
from wellread.encoder.heads import mlm_logits
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distill.student import DistillInputs, Student, teacher_cache, token_rows
from wellread.learn.init import MLM_TRANSFORM, POSITIONS, WORDS, from_teacher_layers, refuse_long
from wellread.learn.rows import Rows
from wellread.learn.settings import DistillConfig
from wellread.learn.step import Inputs, Loss
from wellread.text.masking import Masking, mask_tokens, masking_of, piece_counts, row_rng

TOKENS = 256  # whose logits are in memory at once
BIAS = "cls.predictions.bias"
HEAD = (WORDS, BIAS, *MLM_TRANSFORM)


def layers_student(inputs: DistillInputs) -> Student:
    """Prepare a student of the teacher's layers.

    Raises: ConfigError for layers that the teacher lacks, or a student, which this method makes itself; TrainingError
        for a teacher without MLM logits.
    """
    teacher, config, layers = inputs.teacher.checkpoint, inputs.config, inputs.config.layers
    if inputs.student is not None:
        raise ConfigError(
            "the method 'layers' makes its student of the teacher's layers; found a student that was given; leave it "
            "out, or choose another method"
        )
    if not teacher.has_mlm:
        raise TrainingError(
            "the teacher's MLM logits were asked for; found no masked-language-model head in it; take a checkpoint "
            "that was saved with one, or distil relations or vectors"
        )
    refuse_long(teacher, config.max_seq_length, who="teacher")
    checkpoint = from_teacher_layers(teacher, layers, seed=config.loop.seed, max_seq_length=config.max_seq_length)
    rows = token_rows(inputs)
    masks = masks_of(inputs, rows)
    mask_facts = (masks.seed, layers.masking, layers.mlm_probability)
    model = TorchEncoder(checkpoint).train()
    if layers.freeze_positions:
        model.get_parameter(POSITIONS).requires_grad = False
    head = replace(teacher, tensors={name: teacher.tensors[name] for name in HEAD})
    return Student(
        inputs=inputs,
        checkpoint=checkpoint,
        tokenizer=inputs.teacher.tokenizer,
        model=model,
        rows=rows,
        caches=[
            teacher_cache(
                inputs,
                rows,
                "sequence_output",
                packs={
                    (*mask_facts, number): partial(masks.teacher_inputs, epoch=number) for number in range(masks.sets)
                },
            )
        ],
        objective=partial(layers_loss, head=TorchEncoder(head).eval().requires_grad_(False), config=config),
        facts={**asdict(layers), "temperature": config.temperature},
        pack=masks.student_inputs,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masks:
    """The masks of rows: `sets` of them, each drawn from the seed, the number of the set and that of the row."""

    rows: Rows
    masking: Masking
    seed: int
    sets: int

    def student_inputs(self, rows: NDArray[np.int64], epoch: int) -> Mapping[str, NDArray[Any]]:
        """Return the batch of some rows as an epoch masks it, and `labels` [real tokens], -1 where nothing is asked."""
        batch = self.rows.pack(rows)
        masked = mask_tokens(batch, masking=self.masking, rng=row_rng(self.seed, epoch % self.sets, rows))
        labels = np.full(batch["input_mask"].size, -1, np.int64)
        labels[masked.positions] = masked.labels
        labels = labels[batch["input_mask"].ravel() != 0]
        return {**batch, "input_word_ids": masked.input_word_ids, "labels": labels}

    def teacher_inputs(self, rows: NDArray[np.int64], epoch: int) -> Mapping[str, NDArray[Any]]:
        """Return the same batch without labels."""
        return {name: array for name, array in self.student_inputs(rows, epoch).items() if name != "labels"}


def masks_of(inputs: DistillInputs, rows: Rows) -> Masks:
    """Return the masks that the settings ask for."""
    layers, tokenizer = inputs.config.layers, inputs.teacher.tokenizer
    counts = piece_counts(rows.segments[0], tokenizer.vocab_size) if layers.masking == "smoothed" else None
    masking = masking_of(tokenizer, kind=layers.masking, rate=layers.mlm_probability, counts=counts)
    return Masks(rows=rows, masking=masking, seed=inputs.config.loop.seed, sets=layers.mask_sets)


def layers_loss(model: TorchEncoder, inputs: Inputs, *, head: TorchEncoder, config: DistillConfig) -> Loss:
    """Sum the three losses over all real tokens; `head` makes MLM logits of the teacher's hidden states.

    What is of masked tokens alone is divided by the share that is masked: over many rows that is its mean, and it
    does not depend on how the rows of a step are put into batches.
    """
    layers, share = config.layers, config.layers.mlm_probability
    states = model(inputs, ["sequence_output"])["sequence_output"]
    assert isinstance(states, Tensor)
    ours, theirs, labels = states[inputs["input_mask"] != 0], inputs["theirs"].float(), inputs["labels"]
    cosines = functional.cosine_similarity(ours.float(), theirs, dim=-1)
    weights = torch.full(labels.shape, layers.kl_weight, device=labels.device)
    if layers.kl_positions == "masked":
        weights = (labels >= 0) * (layers.kl_weight / share)
    with torch.no_grad():
        teacher = logit_factors(head.to(ours.device), theirs)
    logit_loss = mlm_logit_loss(
        logit_factors(model, ours),
        teacher,
        weights=weights,
        labels=labels,
        label_weight=layers.mlm_weight / share,
        temperature=config.temperature,
    )
    return Loss(total=logit_loss + layers.cosine_weight * (1 - cosines).sum(), count=len(ours))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogitFactors:
    """What MLM logits are made of: x [N, D] behind the head's transform, the word table [V, D], a bias [V]."""

    x: Tensor
    table: Tensor
    bias: Tensor


def logit_factors(model: TorchEncoder, hidden: Tensor) -> LogitFactors:
    """Apply the head of a model to hidden states [N, D], but for the product with the word table."""
    x = mlm_logits(_TransformOps(model), model.encoder_config, hidden, hidden)
    return LogitFactors(x=x, table=model.get_parameter(WORDS), bias=model.get_parameter(BIAS))


class _TransformOps(TorchOps):
    """The primitives but for the product with the word table, for a row of tokens that all get logits."""

    def gather_rows(self, x: Tensor, positions: Tensor) -> Tensor:
        return x

    def logits(self, x: Tensor, table: str, bias: str) -> Tensor:
        return x


def mlm_logit_loss(
    student: LogitFactors,
    teacher: LogitFactors,
    *,
    weights: Tensor,
    labels: Tensor,
    label_weight: float,
    temperature: float,
) -> Tensor:
    """Sum the divergences KL(teacher | student) at a temperature, times its square, and the cross-entropies.

    `weights` [N] are those of each token's divergence; `labels` int64 [N] the right pieces, -1 where none is asked for;
    `label_weight` is that of their cross-entropy.

    Hinton et al. 2015 (arXiv:1503.02531), section 2: the square keeps the gradient's size.
    """
    loss: Tensor = _MlmLogitLoss.apply(
        student.x, student.table, student.bias, teacher, weights, labels, label_weight, temperature
    )
    return loss


class _MlmLogitLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        table: Tensor,
        bias: Tensor,
        teacher: LogitFactors,
        weights: Tensor,
        labels: Tensor,
        label_weight: float,
        temperature: float,
    ) -> Tensor:
        device = x.device.type
        working = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        with torch.autocast(device, enabled=False):
            rows, words = x.detach().to(working), table.detach().to(working)
            theirs, their_words = teacher.x.to(working), teacher.table.to(working)
            total = torch.zeros((), device=x.device)
            dx, dtable, dbias = torch.empty_like(rows), torch.zeros_like(table), torch.zeros_like(bias)
            for begin in range(0, len(rows), TOKENS):
                part = slice(begin, begin + TOKENS)
                logits = functional.linear(rows[part], words).float() + bias.detach()
                targets = functional.linear(theirs[part], their_words).float() + teacher.bias
                loss, grad = divergence(logits, targets, weights[part], temperature)
                total += loss + cross_entropy(logits, grad, labels[part], label_weight)
                narrow = grad.to(working)
                torch.mm(narrow, words, out=dx[part])
                dtable += narrow.T @ rows[part]
                dbias += grad.sum(0)
        ctx.save_for_backward(dx.to(x.dtype), dtable, dbias)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * upstream[0] for grad in ctx.saved_tensors), *[None] * 5


def divergence(logits: Tensor, targets: Tensor, weights: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of divergences from the logits `targets`, and its gradient [n, V] on `logits`."""
    ours = (logits / temperature).log_softmax(-1)
    theirs = targets.div_(temperature).log_softmax(-1)
    probabilities = theirs.exp()
    divergences = (probabilities * (theirs - ours)).sum(-1)
    grad = (ours.exp_() - probabilities) * (temperature * weights[:, None])
    return (divergences * weights).sum() * temperature**2, grad


def cross_entropy(logits: Tensor, grad: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Return the weighted sum of the cross-entropies where there are labels; add its gradient to `grad`."""
    (positions,) = torch.nonzero(labels >= 0, as_tuple=True)
    right = labels[positions]
    ours = logits[positions].log_softmax(-1)
    log_likelihood = ours.gather(1, right[:, None]).sum()
    slope = ours.exp_()
    slope[torch.arange(len(right), device=right.device), right] -= 1
    grad[positions] += weight * slope
    return -weight * log_likelihood
