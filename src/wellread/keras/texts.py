"""Strings on their way into a layer: as TensorFlow has them, or as Python and NumPy do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np

from wellread.errors import InputError, TextError, require_extra
from wellread.export.dialect import tfhub_tokenizer
from wellread.text.tokenizer import Tokenizer, whole

ADVICE = "pass a list of texts, or a keras.Input of shape () and dtype string"


class TextRules:
    """A tokenizer under TF Hub's text rules, and the same rules as a TensorFlow graph, made when it is needed."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Turn the dialect into TF Hub's. Raises: ExportError for rules that have no counterpart there."""
        self.tokenizer = tfhub_tokenizer(tokenizer)

    @cached_property
    def graph(self) -> Any:
        """The TextGraph; its tables are made outside of any graph that is being traced."""
        require_extra("tensorflow_text", extra="tf")
        import tensorflow as tf

        from wellread.export.text_graph import text_graph

        with tf.init_scope():
            return text_graph(self.tokenizer, type_ids=True)


def of_tensorflow(given: Any) -> bool:
    """Say whether texts or tokens shall go through the TensorFlow graph: always there, else where they come from it."""
    one = given[0] if isinstance(given, list | tuple) and given else given
    return bool(keras.backend.backend() == "tensorflow") or type(one).__module__.split(".")[0] == "tensorflow"


def string_tensor(given: Any) -> Any:
    """Make a TensorFlow tensor of strings [B]. Raises: InputError for anything else."""
    import tensorflow as tf

    tensor = given if tf.is_tensor(given) else tf.constant(python_texts(given), tf.string)
    if tensor.dtype != tf.string or tensor.shape.rank not in (None, 1):
        raise InputError(
            f"texts of shape [batch] were asked for; found {tensor.dtype.name} of shape {tensor.shape}; {ADVICE}"
        )
    return tensor


def python_texts(given: Any) -> list[str]:
    """Make a list of str; bytes are read as UTF-8. Raises: InputError, TextError."""
    if isinstance(given, str | bytes) or not isinstance(given, Sequence | np.ndarray):
        raise InputError(f"a list of texts was asked for; found one {type(given).__name__}; {ADVICE}")
    if isinstance(given, np.ndarray) and given.ndim != 1:
        raise InputError(
            f"texts of shape [batch] were asked for; found {given.dtype} of shape {list(given.shape)}; {ADVICE}"
        )
    wrong = [f"{type(text).__name__} in row {i}" for i, text in enumerate(given) if not isinstance(text, str | bytes)]
    if wrong:
        raise InputError(
            f"each of {len(given)} texts must be a str; {len(wrong)} are not: {', '.join(wrong[:5])}; {ADVICE}"
        )
    return [_decoded(row, text) if isinstance(text, bytes) else whole(text) for row, text in enumerate(given)]


def _decoded(row: int, text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"text {row} must be UTF-8; byte {error.start} of {len(text)} is not; decode the texts before"
        ) from error


def check_symbolic(given: Any, *, what: str, dtype: str) -> None:
    """Refuse a symbolic input that Keras' framework cannot hold, or that is of another kind.

    Raises: InputError.
    """
    framework = keras.backend.backend()
    if framework != "tensorflow":
        raise InputError(
            f"{what} were to go through a functional model; found that Keras runs on {framework}, which has none; "
            "call the preprocessor before the model, or set KERAS_BACKEND=tensorflow"
        )
    if given.dtype != dtype:
        raise InputError(f"{what} of dtype {dtype} were asked for; found {given.dtype}; {ADVICE}")
