"""What the loop trains: a model, rows of data, and the loss of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Inputs = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loss:
    """The losses of a batch, summed, and how many they are: the loop divides by the count of a whole step."""

    total: Tensor  # a float of no dimension
    count: int | Tensor  # tokens or rows, whatever the task takes the mean over


def tensors(arrays: Mapping[str, NDArray[Any]]) -> Inputs:
    """Present the arrays of a batch to PyTorch, without a copy."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class Task(Protocol):
    """One kind of training.

    What `collate` draws at random depends on `epoch` and the rows alone, or comes from torch's generator, which the
    loop seeds anew at every step, as dropout does. So a step is the same in a resumed run.
    """

    @property
    def model(self) -> nn.Module:
        """What is trained, in the mode that the task wants; parameters that require no gradient stay as they are."""

    def lengths(self, epoch: int) -> NDArray[np.int64]:
        """Return the tokens of every row, int64 [N], as `collate` gives them: batches are planned by them."""

    def collate(self, rows: NDArray[np.int64], epoch: int) -> Inputs:
        """Return the tensors of a batch, on the CPU."""

    def loss(self, inputs: Inputs) -> Loss:
        """Return the loss of what `collate` made, on the model's device."""

    def identity(self) -> Mapping[str, Any]:
        """Return what JSON can hold of all that decides the result beside the model: a hash of the data, settings."""
