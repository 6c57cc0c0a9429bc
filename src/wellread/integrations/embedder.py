"""What every adapter holds: a module or its handle, loaded when it is first needed, and options of `encode`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from wellread.backends.backend import FloatArray
from wellread.errors import HandleError, InputError, WellreadError, nearest
from wellread.module import Module, load

OPTIONS = ("normalize_embeddings", "truncate_dim", "precision", "on_long", "batch_size", "show_progress_bar")
# What is put before texts: where queries are told from documents, and where they are not.
TWO_KINDS = ("query_prompt", "document_prompt")
ONE_KIND = ("prompt", "prompt_name")


class Embedder:
    """A module by its handle, or itself; options of `encode`, those of OPTIONS and what is in `prompts`.

    A handle is loaded at the first call, in each process that a pickle reaches. `fingerprint` says which module it must
    be: what is stored beside vectors, and what a pickle of an adapter that has computed holds.

    >>> embedder = Embedder("default", prompts=TWO_KINDS, query_prompt="query: ", normalize_embeddings=True)
    >>> embedder.queries(["who plays?"]).shape
    (1, 384)
    """

    def __init__(
        self,
        model: Module | str | os.PathLike[str] = "default",
        *,
        prompts: Sequence[str] = ONE_KIND,
        fingerprint: str | None = None,
        **options: Any,
    ) -> None:
        """Take a module without loading it. Raises: InputError for options that are none, and for another model."""
        if not isinstance(model, Module | str | os.PathLike):
            raise InputError(
                f"a module or its handle was expected; found {type(model).__name__}; pass what wellread.load takes or "
                "returns"
            )
        known = [*OPTIONS, *prompts]
        for name in options:
            if name not in known:
                raise InputError(
                    f"{name}= is no option here{nearest(name, known)}; choose of {', '.join(known)}, or set it on a "
                    "module and pass that"
                )
        self.model = model
        self.prompts = {name: options.pop(name, None) for name in prompts}
        self.options = options
        self._fingerprint = fingerprint
        self._loaded: Module | None = None

    @property
    def module(self) -> Module:
        """The module, loaded at the first call. Raises: as `wellread.load`; InputError for another than is expected."""
        if self._loaded is None:
            module = self.model if isinstance(self.model, Module) else self._load(self.model)
            if self._fingerprint is not None and module.fingerprint != self._fingerprint:
                raise InputError(
                    f"{self.name} was expected to be the module of fingerprint {self._fingerprint}, whose vectors are "
                    f"stored; found {module.fingerprint}; load the module of then, or embed the texts anew"
                )
            self._loaded = module
        return self._loaded

    def _load(self, handle: str | os.PathLike[str]) -> Module:
        try:
            return load(handle)
        except HandleError as error:
            if self._fingerprint is None:
                raise
            raise InputError(
                f"the module of fingerprint {self._fingerprint} was stored as {handle}, which finds none here "
                f"({error}); pass the module, or its handle"
            ) from error

    @property
    def name(self) -> str:
        """The handle, of a module too."""
        if isinstance(self.model, Module):
            return str(self.model.provenance.get("handle", "(in memory)"))
        return os.fspath(self.model)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the module, computed once."""
        if self._fingerprint is None:
            self._fingerprint = self.module.fingerprint
        return self._fingerprint

    def texts(self, texts: Sequence[str], **options: Any) -> FloatArray:
        """Turn N texts into vectors [N, E]."""
        return self.module.encode(texts, **{"show_progress_bar": False, **self.prompts, **self.options, **options})

    def queries(self, texts: Sequence[str]) -> FloatArray:
        """Turn N queries into vectors [N, E], with the module's prompt for them or `query_prompt`."""
        options = {"show_progress_bar": False, **self.options}
        return self.module.encode_query(texts, prompt=self.prompts["query_prompt"], **options)

    def documents(self, texts: Sequence[str]) -> FloatArray:
        """Turn N documents into vectors [N, E], with the module's prompt for them or `document_prompt`."""
        options = {"show_progress_bar": False, **self.options}
        return self.module.encode_document(texts, prompt=self.prompts["document_prompt"], **options)

    def settings(self, *, found_again: bool = False) -> dict[str, Any]:
        """Return the arguments that make an adapter anew, as JSON holds them; with the fingerprint of the module.

        Of a module, the handle that it was loaded by; with `found_again`, one that finds it, for what is opened in
        another place.

        Raises: as `wellread.load`; InputError for a module that its handle does not find again.
        """
        if found_again and isinstance(self.model, Module):
            self._check_handle()
        given = {name: value for name, value in {**self.prompts, **self.options}.items() if value is not None}
        return {"model": self.name, **given, "fingerprint": self.fingerprint}

    def _check_handle(self) -> None:
        try:
            found = load(self.name, local_files_only=True).fingerprint
        except WellreadError as error:
            found = f"an error ({error})"
        if found != self.fingerprint:
            raise InputError(
                f"a module that its handle finds again was expected, for handles are what is stored; {self.name} gave "
                f"{found}, and this module has the fingerprint {self.fingerprint}; save it, and pass its directory"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: the handle, and which module it was; or the module that was given."""
        known = self.fingerprint if self._loaded is not None and self._loaded is not self.model else self._fingerprint
        return {**vars(self), "_loaded": None, "_fingerprint": known}


class DocumentEmbedder:
    """What BERTopic and KeyBERT ask of their `BaseEmbedder`; it stands before that among the bases of a class."""

    def __init__(self, model: Module | str | os.PathLike[str] = "default", **options: Any) -> None:
        """Take a module without loading it."""
        super().__init__()
        self._embedder = Embedder(model, **options)

    def embed(self, documents: Sequence[str], verbose: bool = False) -> FloatArray:
        """Turn N documents or words into vectors [N, E]; `verbose` shows a progress bar."""
        return self._embedder.texts(documents, show_progress_bar=verbose)
