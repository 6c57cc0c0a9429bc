"""Rows of ids with what each is to be answered: the task of the loop behind classify, pair, tag and answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.encoder.heads import LOGITS_OUTPUT
from wellread.learn.rows import Rows
from wellread.learn.task import Inputs, Loss, tensors
from wellread.tasks.tags import IGNORED
from wellread.text.ragged import Ragged


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledTask:
    """Answer rows by the logits of the model's head."""

    model: TorchEncoder
    rows: Rows
    targets: NDArray[np.int64] | Ragged  # [N], [N, 2] (first and last position of a span), or one a piece of the text
    losing: Callable[[Tensor, Inputs], Loss]  # from logits and inputs, `targets` among them
    settings: Mapping[str, Any]  # what the result depends on beside the data

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, special ones included."""
        return self.rows.lengths

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Pad rows to their longest, and put their targets beside them."""
        inputs = tensors(self.rows.pack(rows))
        if isinstance(self.targets, Ragged):
            targets = beside_pieces(self.targets.take(rows), inputs["input_mask"].shape[1])
        else:
            targets = self.targets[rows]
        return {**inputs, "targets": torch.from_numpy(targets)}

    def loss(self, inputs: Inputs) -> Loss:
        """Sum the losses of the logits."""
        logits = self.model(inputs, [LOGITS_OUTPUT])[LOGITS_OUTPUT]
        assert isinstance(logits, Tensor)
        return self.losing(logits.float(), inputs)

    def identity(self) -> dict[str, Any]:
        """Name the data by their hash, and what else the result depends on."""
        targets = self.targets.values if isinstance(self.targets, Ragged) else self.targets
        return {"data": self.rows.digest(), "targets": hexdigest(targets), **self.settings}


def hexdigest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def beside_pieces(targets: Ragged, width: int) -> NDArray[np.int64]:
    """Put targets of pieces where the pieces stand in packed rows of `width`, behind [CLS]: int64 [B, width].

    >>> beside_pieces(Ragged.from_rows([[7, -100, 8], [9]]), 4).tolist()
    [[-100, 7, -100, -100], [-100, 9, -100, -100]]
    """
    made = np.full((len(targets), width), IGNORED, np.int64)
    for row, given in enumerate(targets):
        kept = given[: width - 2]
        made[row, 1 : 1 + len(kept)] = kept
    return made


def label_loss(logits: Tensor, inputs: Inputs) -> Loss:
    """Sum the cross-entropy of labels over rows [B, C], or over the pieces [B, T, C] that have one."""
    targets = inputs["targets"]
    total = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return Loss(total=total, count=(targets != IGNORED).sum())


def span_loss(logits: Tensor, inputs: Inputs) -> Loss:
    """Sum the cross-entropy of where spans begin and end, their mean, over rows [B, T, 2]; padding is no place.

    Devlin et al. 2018, section 4.2.
    """
    places = logits.masked_fill(inputs["input_mask"][:, :, None] == 0, float("-inf"))
    total = functional.cross_entropy(places.transpose(1, 2).flatten(0, 1), inputs["targets"].flatten(), reduction="sum")
    return Loss(total=total / 2, count=len(logits))
