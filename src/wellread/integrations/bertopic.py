"""BERTopic's backend over a module."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from wellread.backends.backend import FloatArray
from wellread.errors import require_package
from wellread.integrations.embedder import Embedder
from wellread.module import Module

require_package("bertopic", install="bertopic")

from bertopic.backend import BaseEmbedder  # noqa: E402


class WellreadBackend(BaseEmbedder):
    """BERTopic's `BaseEmbedder`: `BERTopic(embedding_model=WellreadBackend("default"))`.

    A module itself does not do: BERTopic takes MiniLM instead of what it does not know, and says nothing. `model` is a
    handle, loaded at the first text, or a module. Options are those of `integrations.embedder`, with `prompt` or
    `prompt_name`.

    Raises: InputError for options that are none.

    >>> WellreadBackend("default").embed(["A man plays.", "It rains."]).shape
    (2, 384)
    """

    def __init__(self, model: Module | str | os.PathLike[str] = "default", **options: Any) -> None:
        """Take a module without loading it."""
        super().__init__()
        self._embedder = Embedder(model, **options)

    def embed(self, documents: Sequence[str], verbose: bool = False) -> FloatArray:
        """Turn N documents or words into vectors [N, E]; `verbose` shows a progress bar."""
        return self._embedder.texts(documents, show_progress_bar=verbose)
