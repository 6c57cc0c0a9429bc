"""LlamaIndex's embedding model over a module."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from wellread.errors import require_package
from wellread.integrations.embedder import TWO_KINDS, Embedder
from wellread.module import Module

require_package("llama_index", install="llama-index-core")

from llama_index.core.base.embeddings.base import BaseEmbedding  # noqa: E402
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr  # noqa: E402


class WellreadEmbedding(BaseEmbedding):
    """LlamaIndex's `BaseEmbedding`: queries by `encode_query`, texts of nodes by `encode_document`.

    `model` is a handle, loaded at the first text, or a module; `embed_batch_size` is how many texts LlamaIndex hands
    over at a time. `to_dict`, and with it the cache of a pipeline, holds the fingerprint of the module.

    Raises: pydantic's ValidationError for options that are none.

    >>> len(WellreadEmbedding("default", truncate_dim=64).get_query_embedding("who plays?"))
    64
    """

    model_config = ConfigDict(extra="forbid")
    model: Any = Field("default", description="A handle, or a Module.")
    query_prompt: str | None = Field(None, description="Put before queries; None: the module's own.")
    document_prompt: str | None = Field(None, description="Put before texts of nodes; None: the module's own.")
    normalize_embeddings: bool = Field(False, description="Whether vectors have length 1.")
    truncate_dim: int | None = Field(None, description="How many dimensions are kept.")
    precision: str | None = Field(None, description="What is computed in.")
    on_long: str = Field("truncate", description="What becomes of long texts: truncate, chunk, error.")
    fingerprint: str | None = Field(None, description="Which module it must be.")
    embed_batch_size: int = Field(2048, gt=0, le=2048, description="Texts that are handed over at a time.")
    _embedder: Embedder = PrivateAttr()

    def __init__(self, model: Module | str | os.PathLike[str] = "default", **fields: Any) -> None:
        """Take a module without loading it."""
        super().__init__(model=model, **fields)
        names = (*TWO_KINDS, "normalize_embeddings", "truncate_dim", "precision", "on_long", "fingerprint")
        self._embedder = Embedder(model, prompts=TWO_KINDS, **{name: getattr(self, name) for name in names})
        self.model_name = self._embedder.name

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores."""
        return "WellreadEmbedding"

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return what `from_dict` takes, with the fingerprint of the module. Raises: as `Embedder.settings`."""
        return {**super().to_dict(**kwargs), **self._embedder.settings()}

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embedder.queries([query])[0].tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.documents(texts).tolist()

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)
