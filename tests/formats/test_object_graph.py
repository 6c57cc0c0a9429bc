"""Object graphs as TensorFlow writes them, and graphs that are made wrong by hand."""

import pytest
import tensorflow as tf
from bundles import field
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from wellread.errors import CheckpointError
from wellread.formats.object_graph import OBJECT_GRAPH_KEY, Variable, read_object_graph
from wellread.formats.tensor_bundle import read_bundle

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def graph_of(prefix):
    bundle = read_bundle(prefix)
    variables = read_object_graph(bundle.string(OBJECT_GRAPH_KEY), source=prefix)
    assert {v.key for v in variables} == bundle.tensors.keys()
    return {v.key: v for v in variables}


def test_an_encoder_that_is_reached_in_several_ways_is_read(tmp_path):
    """The shape of a TF Hub module: a second object shares the variables of the first, and points back at it."""
    root, mlm = tf.train.Checkpoint(), tf.train.Checkpoint()
    root.mlm, mlm.encoder = mlm, root
    mlm.bias = tf.Variable([1.0], name="cls/predictions/output_bias/bias")
    root.table = tf.Variable([2.0], name="word_embeddings/embeddings")
    root.layers = [tf.train.Checkpoint(kernel=tf.Variable([3.0], name=f"layer_{i}/kernel")) for i in range(2)]
    root.variables = [mlm.bias, root.table]
    assert graph_of(root.write(str(tmp_path / "model")) and tmp_path / "model") == {
        v.key: v
        for v in (
            Variable(key="table" + VALUE, name="word_embeddings/embeddings", path="table", slot=False),
            Variable(key="mlm/bias" + VALUE, name="cls/predictions/output_bias/bias", path="mlm.bias", slot=False),
            Variable(key="layers/0/kernel" + VALUE, name="layer_0/kernel", path="layers.0.kernel", slot=False),
            Variable(key="layers/1/kernel" + VALUE, name="layer_1/kernel", path="layers.1.kernel", slot=False),
        )
    }


def test_the_slots_of_an_optimizer_are_marked(tmp_path):
    weight = tf.Variable([1.0, 2.0], name="pooler_transform/bias")
    optimizer = tf.compat.v1.train.AdamOptimizer(0.1)
    optimizer.minimize(lambda: tf.reduce_sum(weight**2))
    tf.train.Checkpoint(weight=weight, optimizer=optimizer).write(str(tmp_path / "model"))
    variables = graph_of(tmp_path / "model")
    slots = {key: v.path for key, v in variables.items() if v.slot}
    assert slots == {f"weight/.OPTIMIZER_SLOT/optimizer/{slot}{VALUE}": "" for slot in "mv"}
    rest = {v.path for v in variables.values() if not v.slot}
    assert rest == {"weight", "optimizer.beta1_power", "optimizer.beta2_power"}


def test_the_variables_of_a_saved_model_are_found(tmp_path):
    root = tf.Module()
    root.kernel = tf.Variable([1.0], name="a/kernel")
    tf.saved_model.save(root, str(tmp_path / "saved"))
    variables = graph_of(tmp_path / "saved" / "variables" / "variables")
    assert variables["kernel" + VALUE] == Variable(key="kernel" + VALUE, name="a/kernel", path="kernel", slot=False)


def made(nodes, edges, **attributes):
    """A graph of so many nodes; edges are `from, to, name`, attributes the key of the node by its number."""
    graph = TrackableObjectGraph()
    for _ in range(nodes):
        graph.nodes.add()
    for start, end, name in edges:
        graph.nodes[start].children.add(node_id=end, local_name=name)
    for node, key in attributes.items():
        graph.nodes[int(node[1:])].attributes.add(name="VARIABLE_VALUE", checkpoint_key=key)
    return graph


def paths(graph):
    return {v.key: v.path for v in read_object_graph(graph.SerializeToString(), source="here")}


def test_the_shortest_path_is_taken_and_of_these_the_first():
    edges = [(0, 1, "long"), (0, 2, "b"), (0, 3, "c"), (1, 4, "x"), (2, 5, "q"), (3, 5, "r"), (4, 5, "s"), (5, 0, "t")]
    assert paths(made(6, edges, n5="k", n4="l", n0="root")) == {"k": "b.q", "l": "long.x", "root": ""}


def test_what_nothing_leads_to_has_no_path_and_a_name_may_be_left_out():
    assert read_object_graph(made(2, [], n1="k").SerializeToString(), source="here") == [
        Variable(key="k", name="", path="", slot=False)
    ]


def test_what_older_and_newer_files_add_is_passed_over():
    attribute = field(1, b"VARIABLE_VALUE") + field(2, b"full") + field(3, b"key") + field(4, 1)
    node = field(2, attribute) + field(4, field(1, b"saver")) + field(5, field(1, 1))
    assert [v.key for v in read_object_graph(field(1, node), source="here")] == ["key"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", r"0 objects \(1 to 100000 are read\)"),
        (b"\x0a\0" * 100_001, r"100001 objects \(1 to 100000 are read\)"),
        (bytes(4_000_001), r"4000001 bytes \(at most 4000000 are read\)"),
        (made(2, [(0, 2, "a")]).SerializeToString(), "a reference to object 2 of 2"),
        (made(2, [(0, -1, "a")]).SerializeToString(), "a reference to object -1 of 2"),
        (field(1, field(3, field(1, 1))), "a reference to object 1 of 1"),
        (field(1, field(3, field(3, 7))), "a reference to object 7 of 1"),
        (field(2, b""), "the unknown fields 2"),
        (field(1, field(6, b"")), "the unknown fields 6"),
        (field(1, field(1, field(3, 1))), "the unknown fields 3"),
        (field(1, field(2, field(3, b"\xff"))), "'utf-8' codec can't decode"),
        (field(1, field(1, b"\x08")), "a number at byte 1 that is cut short"),
        (field(1, 7), "field 1 holds a number where bytes stand"),
    ],
)
def test_a_graph_that_is_wrong_is_named(content, found):
    with pytest.raises(
        CheckpointError, match=f"the object graph of here was to be read; found {found}.*; fetch the checkpoint again"
    ):
        read_object_graph(content, source="here")


def test_paths_that_grow_without_end_are_named():
    chain = made(15_000, [(i, i + 1, "a") for i in range(14_999)])
    with pytest.raises(CheckpointError, match="found paths of more than 64000000 characters"):
        paths(chain)
    broad = made(100, [(0, 1, "a" * 1_000_000)] + [(1, i, "b") for i in range(2, 100)])
    with pytest.raises(CheckpointError, match="found paths of more than 64000000 characters"):
        paths(broad)
