"""The preprocessor as a Keras 3 layer: strings in, the encoder's inputs out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import keras

from wellread.errors import InputError
from wellread.keras.pack import BertPackInputs
from wellread.keras.source import Text, read_source
from wellread.keras.texts import TextRules
from wellread.keras.tokenize import Tokenize, checked_texts
from wellread.keras.tokenizer_json import from_json, to_json
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer
from wellread.weights.checkpoint import Checkpoint


@keras.saving.register_keras_serializable(package="wellread")
class Preprocessor(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """TF Hub's preprocessor: strings [B] to `input_word_ids`, `input_mask`, `input_type_ids`, int32 [B, seq_length].

    On Keras' TensorFlow backend it can stand in a functional model, and on any in `tf.data.Dataset.map`; elsewhere it
    takes a list of texts. The text rules are TF Hub's in every case, also for a vocabulary that came with others. For
    DistilBERT there are two inputs: no `input_type_ids`.

    `.tokenize`, `.tokenize_with_offsets` and `.bert_pack_inputs` are layers too, for pairs and other lengths.

    Raises: as `wellread.load`; InputError for what are no texts; ExportError for text rules that TF Hub has not.
    """

    def __init__(
        self, source: Any = "default", *, type_ids: bool | None = None, seq_length: int = 128, **options: Any
    ) -> None:
        """Take a handle, a Module, a Tokenizer or the JSON of one; `type_ids` goes with the family if not given."""
        super().__init__(**options)
        self._convert_input_args, self._allow_non_tensor_positional_args = False, True  # strings are no arrays
        text = _text(source)
        rules = TextRules(text.tokenizer)
        self.tokenizer = rules.tokenizer
        self.type_ids = text.type_ids if type_ids is None else type_ids
        self.seq_length = seq_length
        self.tokenize = Tokenize(rules, name=f"{self.name}_tokenize")
        self.tokenize_with_offsets = Tokenize(rules, offsets=True, name=f"{self.name}_tokenize_with_offsets")
        self.bert_pack_inputs = BertPackInputs(
            self.tokenizer.special, type_ids=self.type_ids, name=f"{self.name}_bert_pack_inputs"
        )
        self.built = True

    def __call__(self, texts: Any, *args: Any, **options: Any) -> Any:
        """Check the texts and run."""
        return super().__call__(checked_texts(texts), *args, **options)

    def call(self, texts: Any) -> dict[str, Any]:
        """Tokenize and pack one segment."""
        made: dict[str, Any] = self.bert_pack_inputs([self.tokenize(texts)], seq_length=self.seq_length)
        return made

    def compute_output_spec(self, texts: Any) -> dict[str, Any]:
        """Return the shapes of the encoder's inputs."""
        tokens = self.tokenize.compute_output_spec(texts)
        return self.bert_pack_inputs.compute_output_spec([tokens], seq_length=self.seq_length)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of, the vocabulary included."""
        own = {"source": to_json(self.tokenizer), "type_ids": self.type_ids, "seq_length": self.seq_length}
        return {**super().get_config(), **own}


def _text(source: Any) -> Text:
    """Find tokenizer and kind in whatever a Preprocessor may be made of."""
    if isinstance(source, str | os.PathLike):
        source = read_source(source)
    if isinstance(source, Text):
        return source
    if isinstance(source, Module):
        return Text(tokenizer=source.tokenizer, type_ids=source.checkpoint.config.type_vocab_size > 0)
    if isinstance(source, Mapping):
        return Text(tokenizer=from_json(source), type_ids=True)
    if isinstance(source, Tokenizer):
        return Text(tokenizer=source, type_ids=True)
    if isinstance(source, Checkpoint):
        raise InputError(
            "a vocabulary was asked of an encoder; found none: TF Hub's DistilBERT modules carry none; "
            "name its preprocessor"
        )
    raise InputError(
        f"a Preprocessor is made of a handle, a Module or a Tokenizer; found {type(source).__name__}; pass one of these"
    )
