"""scikit-learn's transformer over a module: texts in, vectors out."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from wellread.backends.backend import FloatArray
from wellread.errors import require_package
from wellread.integrations.embedder import Embedder
from wellread.module import Module

require_package("sklearn", install="scikit-learn")

from sklearn.base import BaseEstimator, TransformerMixin  # noqa: E402


class WellreadVectorizer(TransformerMixin, BaseEstimator):
    """A transformer of N texts into vectors [N, E], for pipelines and searches: nothing is learned in `fit`.

    `model` is a handle, loaded at the first text, or a module. The other parameters are those of `encode`; a search
    may try several, `{"wellreadvectorizer__truncate_dim": [64, 128]}`. A pickle holds the handle and the fingerprint of
    the module that computed, and refuses another; of a module that was passed, the module.

    >>> WellreadVectorizer("default").fit_transform(["A man plays.", "It rains."]).shape
    (2, 384)
    """

    def __init__(
        self,
        model: Module | str | os.PathLike[str] = "default",
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        precision: str | None = None,
        on_long: str = "truncate",
        batch_size: int | None = None,
    ) -> None:
        """Take a module without loading it."""
        self.model = model
        self.prompt = prompt
        self.prompt_name = prompt_name
        self.normalize_embeddings = normalize_embeddings
        self.truncate_dim = truncate_dim
        self.precision = precision
        self.on_long = on_long
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> WellreadVectorizer:  # noqa: N803
        """Load the module, and return the transformer. Raises: as `wellread.load`."""
        _ = self._embedder().module
        return self

    def transform(self, X: Any) -> FloatArray:  # noqa: N803
        """Turn N texts into vectors, float32 [N, E]. Raises: InputError, TextError."""
        return self._embedder().texts(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return names of the E dimensions."""
        width = self.truncate_dim or self._embedder().module.embedding_size
        return np.array([f"wellread{number}" for number in range(width)], dtype=object)

    def _embedder(self) -> Embedder:
        """Return the embedder of the parameters as they are now."""
        parameters = self.get_params(deep=False)
        held: tuple[dict[str, Any], Embedder] | None = getattr(self, "_held", None)
        if held is None or held[0] != parameters:
            held = self._held = parameters, Embedder(**parameters)
        return held[1]

    def __sklearn_tags__(self) -> Any:
        """Say what goes in: texts, and no table; and that nothing need be fitted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.requires_fit = False
        return tags
