"""Tensor bundles as TensorFlow writes them: TF1 checkpoints, SavedModels and others, in one shard and in several."""

import numpy as np
import pytest
import tensorflow as tf
from bundles import entry, write_bundle

from wellread.errors import CheckpointError
from wellread.formats.tensor_bundle import read_bundle

DTYPES = ["float64", "float32", "float16", "bfloat16", "bool"]
DTYPES += [f"{kind}{bits}" for kind in ("int", "uint") for bits in (64, 32, 16, 8)]
SHAPES = {"가나다/kernel": (3, 7), "scalar": (), "empty": (0, 3), "é": (1,)}


def save(prefix, tensors):
    """Write with the operation that every kind of checkpoint is written with."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=list(tensors.values()),
    )
    return prefix


def agrees_with_tensorflow(prefix):
    """Compare every tensor and string with TensorFlow's own reader; return how many there are."""
    ours, theirs = read_bundle(prefix), tf.train.load_checkpoint(str(prefix))
    shapes = theirs.get_variable_to_shape_map()
    assert shapes.keys() == ours.tensors.keys() | ours.strings.keys()
    for key, tensor in ours.tensors.items():
        expected, array = theirs.get_tensor(key), tensor.read()
        assert tensor.shape == tuple(shapes[key])
        assert tensor.dtype == theirs.get_variable_to_dtype_map()[key].name
        assert array.dtype == ("float32" if "float" in tensor.dtype else tensor.dtype)
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, np.asarray(expected).astype(array.dtype), strict=True)
    for key, strings in ours.strings.items():
        assert strings.shape == tuple(shapes[key])
        assert strings.read_strings() == np.array(theirs.get_tensor(key), object).ravel().tolist()
    return len(shapes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_is_read_as_tensorflow_reads_it(tmp_path, dtype):
    rng = np.random.default_rng(0)
    drawn = {name: tf.cast(rng.integers(0, 99, shape), dtype) for name, shape in SHAPES.items()}
    assert agrees_with_tensorflow(save(tmp_path / "model", drawn)) == 4


def test_negative_and_odd_numbers_keep_their_bits(tmp_path):
    drawn = {
        "f": tf.constant([-0.0, np.nan, np.inf, 1e-42, 3.4e38]),
        "h": tf.constant([-65504, 6e-8], tf.half),
        "b": tf.constant([-3e38, 1e-40], tf.bfloat16),
        "i": tf.constant([-(2**63), 2**63 - 1], tf.int64),
        "u": tf.constant([0, 2**64 - 1], tf.uint64),
    }
    assert agrees_with_tensorflow(save(tmp_path / "model", drawn)) == 5
    assert np.signbit(read_bundle(tmp_path / "model").tensors["f"].read()[0])


def test_strings_of_every_shape_are_read(tmp_path):
    long = "가" * 10_000  # a length of three bytes in the file
    drawn = {
        "scalar": tf.constant("héllo"),
        "nothing": tf.constant(""),
        "table": tf.constant([["a", "", "b" * 300], [long, "\0", "c"]]),
        "empty": tf.constant([], tf.string),
        "number": tf.constant(1.0),
    }
    prefix = save(tmp_path / "model", drawn)
    assert agrees_with_tensorflow(prefix) == 5
    bundle = read_bundle(prefix)
    assert bundle.string("scalar") == "héllo".encode()
    assert bundle.string("nothing") == b""


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("scalars", r"none \(did you mean scalar\?\)"),
        ("number", "none"),
        ("table", r"strings of shape \[2\]"),
        ("empty", r"strings of shape \[0\]"),
    ],
)
def test_a_string_that_is_not_there_is_named(tmp_path, key, found):
    drawn = {"scalar": tf.constant("x"), "table": tf.constant(["a", "b"]), "number": tf.constant(1)}
    bundle = read_bundle(save(tmp_path / "model", {**drawn, "empty": tf.constant([], tf.string)}))
    with pytest.raises(CheckpointError, match=f"model was to hold the single string '{key}'; found {found}; check the"):
        bundle.string(key)


def test_a_checkpoint_of_tf1_with_its_optimizer_is_read(tmp_path):
    v1 = tf.compat.v1
    prefix = tmp_path / "bert_model.ckpt"
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = v1.get_variable("bert/pooler/dense/kernel", [12, 5], use_resource=False)
        v1.get_variable("bert/pooler/dense/bias", [5])
        v1.train.get_or_create_global_step()
        v1.train.AdamOptimizer().minimize(tf.reduce_sum(kernel**2))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(prefix))
    assert agrees_with_tensorflow(prefix) == 7  # two weights, the step, two slots, two powers of beta
    assert {"global_step", "bert/pooler/dense/kernel/Adam_1"} < read_bundle(prefix).tensors.keys()


def test_an_object_based_checkpoint_and_a_saved_model_are_read(tmp_path):
    root = tf.train.Checkpoint(w=tf.Variable(tf.random.normal([3, 7])), steps=[tf.Variable(3), tf.Variable(True)])
    assert agrees_with_tensorflow(type(tmp_path)(root.save(str(tmp_path / "ckpt")))) == 5
    tf.saved_model.save(root, str(tmp_path / "saved"))
    assert agrees_with_tensorflow(tmp_path / "saved" / "variables" / "variables") >= 4


def test_several_shards_are_read(tmp_path):
    parts = [
        save(tmp_path / f"part{i}", {f"{name}{i}": tf.fill([i + 1, 3], i + ord(name)) for name in "ab"})
        for i in range(3)
    ]
    parts.append(save(tmp_path / "part3", {"nothing": tf.zeros([0])}))
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=list(map(str, parts)), destination_prefix=str(tmp_path / "model"), delete_old_dirs=True
    )
    assert len(list(tmp_path.glob("model.data-*-of-00004"))) == 4
    assert agrees_with_tensorflow(tmp_path / "model") == 7


def test_partitioned_variables_are_refused_by_name(tmp_path):
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model"),
        tensor_names=["word_embeddings"],
        shape_and_slices=["4 2 0,2:0,2"],
        tensors=[tf.ones((2, 2))],
    )
    with pytest.raises(
        CheckpointError, match="'word_embeddings' with a variable in parts, which are not joined; fetch"
    ):
        read_bundle(tmp_path / "model")


@pytest.mark.parametrize(("dtype", "name"), [(tf.complex64, "8 .complex64"), (tf.qint8, "11 .qint8")])
def test_a_type_that_is_not_read_is_named(tmp_path, dtype, name):
    save(tmp_path / "model", {"x": tf.cast([1, 0], dtype), "y": tf.constant(1)})
    with pytest.raises(CheckpointError, match=rf"found 'x' with the type {name}\), which is not read; fetch"):
        read_bundle(tmp_path / "model")


def test_a_float64_beyond_float32_is_named(tmp_path):
    bundle = read_bundle(save(tmp_path / "model", {"x": tf.constant(1e300, tf.float64)}))
    with pytest.raises(CheckpointError, match="'x' of .* was to be read as float32; found a float64 beyond"):
        bundle.tensors["x"].read()


def test_every_reading_is_held_against_the_checksum(tmp_path):
    bundle = read_bundle(save(tmp_path / "model", {"x": tf.constant([1.0, 2.0])}))
    assert bundle.tensors["x"].read().tolist() == [1.0, 2.0]
    shard = tmp_path / "model.data-00000-of-00001"
    whole = shard.read_bytes()
    shard.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(
        CheckpointError,
        match="'x' was to be read from .*00000-of-00001; found bytes with the checksum .* in place of .*; fetch the",
    ):
        bundle.tensors["x"].read()
    shard.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match="was to hold 8 bytes from byte 0; found 4, so it was cut after it was"):
        bundle.tensors["x"].read()


def test_a_bundle_written_by_hand_is_one_for_tensorflow_too(tmp_path):
    """The hostile bundles of the other tests are wrong in one place each, and right everywhere else."""
    first, second = np.arange(6, dtype="<f4").tobytes(), np.array([-7], "<i8").tobytes()
    entries = {"a": entry(first, shape=[2, 3]), "b/한": entry(second, dtype=9, shape=[1], shard=1)}
    assert agrees_with_tensorflow(write_bundle(tmp_path / "model", entries, first, second)) == 2
