"""mteb's encoder over a module."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from wellread.backends.backend import FloatArray
from wellread.errors import require_package
from wellread.integrations.embedder import OPTIONS, Embedder
from wellread.module import Module

require_package("mteb", install="mteb")

from mteb.models import ModelMeta  # noqa: E402
from mteb.models.abs_encoder import get_prompt_name  # noqa: E402
from mteb.types import PromptType  # noqa: E402

COMPARED = ("cosine", "dot")  # the similarities that mteb has names for


class WellreadEncoder:
    """mteb's `EncoderProtocol`: `mteb.evaluate(WellreadEncoder("default"), tasks)`.

    Queries go by `encode_query`, documents by `encode_document`, other texts by `encode`; a prompt of the module that
    is named as mteb names them (`Retrieval-query`, `STS`, `query`) is put before its texts. The results stand under the
    name of the module and its fingerprint, as revision.

    `model` is a handle or a module; mteb loads by `revision` too, the fingerprint that it must have. Options are those
    of `integrations.embedder`.

    Raises: InputError for options that are none.

    >>> WellreadEncoder("default").mteb_model_meta.embed_dim
    384
    """

    def __init__(
        self,
        model: Module | str | os.PathLike[str] = "default",
        revision: str | None = None,
        *,
        device: str | None = None,
        **options: Any,
    ) -> None:
        """Take a module without loading it."""
        self._embedder = Embedder(model, prompts=(), fingerprint=revision, **options)
        self._device = device

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **kwargs: Any,
    ) -> FloatArray:
        """Turn batches of N texts in all into vectors [N, E]."""
        module = self._embedder.module
        texts = [text for batch in inputs for text in batch["text"]]
        name = get_prompt_name(dict(module.prompts), task_metadata, prompt_type)
        encode = {PromptType.query: module.encode_query, PromptType.document: module.encode_document}.get(
            prompt_type, module.encode
        )
        given = {name: value for name, value in kwargs.items() if name in OPTIONS}
        options = {"show_progress_bar": False, **given, **self._embedder.options}
        return encode(texts, prompt_name=name, device=self._device, **options)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compare each of N vectors with each of M, by the similarity of the module: [N, M]."""
        return self._embedder.module.similarity(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compare each of N vectors with the one in its place: [N]."""
        return self._embedder.module.similarity_pairwise(embeddings1, embeddings2)

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What mteb writes of the module beside its results."""
        module, name = self._embedder.module, self._embedder.name.rstrip("/")
        known = {
            "name": name if name.count("/") == 1 else f"wellread/{os.path.basename(name)}",
            "revision": self._embedder.fingerprint,
            "max_tokens": module.max_seq_length,
            "embed_dim": self._embedder.options.get("truncate_dim") or module.embedding_size,
            "similarity_fn_name": module.similarity_fn_name if module.similarity_fn_name in COMPARED else None,
            "use_instructions": bool(module.prompts),
        }
        empty = ModelMeta.create_empty()
        return ModelMeta(**{**empty.model_dump(), **known})
