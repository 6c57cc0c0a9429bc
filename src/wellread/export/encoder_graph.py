"""The encoder as TF Hub's SavedModels offer it: callable objects that share their variables.

The contract is that of `export_tfhub_lib` in tensorflow/models and of jeongukjae/huggingface-to-tfhub: a dict of int32
[B, T] in, a dict out; `training=True` switches dropout on; `variables`, `trainable_variables`, `regularization_losses`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf

from wellread.backends.tensorflow import TensorFlowOps, variables
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_INPUT, MLM_OUTPUT, run
from wellread.module import DEFAULT_OUTPUTS as OUTPUTS
from wellread.weights import names
from wellread.weights.checkpoint import Checkpoint
from wellread.weights.families.tensorflow import DESCRIPTION, LABELS

DEFAULT = "default"  # what Google's modules call pooled_output besides, for the API of plain text embeddings
# family -> the name of the layer in the exporter, after which Keras named the outputs of `serving_default`
LAYER_NAMES = {"bert": "bert_encoder", "distilbert": "distil_bert_encoder"}
IDS = tf.TensorSpec([None, None], tf.int32)


def input_keys(checkpoint: Checkpoint) -> list[tuple[str, ...]]:
    """Return the sets of inputs that an encoder takes, its own first; DistilBERT's takes type ids and ignores them."""
    return [INPUTS] if checkpoint.config.type_vocab_size else [INPUTS[:2], INPUTS]


def call_outputs(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Name what a call returns beside `default`: the encoder's outputs, and the logits of a head that has tensors."""
    judges = checkpoint.head is not None and checkpoint.head.outputs > 0
    return (*OUTPUTS, LOGITS_OUTPUT) if judges else OUTPUTS


class EncoderGraph:
    """The functions of one checkpoint over one set of variables."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Make the variables."""
        self.checkpoint = checkpoint
        self.variables = variables(checkpoint)
        self.wanted = call_outputs(checkpoint)
        self.extra = {DEFAULT: "pooled_output"} if checkpoint.family == "bert" else {}

    def outputs(
        self, inputs: Mapping[str, tf.Tensor], wanted: Sequence[str], *, training: bool
    ) -> dict[str, tf.Tensor | list[tf.Tensor]]:
        """Compute the outputs named."""
        ops = TensorFlowOps(self.variables, training=training)
        own = self.checkpoint
        return run(ops, own.config, own.sentence, inputs, outputs=wanted, head=own.head)

    def encoder(self, *, assets: Mapping[str, Path], do_lower_case: bool) -> tf.train.Checkpoint:
        """Make the root object of a SavedModel; `assets` are files that it carries, by attribute."""
        config = self.checkpoint.config

        def call(inputs: Any, training: bool = False, mask: None = None) -> dict[str, Any]:
            made = self.outputs(inputs, self.wanted, training=training)
            return made | {name: made[source] for name, source in self.extra.items()}

        own = names.shapes(config) | names.head_shapes(config, self.checkpoint.head)
        root = _callable(call, [dict.fromkeys(keys, IDS) for keys in input_keys(self.checkpoint)])
        _hold(root, [self.variables[name] for name in self.variables if name in own])
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
        said: dict[str, Any] = {"family": self.checkpoint.family, "config": asdict(self.checkpoint.config)}
        return json.dumps(said | ({"head": asdict(head)} if head is not None and head.outputs else {}))

    def mlm(self) -> tf.train.Checkpoint:
        """Make the object that predicts masked words; it has no `default`."""

        def call(inputs: Any, training: bool = False, mask: None = None) -> dict[str, Any]:
            return self.outputs(inputs, (*OUTPUTS, MLM_OUTPUT), training=training)

        keys = [(*inputs, MLM_INPUT) for inputs in input_keys(self.checkpoint)]
        mlm = _callable(call, [dict.fromkeys(names, IDS) for names in keys])
        own = names.shapes(self.checkpoint.config, mlm=True)
        _hold(mlm, [self.variables[name] for name in self.variables if name in own])
        return mlm

    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """Make `serving_default`, with the names that Keras gave its outputs, and `named`, with those of the dict."""
        keys = input_keys(self.checkpoint)[0]
        specs = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in keys}
        layer = LAYER_NAMES[self.checkpoint.family]

        def named(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            made = self.outputs(inputs, self.wanted, training=False)
            layers = {f"encoder_outputs_{i}": x for i, x in enumerate(made.pop("encoder_outputs"))}
            return {**made, **layers, **{name: made[source] for name, source in self.extra.items()}}

        def serving(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            made = self.outputs(inputs, self.wanted, training=False)
            made |= {name: made[source] for name, source in self.extra.items()}
            apart = {name: made.pop(name) for name in self.wanted if name not in OUTPUTS}  # not to move the numbers
            flat = tf.nest.flatten(made)  # sorted by key, lists in their order
            return {f"{layer}_{i}" if i else layer: x for i, x in enumerate(flat)} | apart

        return {
            "serving_default": tf.function(serving, autograph=False).get_concrete_function(**specs),
            "named": tf.function(named, autograph=False).get_concrete_function(**specs),
        }


def _callable(call: Any, structures: Sequence[Mapping[str, tf.TensorSpec]]) -> tf.train.Checkpoint:
    """Make an object that is called, traced for each structure of inputs, in training and not."""
    made = tf.train.Checkpoint()
    made.__call__ = function = tf.function(call, autograph=False)
    for structure in structures:
        for training in (False, True):
            function.get_concrete_function(structure, training=training)
    return made


def _hold(owner: tf.train.Checkpoint, held: list[tf.Variable]) -> None:
    """Give an object the attributes that hub.KerasLayer looks for."""
    owner.variables = held
    owner.trainable_variables = list(held)
    owner.regularization_losses = []
