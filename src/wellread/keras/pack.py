"""The `.bert_pack_inputs` of a Preprocessor, as a Keras 3 layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import keras
from keras import ops

from wellread.errors import InputError, require_extra
from wellread.keras.texts import check_symbolic, of_tensorflow
from wellread.text.pack import INPUTS, bert_pack_inputs
from wellread.text.ragged import Ragged
from wellread.text.vocabulary import SpecialTokens


@keras.saving.register_keras_serializable(package="wellread")
class BertPackInputs(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """One or two segments of B rows of ids, as `.tokenize` makes them, to the encoder's inputs: int32 [B, seq_length].

    Rows that are too long are cut, room going in turn to each segment: see `text.pack`. Without `type_ids`, the inputs
    are DistilBERT's two.
    """

    def __init__(self, special: SpecialTokens | Mapping[str, int], *, type_ids: bool = True, **options: Any) -> None:
        """Take the ids of the special tokens."""
        super().__init__(**options)
        self._convert_input_args, self._allow_non_tensor_positional_args = False, True  # ragged rows are no arrays
        self.special = special if isinstance(special, SpecialTokens) else SpecialTokens(**special)
        self.type_ids = type_ids
        self.built = True

    def __call__(self, segments: Any, *args: Any, seq_length: Any = 128, **options: Any) -> Any:
        """Check the segments and pack them. Raises: InputError."""
        if not isinstance(segments, list | tuple) or len(segments) not in (1, 2):
            found = len(segments) if isinstance(segments, list | tuple) else type(segments).__name__
            raise InputError(
                f"one or two segments can be packed; found {found}; pass [first] or [first, second], each as tokenize "
                "returns it"
            )
        least = len(segments) + 1
        if isinstance(seq_length, int) and seq_length < least:
            raise InputError(
                f"{len(segments)} segment(s) need a seq_length of at least {least}; found {seq_length}; raise it"
            )
        for segment in segments:
            if isinstance(segment, keras.KerasTensor):
                check_symbolic(segment, what="ragged tokens", dtype="int32")
        return super().__call__(list(segments), *args, seq_length=seq_length, **options)

    def call(self, segments: Sequence[Any], seq_length: Any = 128) -> dict[str, Any]:
        """Pack the segments."""
        if of_tensorflow(segments):
            made = self._graph([_tensor(segment) for segment in segments], seq_length)
            return dict(made)
        batch = bert_pack_inputs(segments, special=self.special, seq_length=int(seq_length))
        return {name: ops.convert_to_tensor(batch[name], dtype="int32") for name in self._names}

    @property
    def _names(self) -> tuple[str, ...]:
        return INPUTS if self.type_ids else INPUTS[:2]

    @cached_property
    def _graph(self) -> Any:
        require_extra("tensorflow_text", extra="tf")
        from wellread.export.text_graph import PackInputs

        named = {
            "padding_id": self.special.pad,
            "start_of_sequence_id": self.special.cls,
            "end_of_segment_id": self.special.sep,
        }
        return PackInputs(named, type_ids=self.type_ids)

    def compute_output_spec(self, segments: Sequence[Any], seq_length: Any = 128) -> dict[str, Any]:
        """Return the shapes of the inputs; a length that is a number stays known."""
        shape = (segments[0].shape[0], seq_length if isinstance(seq_length, int) else None)
        return {name: keras.KerasTensor(shape, "int32") for name in self._names}

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of."""
        return {**super().get_config(), "special": asdict(self.special), "type_ids": self.type_ids}


def _tensor(segment: Any) -> Any:
    """Make a RaggedTensor of rows that are none yet."""
    import tensorflow as tf

    if tf.is_tensor(segment):
        return segment
    rows = segment if isinstance(segment, Ragged) else Ragged.from_rows(segment)
    return tf.RaggedTensor.from_row_splits(rows.values, rows.splits)
