"""Chroma's embedding function over a module. To import this file registers it, so that collections find it again."""

from __future__ import annotations

import os
from typing import Any

from wellread.backends.backend import FloatArray
from wellread.errors import InputError, require_package
from wellread.integrations.embedder import TWO_KINDS, Embedder
from wellread.module import Module

require_package("chromadb", install="chromadb")

from chromadb.api.types import Documents, EmbeddingFunction, Space  # noqa: E402
from chromadb.utils.embedding_functions import register_embedding_function  # noqa: E402


@register_embedding_function
class WellreadEmbeddingFunction(EmbeddingFunction[Documents]):
    """Chroma's `EmbeddingFunction`: documents by `encode_document`, queries by `encode_query`; compared by cosine.

    `model` is a handle, loaded at the first text, or a module. Options are those of
    `integrations.embedder`. A collection stores them with the fingerprint of the module: opened without a function it
    makes this one, which refuses another module.

    Raises: InputError for options that are none.

    >>> WellreadEmbeddingFunction("default", truncate_dim=64)(["A man plays."])[0].shape
    (64,)
    """

    def __init__(self, model: Module | str | os.PathLike[str] = "default", **options: Any) -> None:
        """Take a module without loading it."""
        self._embedder = Embedder(model, prompts=TWO_KINDS, **options)

    def __call__(self, input: Documents) -> list[FloatArray]:
        """Return the vector of each document."""
        return list(self._embedder.documents(input))

    def embed_query(self, input: Documents) -> list[FloatArray]:
        """Return the vector of each query."""
        return list(self._embedder.queries(input))

    @staticmethod
    def name() -> str:
        """Return the name by which a collection finds the function again."""
        return "wellread"

    def default_space(self) -> Space:
        """Return how vectors are compared where the collection does not say."""
        return "cosine"

    def get_config(self) -> dict[str, Any]:
        """Return what a collection stores. Raises: as `Embedder.settings`."""
        return self._embedder.settings()

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> WellreadEmbeddingFunction:
        """Make the function that was stored."""
        return WellreadEmbeddingFunction(**config)

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Refuse another module, or other options, for a collection. Raises: InputError."""
        changed = {name for name in {**old_config, **new_config} if old_config.get(name) != new_config.get(name)}
        changed -= {"model", "batch_size", "show_progress_bar", "precision"}  # the fingerprint says which module it is
        if changed:
            raise InputError(
                f"a collection keeps the function of its vectors; found another {', '.join(sorted(changed))}; make a "
                "new collection"
            )
