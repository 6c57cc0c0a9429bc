"""Sentence vectors of pairs: drawn to people's scores by their cosine, or to each other among those of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wellread.backends.torch import TorchEncoder
from wellread.encoder.heads import SENTENCE_OUTPUT
from wellread.learn.finetuning.labelled import hexdigest
from wellread.learn.rows import Rows
from wellread.learn.task import Inputs, Loss, tensors


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
                own = torch.arange(len(first), device=first.device)
                total = functional.cross_entropy(self.scale * first @ second.T, own, reduction="sum")
        return Loss(total=total, count=len(first))

    def identity(self) -> dict[str, Any]:
        """Name the data by their hash, and what the loss depends on."""
        if self.targets is None:
            own: dict[str, Any] = {"loss": "contrastive", "scale": self.scale}
        else:
            own = {"loss": "cosine", "targets": hexdigest(self.targets)}
        return {"data": self.rows.digest(), **own, **self.settings}
