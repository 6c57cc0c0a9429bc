"""BERTopic's backend over a module."""

from __future__ import annotations

from wellread.errors import require_package
from wellread.integrations.embedder import DocumentEmbedder

require_package("bertopic", install="bertopic")

from bertopic.backend import BaseEmbedder  # noqa: E402


class WellreadBackend(DocumentEmbedder, BaseEmbedder):
    """BERTopic's `BaseEmbedder`: `BERTopic(embedding_model=WellreadBackend("default"))`.

    A module itself does not do: BERTopic takes MiniLM instead of what it does not know, and says nothing. `model` is a
    handle, loaded at the first text, or a module. Options are those of `integrations.embedder`, with `prompt` or
    `prompt_name`.

    Raises: InputError for options that are none.

    >>> WellreadBackend("default").embed(["A man plays.", "It rains."]).shape
    (2, 384)
    """
