"""DistilBERT's way: a student of some of the teacher's layers learns its MLM logits and its hidden states.

A step of 2,000 tokens has 60 million scores of the student and as many of the teacher. Both are made for a few tokens
at a time, and the gradients of what made the student's are taken on the spot: hidden states, word table, bias.

Sanh et al. 2019 (arXiv:1910.01108), section 2: divergence from the teacher's word scores at a temperature, the masked
language model's own loss, and the cosine of the last hidden states. The teacher's last hidden states are what is kept
on disk; its word scores, forty times as large, are made of them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder, TorchOps
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.heads import mlm_logits
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distill.targets import (
    Job,
    Question,
    Targets,
    Work,
    key_of,
    refuse_long,
    running,
    targets_of,
    token_rows,
)
from wellread.learn.init import MLM_TRANSFORM, WORDS, layers_student
from wellread.learn.rows import Rows
from wellread.learn.settings import DistillConfig
from wellread.learn.step import Inputs, Loss, tensors
from wellread.text.masking import Masked, Masking, mask_tokens, masking_of, piece_counts, row_rng

TOKENS = 256  # whose scores are in memory at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """What scores are made of: x [N, D] behind the head's transform, the word table [V, D], a bias [V]."""

    x: Tensor
    table: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wanted:
    """What the scores of N tokens are held against."""

    soft: Tensor  # [N], the weight of each token's divergence from the teacher
    labels: Tensor  # [N], int64: the right piece; -1 where it is not asked for
    hard: float  # the weight of the right pieces' cross-entropy
    temperature: float


def word_score_loss(student: Scored, teacher: Scored, wanted: Wanted) -> Tensor:
    """Sum the divergences KL(teacher | student) at a temperature, times its square, and the cross-entropies.

    Hinton et al. 2015 (arXiv:1503.02531), section 2: the square keeps the gradient's size.
    """
    loss: Tensor = _WordScoreLoss.apply(student.x, student.table, student.bias, teacher, wanted)
    return loss


class _WordScoreLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, bias: Tensor, teacher: Scored, wanted: Wanted) -> Tensor:
        device = x.device.type
        working = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        with torch.autocast(device, enabled=False):
            rows, words = x.detach().to(working), table.detach().to(working)
            theirs, their_words = teacher.x.to(working), teacher.table.to(working)
            total = torch.zeros((), device=x.device)
            dx, dtable, dbias = torch.empty_like(rows), torch.zeros_like(table), torch.zeros_like(bias)
            for begin in range(0, len(rows), TOKENS):
                part = slice(begin, begin + TOKENS)
                scores = functional.linear(rows[part], words).float() + bias.detach()
                targets = functional.linear(theirs[part], their_words).float() + teacher.bias
                loss, grad = _divergence(scores, targets, wanted.soft[part], wanted.temperature)
                total += loss + _cross_entropy(scores, grad, wanted.labels[part], wanted.hard)
                narrow = grad.to(working)
                torch.mm(narrow, words, out=dx[part])
                dtable += narrow.T @ rows[part]
                dbias += grad.sum(0)
        ctx.save_for_backward(dx.to(x.dtype), dtable, dbias)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        dx, dtable, dbias = (grad * upstream[0] for grad in ctx.saved_tensors)
        return dx, dtable, dbias, None, None


def _divergence(scores: Tensor, targets: Tensor, weights: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of divergences, and its gradient [n, V] on `scores`."""
    ours = (scores / temperature).log_softmax(-1)
    theirs = targets.div_(temperature).log_softmax(-1)
    probabilities = theirs.exp()
    divergences = (probabilities * (theirs - ours)).sum(-1)
    grad = (ours.exp_() - probabilities) * (temperature * weights[:, None])
    return (divergences * weights).sum() * temperature**2, grad


def _cross_entropy(scores: Tensor, grad: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Return the weighted sum of the cross-entropies where there are labels; add its gradient to `grad`."""
    (places,) = torch.nonzero(labels >= 0, as_tuple=True)
    right = labels[places]
    ours = scores[places].log_softmax(-1)
    chosen = ours.gather(1, right[:, None]).sum()
    slope = ours.exp_()
    slope[torch.arange(len(right), device=right.device), right] -= 1
    grad[places] += weight * slope
    return -weight * chosen


BIAS = "cls.predictions.bias"
HEAD = (WORDS, BIAS, *MLM_TRANSFORM)


def layers_work(job: Job) -> Work:
    """Prepare a student of the teacher's layers.

    Raises: ConfigError for layers that the teacher lacks, or a student, which this method makes itself; TrainingError
        for a teacher without word scores.
    """
    teacher, config = job.teacher.checkpoint, job.config
    if job.student is not None:
        raise ConfigError(
            "the method 'layers' makes its student of the teacher's layers; found a student that was given; leave it "
            "out, or choose another method"
        )
    if not teacher.has_mlm:
        raise TrainingError(
            "the teacher's word scores were asked for; found no masked-language-model head in it; take a checkpoint "
            "that was saved with one, or distil relations or vectors"
        )
    refuse_long(teacher, job, who="teacher")
    checkpoint = layers_student(teacher, config.layers, seed=config.loop.seed, max_seq_length=config.max_seq_length)
    rows = token_rows(job)
    masks = _masks(job, rows)
    model = TorchEncoder(checkpoint).train()
    if config.layers.freeze_positions:
        model.get_parameter("embeddings.position_embeddings.weight").requires_grad = False
    task = LayersTask(
        model=model,
        judge=_judge(teacher),
        rows=rows,
        masks=masks,
        targets=targets_of(job, _questions(job, rows, masks)),
        config=config,
        facts={"data": rows.digest(), "teacher": job.teacher_hash},
    )
    return Work(task=task, targets=task.targets, checkpoint=checkpoint, tokenizer=job.teacher.tokenizer)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masks:
    """The masks of rows: `sets` of them, each drawn from the seed, the number of the set and that of the row."""

    rows: Rows
    masking: Masking
    seed: int
    sets: int

    def of(self, rows: NDArray[np.int64], epoch: int) -> tuple[Mapping[str, NDArray[np.int32]], Masked]:
        """Return the batch of some rows as it is seen in an epoch, and what is to be guessed in it."""
        batch = self.rows.pack(rows)
        rng = row_rng(self.seed, epoch % self.sets, rows)
        masked = mask_tokens(batch, masking=self.masking, rng=rng)
        return {**batch, "input_word_ids": masked.input_word_ids}, masked


def _masks(job: Job, rows: Rows) -> Masks:
    wanted, tokenizer = job.config.layers, job.teacher.tokenizer
    counts = piece_counts(rows.segments[0], tokenizer.vocab_size) if wanted.masking == "smoothed" else None
    masking = masking_of(tokenizer, kind=wanted.masking, rate=wanted.mlm_probability, counts=counts)
    return Masks(rows=rows, masking=masking, seed=job.config.loop.seed, sets=wanted.mask_sets)


def _questions(job: Job, rows: Rows, masks: Masks) -> list[Question]:
    """Ask for the last hidden states under every set of masks."""
    backend, wanted = running(job.teacher), job.config.layers
    facts = (job.teacher_hash, backend.name, backend.precision, rows.digest(), masks.seed)
    return [
        Question(
            backend=backend,
            output="sequence_output",
            width=job.teacher.checkpoint.config.hidden_size,
            per_token=True,
            lengths=rows.lengths,
            pack=_packer(masks, number),
            key=key_of("layers", *facts, wanted.masking, wanted.mlm_probability, number),
        )
        for number in range(masks.sets)
    ]


def _packer(masks: Masks, number: int) -> Callable[[NDArray[np.int64]], Mapping[str, NDArray[np.int32]]]:
    return lambda rows: masks.of(rows, number)[0]


def _judge(teacher: Checkpoint) -> TorchEncoder:
    """Return what makes the teacher's word scores of its hidden states; it is not trained."""
    tensors = {name: teacher.tensors[name] for name in HEAD}
    return TorchEncoder(replace(teacher, tensors=tensors)).eval().requires_grad_(False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayersTask:
    """Draw a student's word scores and hidden states to the teacher's, and let it guess masked words."""

    model: TorchEncoder
    judge: TorchEncoder
    rows: Rows
    masks: Masks
    targets: Targets
    config: DistillConfig
    facts: Mapping[str, str]

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, [CLS] and [SEP] included."""
        return self.rows.lengths

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Mask rows, and put the teacher's hidden states [tokens, D] and the masked pieces [tokens] beside them."""
        batch, masked = self.masks.of(rows, epoch)
        labels = np.full(batch["input_mask"].size, -1, np.int64)
        labels[masked.positions] = masked.labels
        kept = labels[batch["input_mask"].ravel() != 0]
        return tensors({**batch, "labels": kept, "theirs": self.targets.of(rows, epoch)})

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the three losses over all real tokens.

        What is of masked tokens alone is divided by the share that is masked: over many rows that is its mean, and it
        does not depend on how the rows of a step are put into batches.
        """
        made = self.model(inputs, ["sequence_output"])["sequence_output"]
        assert isinstance(made, Tensor)
        ours, theirs = made[inputs["input_mask"] != 0], inputs["theirs"].float()
        cosines = functional.cosine_similarity(ours.float(), theirs, dim=-1)
        words = word_score_loss(*self._scored(ours, theirs), self._wanted(inputs["labels"]))
        return Loss(total=words + self.config.layers.cosine_weight * (1 - cosines).sum(), count=len(ours))

    def _scored(self, ours: Tensor, theirs: Tensor) -> tuple[Scored, Scored]:
        """Make word scores of the hidden states of student and teacher, but for the last product."""
        self.judge.to(ours.device)
        with torch.no_grad():
            judged = _scored(self.judge, theirs)
        return _scored(self.model, ours), judged

    def _wanted(self, labels: Tensor) -> Wanted:
        weights, share = self.config.layers, self.config.layers.mlm_probability
        soft = torch.full(labels.shape, weights.kl_weight, device=labels.device)
        if weights.kl_positions == "masked":
            soft = (labels >= 0) * (weights.kl_weight / share)
        return Wanted(soft=soft, labels=labels, hard=weights.mlm_weight / share, temperature=self.config.temperature)

    def identity(self) -> dict[str, Any]:
        """Name teacher and data by their hashes, and what the loss is made with."""
        told = {**asdict(self.config.layers), "temperature": self.config.temperature}
        return {"task": "layers", **self.facts, **told, "teacher_on_disk": self.targets.is_kept}


class _UpToScores(TorchOps):
    """The primitives but for the product with the word table, for a row of tokens that are all wanted."""

    def gather_rows(self, x: Tensor, positions: Tensor) -> Tensor:
        return x

    def logits(self, x: Tensor, table: str, bias: str) -> Tensor:
        return x


def _scored(model: TorchEncoder, hidden: Tensor) -> Scored:
    x = mlm_logits(_UpToScores(model), model.encoder_config, hidden, hidden)
    return Scored(x=x, table=model.get_parameter(WORDS), bias=model.get_parameter(BIAS))
