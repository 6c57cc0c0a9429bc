"""Checkpoints and SavedModels that TensorFlow itself writes: of a tiny module, and of other things."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text
import tf_keras
from tiny import PIECES, tiny_config, tiny_tokenizer

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.tf_variables import EXACT_GELU, GOOGLE_GELU, Naming, to_layout
from wellread.module import Module
from wellread.schema import write_json

BERT = tiny_config(hidden_act=GOOGLE_GELU)
DISTILBERT = tiny_config(hidden_act=EXACT_GELU, type_vocab_size=0, pooler="first_token")
CONFIG = {
    **{key: getattr(BERT, key) for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")},
    **{key: getattr(BERT, key) for key in ("intermediate_size", "max_position_embeddings", "type_vocab_size")},
    **{"hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    **{"initializer_range": 0.02, "directionality": "bidi"},
}
DATA = Path(__file__).parent / "data"
TEXTS = tf.TensorSpec([None], tf.string)


def variables(naming: Naming, checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """Name and lay out the tensors of a checkpoint as TensorFlow does."""
    table, heads = naming.table(checkpoint.config, mlm=checkpoint.has_mlm), checkpoint.config.num_attention_heads
    return {row.theirs: to_layout(row.layout, checkpoint.tensors[ours].read(), heads) for ours, row in table.items()}


def write_vocabulary(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    return directory / "vocab.txt"


def write_huggingface(directory: Path, checkpoint: Checkpoint, *, config: Mapping[str, Any] | None = None) -> Path:
    """Write the same weights as a directory of Hugging Face's."""
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, **(config or {})))
    tokenizer = tiny_tokenizer(directory.parent / f"{directory.name}_text")
    Module(checkpoint=checkpoint, tokenizer=tokenizer).save(directory)
    (directory / "wellread.json").unlink()
    return directory


def write_tf1(
    directory: Path, arrays: Mapping[str, np.ndarray], *, name: str = "bert_model.ckpt", trained: bool = False
) -> Path:
    """Save variables as google-research/bert does; `trained`, with what Adam keeps and a count of steps."""
    write_vocabulary(directory)
    write_json(directory / "bert_config.json", CONFIG)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        made = [v1.get_variable(key, initializer=array) for key, array in arrays.items()]
        if trained:
            v1.train.create_global_step()
            v1.train.AdamOptimizer().minimize(tf.add_n([tf.reduce_sum(variable) for variable in made]))
            for slot in ("adam_m", "adam_v"):
                v1.get_variable(f"bert/pooler/dense/bias/{slot}", initializer=np.zeros(12, np.float32))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(directory / name), write_meta_graph=False)
    return directory


def write_saved_model(
    directory: Path, arrays: Mapping[str, np.ndarray], *, vocabulary: Path | None = None, do_lower_case: bool = True
) -> Path:
    """Save variables as attributes of a plain object, with no function at all."""
    root = tf.train.Checkpoint()
    root.variables = [tf.Variable(array, name=name) for name, array in arrays.items()]
    if vocabulary is not None:
        root.vocab_file = tf.saved_model.Asset(str(vocabulary))
        root.do_lower_case = tf.Variable(do_lower_case, trainable=False, name="do_lower_case")
    tf.saved_model.save(root, str(directory))
    return directory


class Positions(tf_keras.layers.Layer):
    """A table whose first rows are returned."""

    def __init__(self, rows: int, **options: Any) -> None:
        super().__init__(**options)
        self.rows = rows

    def build(self, shape: Any) -> None:
        self.table = self.add_weight("embeddings", (self.rows, shape[-1]))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x + self.table[: tf.shape(x)[1]]


class Block(tf_keras.layers.Layer):
    """One layer of an encoder, of Keras' own parts under the names of tensorflow/models."""

    def __init__(self, *, exact: bool, **options: Any) -> None:
        super().__init__(**options)
        layers = tf_keras.layers
        self.attention = layers.MultiHeadAttention(4, 3, name="self_attention")
        self.attention_norm = layers.LayerNormalization(epsilon=1e-12, name="self_attention_layer_norm")
        self.inner = layers.Dense(37, lambda x: tf.nn.gelu(x, approximate=not exact), name="intermediate")
        self.outer = layers.Dense(12, name="output")
        self.norm = layers.LayerNormalization(epsilon=1e-12, name="output_layer_norm")

    def call(self, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        x = self.attention_norm(x + self.attention(x, x, attention_mask=mask[:, None, :]))
        return self.norm(x + self.outer(self.inner(x)))


def keras_encoder(arrays: Mapping[str, np.ndarray], *, types: bool, exact: bool) -> tf_keras.Model:
    """Build an encoder of Keras layers that are named as TF Hub's, so that its variables are."""
    layers = tf_keras.layers
    names = ["input_word_ids", "input_mask", "input_type_ids"][: 3 if types else 2]
    inputs = {name: layers.Input([None], dtype=tf.int32, name=name) for name in names}
    x = layers.Embedding(99, 12, name="word_embeddings")(inputs["input_word_ids"])
    x = Positions(41, name="position_embedding")(x)
    if types:
        x += layers.Embedding(2, 12, name="type_embeddings")(inputs["input_type_ids"])
    x = layers.LayerNormalization(epsilon=1e-12, name="embeddings/layer_norm")(x)
    encoded = []
    for i in range(3):
        x = Block(exact=exact, name=f"transformer/layer_{i}")(x, inputs["input_mask"])
        encoded.append(x)
    pooled = layers.Dense(12, "tanh", name="pooler_transform")(x[:, 0]) if types else x[:, 0]
    outputs = {"pooled_output": pooled, "sequence_output": x, "encoder_outputs": encoded}
    model = tf_keras.Model(inputs, outputs)
    for variable in model.variables:
        variable.assign(arrays[variable.name.removesuffix(":0")])
    return model


def write_preprocessor(directory: Path, tokenizer: Any) -> Path:
    """Save a tokenizer of tensorflow-text as something that is called on strings."""

    class Preprocessor(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = tokenizer

        @tf.function(input_signature=[TEXTS])
        def __call__(self, texts: tf.Tensor) -> Any:
            return self.tokenizer.tokenize(texts)

    tf.saved_model.save(Preprocessor(), str(directory))
    return directory


def wordpiece(directory: Path, *, lower_case: bool, **options: Any) -> Any:
    """Make tensorflow-text's tokenizer over the tiny vocabulary."""
    vocabulary = str(write_vocabulary(directory))
    return tensorflow_text.BertTokenizer(vocabulary, lower_case=lower_case, token_out_type=tf.int32, **options)


def copied(source: Path, target: Path) -> Path:
    """Copy a directory, to damage the copy."""
    return Path(shutil.copytree(source, target))
