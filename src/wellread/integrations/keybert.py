"""KeyBERT's backend over a module."""

from __future__ import annotations

from wellread.errors import require_package
from wellread.integrations.embedder import DocumentEmbedder

require_package("keybert", install="keybert")

from keybert.backend import BaseEmbedder  # noqa: E402


class WellreadBackend(DocumentEmbedder, BaseEmbedder):
    """KeyBERT's `BaseEmbedder`: `KeyBERT(model=WellreadBackend("default"))`.

    A module itself does not do: KeyBERT takes MiniLM instead of what it does not know, and says nothing. `model` is a
    handle, loaded at the first text, or a module. Options are those of `integrations.embedder`, with `prompt` or
    `prompt_name`.

    Raises: InputError for options that are none.

    >>> WellreadBackend("default").embed(["A man plays.", "It rains."]).shape
    (2, 384)
    """
