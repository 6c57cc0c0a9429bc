"""Tensor bundles that are damaged or made to harm: each ends in one named error, in time and memory of their size."""

import random
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
import tensorflow as tf
from bundles import block, checksum, entry, field, header, row, table, varint, write_bundle
from hypothesis import given
from hypothesis import strategies as st

from wellread.errors import CheckpointError
from wellread.formats.leveldb_table import read_table
from wellread.formats.object_graph import read_object_graph
from wellread.formats.tensor_bundle import read_bundle

HEAD = row(b"", header())
TWO = np.array([1, 2], "<f4").tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.index"


@pytest.fixture
def prefix(tmp_path):
    return tmp_path / "model"


def read_all(prefix):
    bundle = read_bundle(prefix)
    return [t.read().tolist() for t in bundle.tensors.values()] + [s.read_strings() for s in bundle.strings.values()]


TABLES = {
    "no table": (bytes(100), "100 bytes that do not end as a table does"),
    "too short for a footer": (bytes(20), "20 bytes that do not end as a table does"),
    "padding": (table(block(HEAD), padding=b"\1"), "bytes other than zeros in the padding at its end"),
    "metadata": (table(block(HEAD), metadata=row(b"a", b"b")), "metadata, which TensorFlow does not write"),
    "snappy": (table(block(HEAD, compression=1)), "a block at byte 0 of the compression snappy, which is not read"),
    "a compression unknown": (table(block(HEAD, compression=9)), "a block at byte 0 of the compression 9, which"),
    "keys that fall": (table(block(row(b"b", b"") + row(b"a", b""))), "the key b'a' after b'b', where keys must"),
    "a key twice": (table(block(row(b"b", b"") * 2)), "the key b'b' after b'b', where keys must rise"),
    "the empty key twice": (table(block(HEAD * 2)), "the key b'' after b'', where keys must rise"),
    "blocks that fall": (
        table(block(row(b"b", b"")), block(row(b"a", b"")), bounds=[b"b", b"c"]),
        "the key b'a' after b'b', where keys must rise",
    ),
    "a bound below its keys": (
        table(block(row(b"b", b"")), bounds=[b"a"]),
        "a block of 1 keys, the last b'b', below the bound b'a'",
    ),
    "a bound above the next block": (
        table(block(row(b"a", b"")), block(row(b"b", b"")), bounds=[b"c", b"d"]),
        "the key b'b' after b'c'",
    ),
    "an empty block": (table(block(b"")), "a block of 0 keys, the last b''"),
    "too much shared": (table(block(HEAD + row(b"a", b"", shared=1))), r"a key of 1 \+ 1 bytes and a value of 0 where"),
    "a value too long": (
        table(block(b"\0\1\x7fab")),
        r"a key of 0 \+ 1 bytes and a value of 127 where they do not fit",
    ),
    "a length too long": (table(block(b"\0" + b"\xff" * 11)), "a number at byte 1 that is cut short, or longer"),
    "a long key": (table(block(row(bytes(1025), b""))), "a key of 1025 bytes .at most 1024 are read"),
    "more restarts than bytes": (table(block(HEAD, stated=2**31)), r"a block of \d+ bytes with 2147483648 restarts"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_wrong_behind_good_checksums_is_named(path, name):
    raw, found = TABLES[name]
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=f"checkpoint's index; found {found}.*; fetch the file again, or save it"):
        read_table(path)


WHOLE = table(block(HEAD))
BODY = WHOLE[:-48]  # all but the footer
INDEX = len(block(HEAD) + block(b""))  # where the index block begins


def footer(*numbers):
    """A footer that says where metadata and index lie."""
    return b"".join(map(varint, numbers)).ljust(40, b"\0") + WHOLE[-8:]


META = (len(block(HEAD)), len(block(b"")) - 5)
LISTED = (INDEX, len(BODY) - INDEX - 5)


def test_the_parts_below_make_a_table_that_is_read(path):
    path.write_bytes(BODY + footer(*META, *LISTED))
    assert read_table(path) == {b"": header()}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"\0" + WHOLE, "a block at byte .* with the checksum .* in place of"),
        (BODY[:INDEX] + b"\0" + BODY[INDEX:] + WHOLE[-48:], "a block at byte .* with the checksum"),
        (BODY + bytes(9) + WHOLE[-48:], "9 bytes between its blocks and its end"),
        (BODY + footer(*META, INDEX, 2**63), rf"a block that ends at byte {INDEX + 2**63} in a file of {len(WHOLE)}"),
        (BODY + footer(*META, 2**64 - 1, 0), f"a block that ends at byte {2**64 - 1} in a file of"),
        (BODY + footer(*LISTED, *LISTED), f"a block at byte {INDEX} where the one before it ends at {META[0]}"),
        (BODY + footer(*META, *META), f"a block at byte {META[0]} where the one before it ends at 0"),
        (table(block(HEAD), gap=b"\0"), "a block at byte 1 where the one before it ends at 0"),
        (table(block(HEAD), surplus=b"\0"), "1 bytes after the place of a block"),
    ],
)
def test_blocks_that_do_not_lie_end_to_end_are_named(path, raw, found):
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=f"checkpoint's index; found {found}.*; fetch the file again, or save it"):
        read_table(path)


def test_too_many_keys_and_too_large_a_file_are_named(path):
    rows = row(b"", b"") + b"".join(row(i.to_bytes(3, "big"), b"") for i in range(100_000))
    path.write_bytes(table(block(rows)))
    with pytest.raises(CheckpointError, match="found more than 100000 keys"):
        read_table(path)
    with path.open("wb") as file:
        file.truncate(8_000_001)
    with pytest.raises(CheckpointError, match="found 8000001 bytes .at most 8000000 are read"):
        read_table(path)


ENTRIES = {
    "sizes": (entry(TWO, shape=[3]), r"'a' with the shape \[3\] and the type float32 in 8 bytes"),
    "a huge tensor": (entry(TWO, shape=[2**62, 2**62]), "and the type float32 in 8 bytes"),
    "a huge size": (entry(TWO, shape=[2**40], size=2**42), None),
    "a negative length": (entry(TWO, shape=[-2]), r"'a' with the shape \[-2\] and the type float32 in 8 bytes"),
    "lengths whose product is right": (entry(TWO, shape=[-1, -2]), r"'a' with the shape \[-1, -2\]"),
    "an empty shape that overflows": (entry(b"", shape=[0, 2**62]), r"the shape \[0, 4611686018427387904\]"),
    "many dimensions": (entry(TWO, shape=[2] + [1] * 64), "a shape of 65 dimensions .at most 64 are read"),
    "no known rank": (field(1, 1) + field(2, field(3, 1)), "a shape of 0 dimensions .*, or of no known rank"),
    "a negative size": (entry(TWO, shape=[2], size=-8), "in -8 bytes"),
    "a shard that is not there": (entry(TWO, shape=[2], shard=1), "'a' with the shard 1 of 1"),
    "a negative shard": (entry(TWO, shape=[2], shard=-1), "'a' with the shard -1 of 1"),
    "complex": (entry(TWO, dtype=8), r"'a' with the type 8 \(complex64\), which is not read"),
    "a reference": (entry(TWO, dtype=101), r"'a' with the type 101 \(unknown\), which is not read"),
    "no type": (b"", r"'a' with the type 0 \(unknown\)"),
    "slices": (entry(TWO, extra=field(7, b"")), "'a' with a variable in parts, which are not joined"),
    "an unknown field": (entry(TWO, extra=field(8, 1)), "'a' with the unknown fields 8"),
    "a field twice": (entry(TWO, shape=[2], extra=field(4, 0)), "'a' with field 4 stands 2 times"),
    "a type of bytes": (field(1, b"x"), "'a' with field 1 holds bytes where a number stands"),
    "cut": (entry(TWO)[:-1], "'a' with a field of 4 bytes where 3 are left"),
    "strings in no space": (entry(TWO, dtype=7, shape=[5]), r"the shape \[5\] and the type string in 8 bytes"),
    "endless strings": (entry(TWO, dtype=7, shape=[2**62] * 3), "and the type string in 8 bytes"),
    "before the shard": (entry(TWO, shape=[2], offset=-8), None),
    "behind the shard": (entry(TWO, shape=[2], offset=2**62), None),
}


@pytest.mark.parametrize("name", [name for name, (_, found) in ENTRIES.items() if found])
def test_an_entry_that_is_wrong_is_named(prefix, name):
    raw, found = ENTRIES[name]
    write_bundle(prefix, {"a": raw}, TWO)
    with pytest.raises(CheckpointError, match=rf"model\.index was to be read .*; found .*{found}.*; fetch the file"):
        read_bundle(prefix)


@pytest.mark.parametrize(
    ("entries", "shard", "found"),
    [
        ({"a": ENTRIES["before the shard"][0]}, TWO, "'a' at byte -8 where the tensor before it ends at byte 0"),
        ({"a": ENTRIES["behind the shard"][0]}, TWO, f"'a' at byte {2**62} where the tensor before it ends at byte 0"),
        ({"a": ENTRIES["a huge size"][0]}, TWO, f"8 bytes where the index says {2**42}"),
        ({"a": entry(TWO, shape=[2]), "b": entry(TWO, shape=[2])}, TWO, "'b' at byte 0 where .* ends at byte 8"),
        ({"a": entry(TWO, shape=[2]), "b": entry(TWO, shape=[2], offset=4)}, TWO + TWO, "'b' at byte 4 where"),
        ({"a": entry(TWO, shape=[2]), "b": entry(TWO, shape=[2], offset=12)}, TWO * 3, "'b' at byte 12 where"),
        ({"a": entry(TWO, shape=[2])}, TWO + b"\0", "9 bytes where the index says 8"),
        ({"a": entry(TWO, shape=[2])}, TWO[:-1], "7 bytes where the index says 8"),
        ({}, TWO, "8 bytes where the index says 0"),
    ],
)
def test_tensors_that_do_not_cover_their_shard_are_named(prefix, entries, shard, found):
    write_bundle(prefix, entries, shard)
    with pytest.raises(CheckpointError, match=rf"data-00000-of-00001 was to .*; found {found}.*; fetch index and"):
        read_bundle(prefix)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (header(shards=0), r"0 shards \(1 to 1000 are read\) in the header"),
        (header(shards=2**31 - 1), r"2147483647 shards \(1 to 1000 are read\) in the header"),
        (header(shards=-1), "-1 shards"),
        (header(endianness=1), "big-endian numbers, which are not read, in the header"),
        (header(version=field(2, 2)), r"a format for readers of version 2 \(wellread reads 1\) in the header"),
        (header(version=field(3, b"\1")), "a format for readers of version 0"),
        (header() + field(4, 1), "the unknown fields 4 in the header"),
        (header()[:-1], "a field of 2 bytes where 1 are left in the header"),
    ],
)
def test_a_header_that_is_wrong_is_named(prefix, head, found):
    write_bundle(prefix, {}, b"", head=head)
    with pytest.raises(
        CheckpointError, match=rf"model\.index was to be read .*; found {found}.*; fetch the file again"
    ):
        read_bundle(prefix)


def test_an_index_without_header_is_named(prefix, path):
    path.write_bytes(table(block(row(b"a", entry(TWO, shape=[2])))))
    with pytest.raises(CheckpointError, match="found no header; fetch"):
        read_bundle(prefix)


def test_all_faults_are_named_up_to_twenty(prefix):
    write_bundle(prefix, {f"a{i:02}": entry(TWO, dtype=8) for i in range(23)}, b"")
    with pytest.raises(CheckpointError, match="found 'a00' with .*, 'a19' with the type 8 .* and 3 more; fetch"):
        read_bundle(prefix)


def test_a_key_that_is_no_text_is_named(prefix, path):
    path.write_bytes(table(block(HEAD + row(b"a\xff", entry(TWO, shape=[2])))))
    with pytest.raises(CheckpointError, match=r"'a\\\\xff' with 'utf-8' codec can't decode"):
        read_bundle(prefix)


def test_missing_shards_are_all_named(prefix):
    write_bundle(prefix, {}, b"", b"", b"")
    for i in (0, 2):
        prefix.with_name(f"model.data-0000{i}-of-00003").unlink()
    with pytest.raises(
        CheckpointError,
        match="of 3 shards; found no model.data-00000-of-00003, model.data-00002-of-00003; fetch the missing",
    ):
        read_bundle(prefix)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"", "an empty file"),
    ],
)
def test_something_else_in_the_place_of_index_or_shard_is_named(prefix, path, raw, found):
    write_bundle(prefix, {"a": entry(TWO, shape=[2])}, raw)
    with pytest.raises(CheckpointError, match=rf"data-00000-of-00001 was to be read as .*; found {found}"):
        read_bundle(prefix)
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=rf"model\.index was to be read as .*; found {found}"):
        read_bundle(prefix)


def strings(*values, lengths=None):
    """The content of a tensor of strings, and what its entry's checksum is over."""
    sizes = [len(value) for value in values] if lengths is None else lengths
    words = b"".join(size.to_bytes(4, "little") for size in sizes)
    tail = checksum(words) + b"".join(values)
    return b"".join(map(varint, sizes)) + tail, words + tail


@pytest.mark.parametrize(
    ("stored", "summed", "found"),
    [
        (*strings(b"ab", lengths=[3]), "strings of 8 bytes in the place of 7"),
        (*strings(b"ab", lengths=[1]), "strings of 6 bytes in the place of 7"),
        (b"\x80" * 20, b"", "a number at byte 0 that is cut short"),
        (b"\xff" * 9 + b"\1" + bytes(4), b"", f"strings of {2**64 - 1 + 14} bytes in the place of 14"),
        (b"\2" + bytes(4) + b"ab", b"\2\0\0\0" + bytes(4) + b"ab", "lengths with the checksum .* in place of 00000000"),
        (b"\2" + bytes(4) + b"ab", b"", "bytes with the checksum"),
    ],
)
def test_a_damaged_string_is_named(prefix, stored, summed, found):
    write_bundle(prefix, {"s": entry(summed, dtype=7, size=len(stored))}, stored)
    with pytest.raises(CheckpointError, match=f"'s' was to be read from .*; found {found}.*; fetch the file again"):
        read_bundle(prefix).string("s")


def test_a_string_of_no_sane_size_is_named_before_it_is_read(prefix):
    write_bundle(prefix, {"s": entry(b"", dtype=7, size=4_000_001)}, b"")
    with prefix.with_name("model.data-00000-of-00001").open("wb") as file:
        file.truncate(4_000_001)
    with pytest.raises(CheckpointError, match=r"found 4000001 bytes of text \(at most 4000000 are read\)"):
        read_bundle(prefix).string("s")


def test_no_number_in_a_file_takes_memory(prefix):
    """Every hostile table and entry above, in less than two megabytes."""
    tracemalloc.start()
    try:
        for raw, _ in TABLES.values():
            prefix.with_name("model.index").write_bytes(raw)
            with pytest.raises(CheckpointError):
                read_bundle(prefix)
        for raw, _ in ENTRIES.values():
            write_bundle(prefix, {"a": raw}, TWO)
            with pytest.raises(CheckpointError):
                read_bundle(prefix)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A small bundle as TensorFlow writes it, with an object graph in it."""
    prefix = tmp_path_factory.mktemp("real") / "model"
    state = {"w": tf.Variable([[1.5, -2.0, 3.0]]), "n": tf.Variable(7, dtype=tf.int64), "s": tf.Variable(["é", ""])}
    tf.train.Checkpoint(**state).write(str(prefix))
    return prefix


def test_a_thousand_flips_and_cuts_all_end_in_an_error(real, tmp_path):
    files = {name: (real.parent / name).read_bytes() for name in ("model.index", "model.data-00000-of-00001")}
    rng = random.Random(0)
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    assert read_all(tmp_path / "model") == read_all(real)
    survived = []
    for turn in range(1000):
        name = rng.choice(list(files))
        place, bit = rng.randrange(len(files[name])), rng.randrange(8)
        raw = bytearray(files[name])
        if turn % 4:
            raw[place] ^= 1 << bit
        else:
            del raw[place:]
        (tmp_path / name).write_bytes(raw)
        try:
            read_all(tmp_path / "model")
        except CheckpointError:
            pass
        else:
            survived.append((name, place, bit))
        (tmp_path / name).write_bytes(files[name])
    assert survived == []  # no byte of either file is padding that nobody checks


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_behind_good_checksums_are_read_or_refused(tmp_path_factory, raw, as_rows):
    prefix = tmp_path_factory.getbasetemp() / "any"
    write_bundle(prefix, {"a": raw}, TWO)
    if as_rows:
        prefix.with_name("any.index").write_bytes(table(block(HEAD + raw)))
    with suppress(CheckpointError):
        read_all(prefix)


@given(st.data())
def test_an_entry_with_any_changes_is_read_or_refused(tmp_path_factory, data):
    prefix = tmp_path_factory.getbasetemp() / "changed"
    raw = bytearray(entry(TWO, shape=[1, 2]))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    write_bundle(prefix, {"a": bytes(raw)}, TWO)
    with suppress(CheckpointError):
        assert len(read_all(prefix)) == 1


@given(st.binary(max_size=300))
def test_any_bytes_as_an_index_or_an_object_graph_are_refused_or_read(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any.index"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError):
        read_table(path)
    with suppress(CheckpointError):
        read_object_graph(raw, source="here")
