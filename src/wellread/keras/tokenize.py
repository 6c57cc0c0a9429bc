"""The `.tokenize` and `.tokenize_with_offsets` of a Preprocessor, as Keras 3 layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from wellread.errors import InputError
from wellread.keras.texts import TextRules, check_symbolic, of_tensorflow, python_texts, string_tensor
from wellread.keras.tokenizer_json import from_json, to_json


@keras.saving.register_keras_serializable(package="wellread")
class Tokenize(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Strings [B] to rows of ids, without special tokens.

    On Keras' TensorFlow backend, and for TensorFlow's tensors on any, a RaggedTensor, int32 [B, (words), (pieces)], of
    SentencePiece [B, (pieces)]; else a `text.ragged.Ragged`, int32 [B, (pieces)].
    """

    def __init__(self, rules: TextRules | Mapping[str, Any], *, offsets: bool = False, **options: Any) -> None:
        """Take the rules, or the JSON of a tokenizer; with `offsets`, return [ids, starts, limits] in bytes."""
        super().__init__(**options)
        self._convert_input_args, self._allow_non_tensor_positional_args = False, True  # strings are no arrays
        self.rules = rules if isinstance(rules, TextRules) else TextRules(from_json(rules))
        self.offsets = offsets
        # what Keras exports must hang on a layer
        self.graph = self.rules.graph if keras.backend.backend() == "tensorflow" else None
        self.built = True

    def __call__(self, texts: Any, *args: Any, **options: Any) -> Any:
        """Check the texts and cut them up. Raises: InputError."""
        return super().__call__(checked_texts(texts), *args, **options)

    def call(self, texts: Any) -> Any:
        """Cut texts up."""
        if of_tensorflow(texts):
            graph = self.rules.graph
            return graph.tokenize_with_offsets(texts) if self.offsets else graph.tokenize(texts)
        if not self.offsets:
            return self.rules.tokenizer.tokenize(texts)
        found = self.rules.tokenizer.tokenize_with_offsets(texts)
        return [found.tokens, found.starts, found.limits]

    def compute_output_spec(self, texts: Any) -> Any:
        """Return the kind of what is made: ragged."""
        shape = (texts.shape[0], None, *([None] if self.rules.tokenizer.config.dialect == "tfhub" else []))
        kinds = ["int32", "int64", "int64"] if self.offsets else ["int32"]
        made = [keras.KerasTensor(shape, kind, ragged=True) for kind in kinds]
        return made if self.offsets else made[0]

    def get_special_tokens_dict(self) -> dict[str, Any]:
        """Return the ids of the special tokens, and the vocabulary's size, as int32 scalars under TF Hub's names."""
        special = self.rules.tokenizer.get_special_tokens_dict()
        return {name: ops.convert_to_tensor(id, dtype="int32") for name, id in special.items()}

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of, the vocabulary included."""
        return {**super().get_config(), "rules": to_json(self.rules.tokenizer), "offsets": self.offsets}


def checked_texts(texts: Any) -> Any:
    """Return texts as a tensor of strings or a list of str; symbolic ones as they are.

    Raises: InputError for what are no texts, or symbolic ones where Keras cannot hold them.
    """
    if isinstance(texts, keras.KerasTensor):
        check_symbolic(texts, what="texts", dtype="string")
        if len(texts.shape) != 1:
            raise InputError(
                f"texts of shape [batch] were asked for; found shape {list(texts.shape)}; use keras.Input(shape=())"
            )
        return texts
    return string_tensor(texts) if of_tensorflow(texts) else python_texts(texts)
