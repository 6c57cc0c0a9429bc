"""DistilBERT's way: a student of some of the teacher's layers learns its word scores and its hidden states.

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
from wellread.encoder.heads import mlm_logits
from wellread.errors import ConfigError, TrainingError
from wellread.learn.distilling.student import MLM_TRANSFORM, WORDS, layers_student
from wellread.learn.distilling.targets import Question, Targets
from wellread.learn.distilling.teacher import key_of, running
from wellread.learn.distilling.word_scores import Scored, Wanted, word_score_loss
from wellread.learn.distilling.work import Job, Work, refuse_long, targets_of, token_rows
from wellread.learn.rows import Rows
from wellread.learn.settings import DistillConfig
from wellread.learn.task import Inputs, Loss, tensors
from wellread.tasks.masking import Masked, Masking, mask_tokens, masking_of, piece_counts, row_rng
from wellread.weights.checkpoint import Checkpoint

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
