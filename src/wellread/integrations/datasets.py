"""A function for `map` of Hugging Face's datasets, over a module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from wellread.backends.backend import FloatArray
from wellread.errors import InputError
from wellread.integrations.embedder import Embedder
from wellread.module import Module


class WellreadMapper:
    """A function for `dataset.map(WellreadMapper("default", column="text"), batched=True)`: adds a column of vectors.

    `model` is a handle, loaded in each process of `num_proc`, or a module. Options are those of
    `integrations.embedder`, with `prompt` or `prompt_name`. The dataset's cache knows the module by its fingerprint:
    another at the same handle is computed anew, and a process that loads another is refused.

    Raises: InputError for options that are none.

    >>> WellreadMapper("default", column="text")({"text": ["A man plays."]})["embedding"].shape
    (1, 384)
    """

    def __init__(
        self,
        model: Module | str | os.PathLike[str] = "default",
        *,
        column: str = "text",
        output_column: str = "embedding",
        **options: Any,
    ) -> None:
        """Take a module without loading it."""
        self.column, self.output_column = column, output_column
        self._embedder = Embedder(model, **options)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, FloatArray]:
        """Return the vectors [B, E] of a batch of rows, under `output_column`. Raises: InputError."""
        if self.column not in batch:
            raise InputError(
                f"the column {self.column} was expected; found {', '.join(batch)}; pass the column of the texts as "
                "column="
            )
        if isinstance(batch[self.column], str):
            raise InputError("a batch of rows was expected; found one row; pass batched=True to map")
        return {self.output_column: self._embedder.texts(batch[self.column])}

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds, and the dataset's cache looks at: with the fingerprint of the module."""
        _ = self._embedder.fingerprint
        return vars(self)
