"""The variables of a SavedModel by name: the model's own, what training left, what no object owns."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
import tf_made

from wellread.checkpoints.saved_model import read_variables
from wellread.errors import CheckpointError


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("variables")


def test_variables_stand_under_their_names(place):
    arrays = {"a/b": np.arange(3, dtype=np.float32), "c": np.ones((2, 2), np.float32)}
    vocabulary = tf_made.write_vocabulary(place / "words")
    tf_made.write_saved_model(place / "plain", arrays, vocabulary=vocabulary, do_lower_case=True)
    found = read_variables(place / "plain")
    assert found.do_lower_case is True
    assert found.ignored == {"save_counter": "1 variables: how often it was saved"}
    assert {name: tensor.read().tolist() for name, tensor in found.tensors.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }


def test_what_wellread_says_of_an_encoder_is_read(place):
    root = tf.train.Checkpoint()
    root.wellread = tf.Variable("said", trainable=False, name="wellread")
    root.part = tf.train.Checkpoint()
    root.part.wellread = tf.Variable([1.0], name="other")
    tf.saved_model.save(root, str(place / "said"))
    found = read_variables(place / "said")
    assert (found.description, list(found.tensors)) == (b"said", ["other"])


def test_slots_of_an_optimizer_are_left_out(place):
    from tf_keras.optimizers.legacy import Adam

    root, variable = tf.train.Checkpoint(), tf.Variable([1.0, 2.0], name="x")
    root.variable, root.trainer = variable, Adam()
    root.trainer.apply_gradients([(tf.constant([1.0, 1.0]), variable)])
    tf.saved_model.save(root, str(place / "slots"))
    found = read_variables(place / "slots")
    assert found.tensors.keys() == {"x", "Adam/iter", "Adam/beta_1", "Adam/beta_2", "Adam/decay", "Adam/learning_rate"}
    assert found.ignored["optimizer, metrics"] == "2 variables: what Keras kept of training"


def test_there_may_be_none(tmp_path):
    assert (read_variables(tmp_path).tensors, read_variables(tmp_path).do_lower_case) == ({}, None)


def test_a_state_that_no_variable_owns_is_shown_by_its_key(place):
    root = tf.train.Checkpoint()
    root.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    root.table.insert(tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64))
    tf.saved_model.save(root, str(place / "table"))
    tensors = read_variables(place / "table").tensors
    (words,) = [tensor for tensor in tensors.values() if tensor.dtype == "string"]
    assert sorted(words.read().tolist()) == [b"a", b"b"]
    assert len(tensors) == 2


def test_a_variable_that_the_bundle_lacks_is_named(place, tmp_path):
    large = tf_made.write_saved_model(place / "large", {"x": np.zeros(2), "y": np.zeros(3)})
    small = tf_made.write_saved_model(tmp_path / "small", {"x": np.zeros(2)})
    graph = tf.train.load_checkpoint(str(large / "variables" / "variables")).get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    names = ["_CHECKPOINTABLE_OBJECT_GRAPH", "variables/0/.ATTRIBUTES/VARIABLE_VALUE"]
    shutil.rmtree(small / "variables")
    (small / "variables").mkdir()
    prefix = str(small / "variables" / "variables")
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=["", ""], tensors=[graph, tf.zeros(2)])
    with pytest.raises(
        CheckpointError,
        match=r"was to hold the 3 variables of its object graph; found none under .*variables/1/.ATTRIBUTES/VARIABLE_V",
    ):
        read_variables(small)
