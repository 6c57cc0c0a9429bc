"""LangChain's embeddings over a module."""

from __future__ import annotations

import os
from typing import Any

from wellread.errors import require_package
from wellread.integrations.embedder import TWO_KINDS, Embedder
from wellread.module import Module

require_package("langchain_core", install="langchain-core")

from langchain_core.embeddings import Embeddings  # noqa: E402


class WellreadEmbeddings(Embeddings):
    """LangChain's `Embeddings`: queries by `encode_query`, documents by `encode_document`, as lists of floats.

    `model` is a handle, loaded at the first text, or a module. Options are those of `integrations.embedder`:
    `query_prompt`, `document_prompt`, `normalize_embeddings`, `truncate_dim`, `precision`, `on_long`, `batch_size`,
    `show_progress_bar`; `fingerprint` says which module it must be.

    Raises: InputError for options that are none.

    >>> len(WellreadEmbeddings("default", truncate_dim=64).embed_query("who plays?"))
    64
    """

    def __init__(self, model: Module | str | os.PathLike[str] = "default", **options: Any) -> None:
        """Take a module without loading it."""
        self._embedder = Embedder(model, prompts=TWO_KINDS, **options)

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return self._embedder.queries([text])[0].tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vector of each document."""
        return self._embedder.documents(texts).tolist()
