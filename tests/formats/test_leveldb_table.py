"""Tables: those that TensorFlow writes, small and large, and those that are laid out by hand."""

import random

import pytest
import tensorflow as tf
from bundles import block, row, table

from wellread.formats.leveldb_table import read_table


@pytest.fixture
def path(tmp_path):
    return tmp_path / "variables.index"


def test_a_large_index_of_tensorflow_is_read_whole(tmp_path):
    rng = random.Random(0)
    names = [f"layer_{rng.randrange(30)}/{rng.randbytes(rng.randrange(200)).hex()}{i}" for i in range(2000)]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "large"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(i) for i in range(len(names))],
    )
    path = tmp_path / "large.index"
    assert path.stat().st_size > 2**18  # where TensorFlow begins a new block
    keys = list(read_table(path))
    assert keys == sorted(name.encode() for name in ["", *names])


def test_keys_are_joined_from_what_they_share(path):
    first = block(row(b"", b"head") + row(b"abc", b"1") + row(b"d", b"2", shared=2) + row(b"e", b""), restarts=3)
    path.write_bytes(table(first, block(row(b"f", b"4")), bounds=[b"e", b"g"]))
    assert read_table(path) == {b"": b"head", b"abc": b"1", b"abd": b"2", b"e": b"", b"f": b"4"}


def test_a_table_without_entries_is_read(path):
    path.write_bytes(table())
    assert read_table(path) == {}
