"""An encoder and its text rules as TensorFlow objects with the contract of TF Hub's modules.

The contract is that of tensorflow/models (official/nlp/tools/export_tfhub_lib.py) and of
jeongukjae/huggingface-to-tfhub. An encoder takes a dict of int32 [B, T] and gives a dict; `training=True` switches
dropout on; it has `variables`, `trainable_variables`, `regularization_losses`. A preprocessor has what
`create_preprocessing` gives it, and nothing beyond; its vocabulary or SentencePiece model lies in the graph, so that it
goes anywhere without a file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from wellread.backends.tensorflow import TensorFlowOps, variables
from wellread.checkpoints import names
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.tf_variables import DESCRIPTION, LABELS
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_INPUT, MLM_OUTPUT, run
from wellread.encoder.inputs import DEFAULT_OUTPUTS as OUTPUTS
from wellread.export.dialect import SEQ_LENGTH, tfhub_tokenizer
from wellread.schema import as_dict
from wellread.text.sentencepiece import SentencePieceEngine
from wellread.text.tokenizer import Tokenizer

MAX_SEGMENTS = 2
DEFAULT = "default"  # what Google's modules call pooled_output besides, for the API of plain text embeddings


def layer_name(checkpoint: Checkpoint) -> str:
    """Return the name of the layer in the exporters, after which Keras named the outputs of `serving_default`."""
    return "distil_bert_encoder" if checkpoint.family == "distilbert" else "bert_encoder"


IDS = tf.TensorSpec([None, None], tf.int32)
TEXTS = tf.TensorSpec([None], tf.string, name="texts")


# -- the encoder -----------------------------------------------------------------------------------------------------


def input_keys(checkpoint: Checkpoint) -> list[tuple[str, ...]]:
    """Return the sets of inputs that an encoder takes, its own first; those without types may be given some."""
    return [INPUTS] if checkpoint.config.reads_types else [INPUTS[:2], INPUTS]


def call_outputs(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Name what a call returns beside `default`: the encoder's outputs, and the logits of a head that has tensors."""
    has_logits = checkpoint.head is not None and checkpoint.head.outputs > 0
    return (*OUTPUTS, LOGITS_OUTPUT) if has_logits else OUTPUTS


class EncoderGraph:
    """The functions of one checkpoint over one set of variables."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Make the variables."""
        self.checkpoint = checkpoint
        self.variables = variables(checkpoint)
        self.names = call_outputs(checkpoint)
        self.extra = {DEFAULT: "pooled_output"} if checkpoint.family == "bert" else {}

    def outputs(
        self, inputs: Mapping[str, tf.Tensor], names: Sequence[str], *, training: bool
    ) -> dict[str, tf.Tensor | list[tf.Tensor]]:
        """Compute the outputs named."""
        ops = TensorFlowOps(self.variables, training=training)
        checkpoint = self.checkpoint
        return run(ops, checkpoint.config, checkpoint.sentence, inputs, outputs=names, head=checkpoint.head)

    def encoder(self, *, assets: Mapping[str, Path], do_lower_case: bool) -> tf.train.Checkpoint:
        """Make the root object of a SavedModel; `assets` are files that it carries, by attribute."""
        config = self.checkpoint.config

        def call(inputs: Any, training: bool = False, mask: None = None) -> dict[str, Any]:
            outputs = self.outputs(inputs, self.names, training=training)
            return outputs | {name: outputs[source] for name, source in self.extra.items()}

        root = _callable(call, [dict.fromkeys(keys, IDS) for keys in input_keys(self.checkpoint)])
        self._attach_variables(root, names.shapes(config) | names.head_shapes(config, self.checkpoint.head))
        for name, path in assets.items():
            setattr(root, name, tf.saved_model.Asset(str(path)))
        root.do_lower_case = tf.Variable(do_lower_case, trainable=False, name="do_lower_case")
        # What no tensor tells, for whoever reads the SavedModel without running it; it survives being saved again.
        setattr(root, DESCRIPTION, tf.Variable(self.description(), trainable=False, name=DESCRIPTION))
        if self.checkpoint.head is not None and self.checkpoint.head.labels:
            setattr(root, LABELS, tf.Variable(list(self.checkpoint.head.labels), trainable=False, name=LABELS))
        if self.checkpoint.has_mlm:
            root.mlm = self.mlm()
        return root

    def description(self) -> str:
        """Say family and config, and the head that judges, as JSON."""
        head = self.checkpoint.head
        facts: dict[str, Any] = {"family": self.checkpoint.family, "config": as_dict(self.checkpoint.config)}
        return json.dumps(facts | ({"head": asdict(head)} if head is not None and head.outputs else {}))

    def mlm(self) -> tf.train.Checkpoint:
        """Make the object that predicts masked words; it has no `default`."""

        def call(inputs: Any, training: bool = False, mask: None = None) -> dict[str, Any]:
            return self.outputs(inputs, (*OUTPUTS, MLM_OUTPUT), training=training)

        keys = [(*inputs, MLM_INPUT) for inputs in input_keys(self.checkpoint)]
        mlm = _callable(call, [dict.fromkeys(names, IDS) for names in keys])
        self._attach_variables(mlm, names.shapes(self.checkpoint.config, mlm=True))
        return mlm

    def _attach_variables(self, owner: tf.train.Checkpoint, tensors: Collection[str]) -> None:
        """Give an object the attributes that hub.KerasLayer looks for."""
        owner.variables = [variable for name, variable in self.variables.items() if name in tensors]
        owner.trainable_variables = list(owner.variables)
        owner.regularization_losses = []

    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """Make `serving_default`, with the names that Keras gave its outputs, and `named`, with those of the dict."""
        keys = input_keys(self.checkpoint)[0]
        specs = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in keys}
        layer = layer_name(self.checkpoint)

        def named(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = self.outputs(inputs, self.names, training=False)
            layers = {f"encoder_outputs_{i}": x for i, x in enumerate(outputs.pop("encoder_outputs"))}
            return {**outputs, **layers, **{name: outputs[source] for name, source in self.extra.items()}}

        def serving(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = self.outputs(inputs, self.names, training=False)
            outputs |= {name: outputs[source] for name, source in self.extra.items()}
            apart = {name: outputs.pop(name) for name in self.names if name not in OUTPUTS}  # not to move the numbers
            flat = tf.nest.flatten(outputs)  # sorted by key, lists in their order
            return {f"{layer}_{i}" if i else layer: x for i, x in enumerate(flat)} | apart

        return {
            "serving_default": tf.function(serving, autograph=False).get_concrete_function(**specs),
            "named": tf.function(named, autograph=False).get_concrete_function(**specs),
        }


def _callable(call: Any, structures: Sequence[Mapping[str, tf.TensorSpec]]) -> tf.train.Checkpoint:
    """Make an object that is called, traced for each structure of inputs, in training and not."""
    module = tf.train.Checkpoint()
    module.__call__ = function = tf.function(call, autograph=False)
    for structure in structures:
        for training in (False, True):
            function.get_concrete_function(structure, training=training)
    return module


# -- the preprocessor ------------------------------------------------------------------------------------------------


class WordPieces(tf.Module):
    """tensorflow-text's BertTokenizer over a vocabulary: [B, (words), (pieces)]."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Put the vocabulary into a table of the graph."""
        super().__init__()
        pieces = tf.constant(tokenizer.vocabulary.pieces)
        ids = tf.range(len(tokenizer.vocabulary), dtype=tf.int64)
        self.table = tf.lookup.StaticVocabularyTable(tf.lookup.KeyValueTensorInitializer(pieces, ids), 1)
        self.rules = tf_text.BertTokenizer(
            self.table,
            lower_case=tokenizer.config.do_lower_case,
            token_out_type=tf.int32,
            unknown_token=tokenizer.config.unk_token,
        )

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        return self.rules.tokenize(texts)

    def tokenize_with_offsets(self, texts: tf.Tensor) -> list[tf.RaggedTensor]:
        return list(self.rules.tokenize_with_offsets(texts))


class SentencePieces(tf.Module):
    """A SentencePiece model whose ids are renumbered to those of the encoder: [B, (pieces)]."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Put model and numbering into the graph."""
        super().__init__()
        engine = tokenizer.engine
        assert isinstance(engine, SentencePieceEngine)
        self.rules = tf_text.SentencepieceTokenizer(engine.model_bytes(), out_type=tf.int32)
        self.renumbering = tf.constant(engine.renumbering)

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        return self._renumber(self.rules.tokenize(texts))

    def tokenize_with_offsets(self, texts: tf.Tensor) -> list[tf.RaggedTensor]:
        tokens, *offsets = self.rules.tokenize_with_offsets(texts)
        return [self._renumber(tokens), *(tf.cast(offset, tf.int64) for offset in offsets)]

    def _renumber(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        return tokens.with_flat_values(tf.gather(self.renumbering, tokens.flat_values))


class SpecialTokens(tf.Module):
    """What has `get_special_tokens_dict()`."""

    def __init__(self, rules: WordPieces | SentencePieces, special: dict[str, int]) -> None:
        super().__init__()
        self.rules = rules
        self._special = tuple(special.items())  # a dict would be tracked, and its numbers refused

    @tf.function(input_signature=[], autograph=False)
    def get_special_tokens_dict(self) -> dict[str, tf.Tensor]:
        """Return the ids of the special tokens, and the vocabulary's size, as int32 scalars."""
        return {name: tf.constant(id, tf.int32) for name, id in self._special}


class Tokenize(SpecialTokens):
    """`.tokenize` of a preprocessor."""

    @tf.function(input_signature=[TEXTS], autograph=False)
    def __call__(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Turn B strings into ragged ids, int32 [B, (words), (pieces)] or [B, (pieces)]."""
        return self.rules.tokenize(texts)


class TokenizeWithOffsets(SpecialTokens):
    """`.tokenize_with_offsets` of a preprocessor."""

    @tf.function(input_signature=[TEXTS], autograph=False)
    def __call__(self, texts: tf.Tensor) -> list[tf.RaggedTensor]:
        """Turn B strings into [ids, starts, limits]; offsets are int64, in bytes."""
        return self.rules.tokenize_with_offsets(texts)


class PackInputs(tf.Module):
    """`.bert_pack_inputs` of a preprocessor."""

    def __init__(self, special: dict[str, int], *, type_ids: bool) -> None:
        """Take the special tokens; without `type_ids`, leave `input_type_ids` out, as DistilBERT's preprocessors do."""
        super().__init__()
        self.pad = special["padding_id"]
        self.start = special["start_of_sequence_id"]
        self.end = special["end_of_segment_id"]
        self.type_ids = type_ids

    @tf.function(autograph=False)
    def __call__(
        self, segments: Sequence[tf.RaggedTensor], seq_length: int | tf.Tensor = SEQ_LENGTH
    ) -> dict[str, tf.Tensor]:
        """Pack one or two ragged segments, int32 of rank 2 or 3, into int32 [B, seq_length]; see `text.batch`."""
        flat = [segment.merge_dims(1, -1) if segment.shape.rank > 2 else segment for segment in segments]
        special = len(flat) + 1
        room = tf.debugging.assert_less_equal(special, seq_length, "seq_length must hold the special tokens")
        with tf.control_dependencies([room] if room is not None else []):
            trimmed = tf_text.RoundRobinTrimmer(max_seq_length=seq_length - special).trim(flat)
        ids, types = tf_text.combine_segments(trimmed, start_of_sequence_id=self.start, end_of_segment_id=self.end)
        padded, mask = tf_text.pad_model_inputs(ids, seq_length, pad_value=self.pad)
        inputs = {"input_word_ids": padded, "input_mask": mask}
        if self.type_ids:
            inputs["input_type_ids"], _ = tf_text.pad_model_inputs(types, seq_length, pad_value=0)
        return inputs

    def trace(self, *, rank: int) -> None:
        """Make the functions that a SavedModel shall hold, for tokens of `rank` and flat ones."""
        for dims in {2, rank}:
            spec = tf.RaggedTensorSpec([None] * dims, tf.int32)
            for segments in ([spec] * count for count in range(1, MAX_SEGMENTS + 1)):
                self.__call__.get_concrete_function(segments)
                self.__call__.get_concrete_function(segments, seq_length=tf.TensorSpec([], tf.int32))


class TextGraph(tf.Module):
    """A preprocessor: called on strings [B], it gives the encoder's inputs, int32 [B, 128]."""

    def __init__(self, tokenizer: Tokenizer, *, type_ids: bool) -> None:
        """Build the graph of a tokenizer of the `tfhub` or `spm` dialect; see `text_graph`."""
        super().__init__()
        wordpiece = tokenizer.config.dialect == "tfhub"
        rules = WordPieces(tokenizer) if wordpiece else SentencePieces(tokenizer)
        special = tokenizer.get_special_tokens_dict()
        self._special = tuple(special.items())
        self._rank = 3 if wordpiece else 2
        self.tokenize = Tokenize(rules, special)
        self.tokenize_with_offsets = TokenizeWithOffsets(rules, special)
        self.bert_pack_inputs = PackInputs(special, type_ids=type_ids)

    @property
    def special_tokens(self) -> dict[str, int]:
        """What `get_special_tokens_dict` returns, as Python numbers."""
        return dict(self._special)

    @tf.function(input_signature=[TEXTS], autograph=False)
    def __call__(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Tokenize and pack one segment."""
        return self.bert_pack_inputs([self.tokenize(texts)])

    def trace(self) -> None:
        """Make every function that a SavedModel shall hold."""
        self.bert_pack_inputs.trace(rank=self._rank)


def text_graph(tokenizer: Tokenizer, *, type_ids: bool) -> TextGraph:
    """Build the graph of TF Hub's text rules for `tokenizer`; without `type_ids`, as DistilBERT's preprocessors.

    Raises: ExportError for text rules that TF Hub's preprocessors do not have.
    """
    return TextGraph(tfhub_tokenizer(tokenizer), type_ids=type_ids)
