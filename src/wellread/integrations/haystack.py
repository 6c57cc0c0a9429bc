"""Haystack's embedders over a module: one of queries, one of documents."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wellread.errors import InputError, require_package
from wellread.integrations.embedder import Embedder
from wellread.module import Module

require_package("haystack", install="haystack-ai")

from haystack import Document, component, default_from_dict, default_to_dict  # noqa: E402
from haystack.core import serialization  # noqa: E402

if hasattr(serialization, "allow_deserialization_module"):  # Haystack 3 makes no component of a module not on its list
    serialization.allow_deserialization_module(__name__)


@component
class WellreadTextEmbedder:
    """A component that turns a query into a vector, by `encode_query`.

    `model` is a handle, loaded by `warm_up` or at the first text, or a module. Options are those of
    `integrations.embedder`. `to_dict` holds the fingerprint of the module, and what `from_dict` makes refuses another.

    >>> len(WellreadTextEmbedder("default").run("who plays?")["embedding"])
    384
    """

    def __init__(self, model: Module | str | os.PathLike[str] = "default", **options: Any) -> None:
        """Take a module without loading it. Raises: InputError for options that are none."""
        self._embedder = Embedder(model, prompts=("query_prompt",), **options)

    def warm_up(self) -> None:
        """Load the module. Raises: as `wellread.load`; InputError for another than was stored."""
        _ = self._embedder.module

    def to_dict(self) -> dict[str, Any]:
        """Return what a pipeline stores. Raises: as `Embedder.settings`."""
        return default_to_dict(self, **self._embedder.settings(found_again=True))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> WellreadTextEmbedder:
        """Make the component that was stored."""
        return default_from_dict(cls, data)

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """Return the vector of a query. Raises: InputError for what is no str."""
        if not isinstance(text, str):
            raise InputError(
                f"one str was expected; found {type(text).__name__}; pass documents to WellreadDocumentEmbedder"
            )
        return {"embedding": self._embedder.queries([text])[0].tolist()}


@component
class WellreadDocumentEmbedder:
    """A component that gives each document its vector, by `encode_document`; documents are copied.

    As `WellreadTextEmbedder`. The values of `meta_fields_to_embed` are put before the content of a document, with
    `embedding_separator` between them.

    >>> documents = WellreadDocumentEmbedder("default").run([Document(content="A man plays.")])["documents"]
    >>> len(documents[0].embedding)
    384
    """

    def __init__(
        self,
        model: Module | str | os.PathLike[str] = "default",
        *,
        meta_fields_to_embed: Sequence[str] = (),
        embedding_separator: str = "\n",
        **options: Any,
    ) -> None:
        """Take a module without loading it. Raises: InputError for options that are none."""
        self._embedder = Embedder(model, prompts=("document_prompt",), **options)
        self._meta_fields, self._separator = list(meta_fields_to_embed), embedding_separator

    def warm_up(self) -> None:
        """Load the module. Raises: as `wellread.load`; InputError for another than was stored."""
        _ = self._embedder.module

    def to_dict(self) -> dict[str, Any]:
        """Return what a pipeline stores. Raises: as `Embedder.settings`."""
        own = {"meta_fields_to_embed": self._meta_fields, "embedding_separator": self._separator}
        return default_to_dict(self, **own, **self._embedder.settings(found_again=True))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> WellreadDocumentEmbedder:
        """Make the component that was stored."""
        return default_from_dict(cls, data)

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Return copies of documents with their vectors. Raises: InputError for what are no documents."""
        if not all(isinstance(document, Document) for document in documents):
            raise InputError(
                f"a list of Documents was expected; found {documents!r:.40}; pass a query to WellreadTextEmbedder"
            )
        vectors = self._embedder.documents([self._text(document) for document in documents])
        pairs = zip(documents, vectors.tolist(), strict=True)
        return {"documents": [replace(document, embedding=vector) for document, vector in pairs]}

    def _text(self, document: Document) -> str:
        values = [document.meta.get(name) for name in self._meta_fields]
        return self._separator.join([*(str(value) for value in values if value is not None), document.content or ""])
