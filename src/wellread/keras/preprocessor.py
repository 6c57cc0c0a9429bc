"""The preprocessor as Keras 3 layers: strings in, the encoder's inputs out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.errors import InputError, TextError, require_extra
from wellread.export.dialect import tfhub_tokenizer
from wellread.keras.source import Text, from_json, read_source, to_json
from wellread.module import Module
from wellread.text.batch import INPUTS, Ragged, bert_pack_inputs
from wellread.text.tokenizer import Tokenizer, whole
from wellread.text.vocabulary import SpecialTokens

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

        from wellread.export.graphs import text_graph

        with tf.init_scope():
            return text_graph(self.tokenizer, type_ids=True)


def of_tensorflow(values: Any) -> bool:
    """Say whether texts or tokens shall go through the TensorFlow graph: always there, else where they come from it."""
    one = values[0] if isinstance(values, list | tuple) and values else values
    return bool(keras.backend.backend() == "tensorflow") or type(one).__module__.split(".")[0] == "tensorflow"


def string_tensor(texts: Any) -> Any:
    """Make a TensorFlow tensor of strings [B]. Raises: InputError for anything else."""
    import tensorflow as tf

    tensor = texts if tf.is_tensor(texts) else tf.constant(python_texts(texts), tf.string)
    if tensor.dtype != tf.string or tensor.shape.rank not in (None, 1):
        raise InputError(
            f"texts of shape [batch] were asked for; found {tensor.dtype.name} of shape {tensor.shape}; {ADVICE}"
        )
    return tensor


def python_texts(texts: Any) -> list[str]:
    """Make a list of str; bytes are read as UTF-8. Raises: InputError, TextError."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Sequence | np.ndarray):
        raise InputError(f"a list of texts was asked for; found one {type(texts).__name__}; {ADVICE}")
    if isinstance(texts, np.ndarray) and texts.ndim != 1:
        raise InputError(
            f"texts of shape [batch] were asked for; found {texts.dtype} of shape {list(texts.shape)}; {ADVICE}"
        )
    wrong = [f"{type(text).__name__} in row {i}" for i, text in enumerate(texts) if not isinstance(text, str | bytes)]
    if wrong:
        raise InputError(
            f"each of {len(texts)} texts must be a str; {len(wrong)} are not: {', '.join(wrong[:5])}; {ADVICE}"
        )
    strings = []
    for row, text in enumerate(texts):
        try:
            strings.append(text.decode("utf-8") if isinstance(text, bytes) else whole(text))
        except UnicodeDecodeError as error:
            raise TextError(
                f"text {row} must be UTF-8; byte {error.start} of {len(text)} is not; decode the texts before"
            ) from error
    return strings


def check_symbolic(tensor: Any, *, what: str, dtype: str) -> None:
    """Refuse a symbolic input that Keras' framework cannot hold, or that is of another kind.

    Raises: InputError.
    """
    framework = keras.backend.backend()
    if framework != "tensorflow":
        raise InputError(
            f"{what} were to go through a functional model; found that Keras runs on {framework}, which has none; "
            "call the preprocessor before the model, or set KERAS_BACKEND=tensorflow"
        )
    if tensor.dtype != dtype:
        raise InputError(f"{what} of dtype {dtype} were asked for; found {tensor.dtype}; {ADVICE}")


@keras.saving.register_keras_serializable(package="wellread")
class Tokenize(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Strings [B] to rows of ids, without special tokens.

    On Keras' TensorFlow backend, and for TensorFlow's tensors on any, a RaggedTensor, int32 [B, (words), (pieces)], of
    SentencePiece [B, (pieces)]; else a `text.batch.Ragged`, int32 [B, (pieces)].
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
        rows = self.rules.tokenizer.tokenize_with_offsets(texts)
        return [rows.tokens, rows.starts, rows.limits]

    def compute_output_spec(self, texts: Any) -> Any:
        """Return the kind of what is made: ragged."""
        shape = (texts.shape[0], None, *([None] if self.rules.tokenizer.config.dialect == "tfhub" else []))
        kinds = ["int32", "int64", "int64"] if self.offsets else ["int32"]
        outputs = [keras.KerasTensor(shape, kind, ragged=True) for kind in kinds]
        return outputs if self.offsets else outputs[0]

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


@keras.saving.register_keras_serializable(package="wellread")
class BertPackInputs(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """One or two segments of B rows of ids, as `.tokenize` makes them, to the encoder's inputs: int32 [B, seq_length].

    Rows that are too long are cut, room going in turn to each segment: see `text.batch`. Without `type_ids`, the inputs
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
            count = len(segments) if isinstance(segments, list | tuple) else type(segments).__name__
            raise InputError(
                f"one or two segments can be packed; found {count}; pass [first] or [first, second], each as tokenize "
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
            return dict(self._graph([_ragged_tensor(segment) for segment in segments], seq_length))
        batch = bert_pack_inputs(segments, special=self.special, seq_length=int(seq_length))
        return {name: ops.convert_to_tensor(batch[name], dtype="int32") for name in self._names}

    @property
    def _names(self) -> tuple[str, ...]:
        return INPUTS if self.type_ids else INPUTS[:2]

    @cached_property
    def _graph(self) -> Any:
        require_extra("tensorflow_text", extra="tf")
        from wellread.export.graphs import PackInputs

        special = self.special
        ids = {"padding_id": special.pad, "start_of_sequence_id": special.cls, "end_of_segment_id": special.sep}
        return PackInputs({name: id for name, id in ids.items() if id is not None}, type_ids=self.type_ids)

    def compute_output_spec(self, segments: Sequence[Any], seq_length: Any = 128) -> dict[str, Any]:
        """Return the shapes of the inputs; a length that is a number stays known."""
        shape = (segments[0].shape[0], seq_length if isinstance(seq_length, int) else None)
        return {name: keras.KerasTensor(shape, "int32") for name in self._names}

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of."""
        return {**super().get_config(), "special": asdict(self.special), "type_ids": self.type_ids}


def _ragged_tensor(segment: Any) -> Any:
    """Make a RaggedTensor of rows that are none yet."""
    import tensorflow as tf

    if tf.is_tensor(segment):
        return segment
    rows = segment if isinstance(segment, Ragged) else Ragged.from_rows(segment)
    return tf.RaggedTensor.from_row_splits(rows.values, rows.splits)


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
        inputs: dict[str, Any] = self.bert_pack_inputs([self.tokenize(texts)], seq_length=self.seq_length)
        return inputs

    def compute_output_spec(self, texts: Any) -> dict[str, Any]:
        """Return the shapes of the encoder's inputs."""
        tokens = self.tokenize.compute_output_spec(texts)
        return self.bert_pack_inputs.compute_output_spec([tokens], seq_length=self.seq_length)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of, the vocabulary included."""
        config = {"source": to_json(self.tokenizer), "type_ids": self.type_ids, "seq_length": self.seq_length}
        return {**super().get_config(), **config}


def _text(source: Any) -> Text:
    """Find tokenizer and kind in whatever a Preprocessor may be made of."""
    if isinstance(source, str | os.PathLike):
        source = read_source(source)
    if isinstance(source, Text):
        return source
    if isinstance(source, Module):
        return Text(tokenizer=source.tokenizer, type_ids=source.checkpoint.config.reads_types)
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
