"""What a fine-tuned module learns: rows, their targets, and the loss of each task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.data.examples import Examples
from wellread.encoder.heads import LOGITS_OUTPUT, SENTENCE_OUTPUT
from wellread.errors import DataError
from wellread.learn.rows import Rows
from wellread.learn.settings import FinetuneConfig
from wellread.learn.step import Inputs, Loss, tensors
from wellread.schema import as_dict
from wellread.tasks.registry import task_named
from wellread.tasks.tag import IGNORED
from wellread.text.batch import Ragged, Template
from wellread.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledTask:
    """Draw the logits of the model's head to the targets of rows."""

    model: TorchEncoder
    rows: Rows
    # [N], [N, 2] (first and last position of a span), one a piece of the text, or numbers [N, C]
    targets: NDArray[np.int64] | NDArray[np.float32] | Ragged
    loss_of: Callable[[Tensor, Inputs], Loss]  # from logits and inputs, `targets` among them
    settings: Mapping[str, Any]  # what the result depends on beside the data

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, special ones included."""
        return self.rows.lengths

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest, and put their targets beside them."""
        inputs = tensors(self.rows.pack(rows))
        if isinstance(self.targets, Ragged):
            pieces = beside_pieces(self.targets.take(rows), inputs["input_mask"].shape[1], self.rows.template)
            return {**inputs, "targets": torch.from_numpy(pieces)}
        return {**inputs, "targets": torch.from_numpy(self.targets[rows])}

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the losses of the logits."""
        logits = self.model(inputs, [LOGITS_OUTPUT])[LOGITS_OUTPUT]
        assert isinstance(logits, Tensor)
        return self.loss_of(logits.float(), inputs)

    def identity(self) -> dict[str, Any]:
        """Name the data by their hash, and what else the result depends on."""
        targets = self.targets.values if isinstance(self.targets, Ragged) else self.targets
        return {"data": self.rows.digest(), "targets": hexdigest(targets), **self.settings}


def hexdigest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def beside_pieces(targets: Ragged, width: int, template: Template) -> NDArray[np.int64]:
    """Put targets of pieces where the pieces stand in packed rows of `width`: int64 [B, width].

    >>> from wellread.text.vocabulary import SpecialTokens
    >>> template = Template.of("bert", SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4))
    >>> beside_pieces(Ragged.from_rows([[7, -100, 8], [9]]), 4, template).tolist()
    [[-100, 7, -100, -100], [-100, 9, -100, -100]]
    """
    values = np.full((len(targets), width), IGNORED, np.int64)
    for row, pieces in enumerate(targets):
        pieces = pieces[: template.room(width)]
        values[row, template.first_column : template.first_column + len(pieces)] = pieces
    return values


def label_loss(logits: Tensor, inputs: Inputs) -> Loss:
    """Sum the cross-entropy of labels over rows [B, C], or over the pieces [B, T, C] that have one.

    Labels are ids, or shares of all labels, float32 [B, C]: then it is that with a distribution (Hinton et al. 2015,
    arXiv:1503.02531, section 2).
    """
    targets = inputs["targets"]
    if targets.is_floating_point():
        return Loss(total=functional.cross_entropy(logits, targets, reduction="sum"), count=len(logits))
    total = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return Loss(total=total, count=(targets != IGNORED).sum())


def span_loss(logits: Tensor, inputs: Inputs) -> Loss:
    """Sum the cross-entropy of where spans begin and end, their mean, over rows [B, T, 2]; padding is no place.

    Devlin et al. 2018, section 4.2.
    """
    real = logits.masked_fill(inputs["input_mask"][:, :, None] == 0, float("-inf"))
    total = functional.cross_entropy(real.transpose(1, 2).flatten(0, 1), inputs["targets"].flatten(), reduction="sum")
    return Loss(total=total / 2, count=len(logits))


# Of numbers behind a head's activation; a sigmoid has a loss of its own.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda logits: logits,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "softplus": functional.softplus,
}


def score_loss(logits: Tensor, inputs: Inputs, *, activation: str = "identity") -> Loss:
    """Sum the losses of numbers over rows [B, 1]: cross-entropy behind a sigmoid, else squared errors."""
    targets = inputs["targets"]
    if activation == "sigmoid":
        return binary_loss(logits, inputs)
    scores = ACTIVATIONS[activation](logits)
    return Loss(total=(scores - targets).square().sum(), count=targets.numel())


def binary_loss(logits: Tensor, inputs: Inputs) -> Loss:
    """Sum the cross-entropy of every label's sigmoid over rows [B, C]."""
    targets = inputs["targets"]
    total = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return Loss(total=total, count=targets.numel())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairingTask:
    """Move the sentence vectors of N pairs.

    With `targets`, float32 [N], the loss is the squared difference of a pair's cosine and its target (Reimers and
    Gurevych 2019, arXiv:1908.10084, section 3). Without, every first text is to find its second one among those of
    its batch: the cross-entropy of cosines times `scale` (Henderson et al. 2017, arXiv:1705.00652). A batch is then
    what one process takes at a time, so these negatives depend on the number of processes and accumulated batches.
    """

    model: TorchEncoder
    rows: Rows  # [2N]: all first texts, then all second ones
    targets: NDArray[np.float32] | None
    scale: float
    settings: Mapping[str, Any]

    @property
    def pairs(self) -> int:
        """N."""
        return len(self.rows) // 2

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of both texts of every pair together."""
        lengths = self.rows.lengths
        total: NDArray[np.int64] = lengths[: self.pairs] + lengths[self.pairs :]
        return total

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pack the first texts of B pairs, then their second ones, [2B, T]; put targets beside them, if any."""
        inputs = tensors(self.rows.pack(np.concatenate([rows, rows + self.pairs])))
        return inputs if self.targets is None else {**inputs, "targets": torch.from_numpy(self.targets[rows])}

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the losses of the pairs."""
        vectors = self.model(inputs, [SENTENCE_OUTPUT])[SENTENCE_OUTPUT]
        assert isinstance(vectors, Tensor)
        with torch.autocast(vectors.device.type, enabled=False):  # small differences of cosines matter
            first, second = functional.normalize(vectors.float(), dim=-1, eps=1e-12).chunk(2)
            if self.targets is not None:
                total = ((first * second).sum(-1) - inputs["targets"]).square().sum()
            else:
                diagonal = torch.arange(len(first), device=first.device)
                total = functional.cross_entropy(self.scale * first @ second.T, diagonal, reduction="sum")
        return Loss(total=total, count=len(first))

    def identity(self) -> dict[str, Any]:
        """Name the data by their hash, and what the loss depends on."""
        if self.targets is None:
            loss: dict[str, Any] = {"loss": "contrastive", "scale": self.scale}
        else:
            loss = {"loss": "cosine", "targets": hexdigest(self.targets)}
        return {"data": self.rows.digest(), **loss, **self.settings}


# `Task.loss` -> the loss of logits; a cosine is lost by `PairingTask` itself
LOSSES: dict[str, Callable[[Tensor, Inputs], Loss]] = {
    "cross_entropy": label_loss,
    "start_end": span_loss,
    "regression": score_loss,
    "binary_cross_entropy": binary_loss,
}
Objective = LabelledTask | PairingTask


def build_task(
    task: str, model: TorchEncoder, tokenizer: Tokenizer, examples: Examples, config: FinetuneConfig
) -> Objective:
    """Tokenize the examples, and put beside each what the model is to learn.

    Raises: DataError for texts that the vocabulary has no pieces for.
    """
    row, head = task_named(task), model.head_config
    assert head is not None
    segments, targets = row.targets(
        tokenizer, examples, head, max_seq_length=config.max_seq_length, stride=config.doc_stride
    )
    if all((segment.values == tokenizer.special.unk).all() for segment in segments):
        pieces = sum(len(segment.values) for segment in segments)
        raise DataError(
            f"texts in the module's vocabulary were asked of {examples.source}; found that none of their {pieces} "
            "pieces is in it; take a module of their language, or check the column"
        )
    template = tokenizer.template.for_types(model.encoder_config.type_vocab_size)
    length = config.max_seq_length
    rows = Rows(segments=segments, template=template, max_seq_length=length, truncation=row.truncation)
    rows.warn_cut()
    settings = _shape(model, tokenizer)
    if row.loss == "cosine":
        return PairingTask(model=model, rows=rows, targets=targets, scale=config.scale, settings=settings)  # type: ignore[arg-type]
    loss_of = partial(score_loss, activation=head.activation) if row.loss == "regression" else LOSSES[row.loss]
    return LabelledTask(model=model, rows=rows, targets=targets, loss_of=loss_of, settings=settings)  # type: ignore[arg-type]


def _shape(model: TorchEncoder, tokenizer: Tokenizer) -> dict[str, Any]:
    """Say what the model computes, for its weights do not, and which ids are put around the texts."""
    parts = (model.encoder_config, model.sentence_config, model.head_config, tokenizer.special)
    names = ("config", "sentence", "head", "special")
    facts = {name: as_dict(part) for name, part in zip(names, parts, strict=True) if part}
    return {f"{name}.{key}": value for name, part in facts.items() for key, value in part.items()}
