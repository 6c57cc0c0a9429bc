"""protobuf's wire format: read as the library reads it, or refused."""

import pytest
from bundles import field, varint
from hypothesis import example, given
from hypothesis import strategies as st
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto

from wellread.formats.protobuf import fields, parse, read_varint

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(
    dtype=st.integers(0, 23),
    shard=st.integers(-(2**31), 2**31 - 1),
    offset=INT64,
    crc=st.integers(0, 2**32 - 1),
    dims=st.lists(st.tuples(INT64, st.text(max_size=3)), max_size=4),
)
@example(dtype=1, shard=-1, offset=-(2**63), crc=2**32 - 1, dims=[(-1, "가"), (2**63 - 1, "")])
def test_a_message_of_the_library_is_read(dtype, shard, offset, crc, dims):
    theirs = BundleEntryProto(dtype=dtype, shard_id=shard, offset=offset, crc32c=crc)
    for size, name in dims:
        theirs.shape.dim.add(size=size, name=name)
    ours = parse(theirs.SerializeToString(), known=range(1, 8))
    assert [ours.number(i) for i in (1, 3, 4, 6)] == [dtype, shard, offset, crc]
    shape = [parse(dim, known={1, 2}) for dim in parse(ours.content(2), known={2}).contents(2)]
    assert [(dim.number(1), dim.text(2)) for dim in shape] == dims


def test_fixed_words_are_numbers_and_what_is_left_out_is_zero_or_empty():
    message = parse(varint(1 << 3 | 1) + bytes(7) + b"\x01" + varint(2 << 3 | 5) + b"\xff" * 4, known={1, 2})
    assert (message.number(1), message.number(2)) == (1 << 56, 2**32 - 1)
    assert (message.number(3), message.content(4), message.text(5), message.contents(6)) == (0, b"", "", [])


def test_fields_come_in_their_order():
    assert list(fields(field(9, b"b") + field(1, 300) + field(9, b""))) == [
        (9, b"b"),
        (1, 300),
        (9, b""),
    ]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"\x08", "a number at byte 1 that is cut short, or longer than 64 bits or than it has to be"),
        (b"\x08" + b"\x80" * 9 + b"\x02", "a number at byte 1 that is cut short, or longer"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "a number at byte 1 that is cut short, or longer"),
        (b"\x08\x87\x00", "a number at byte 1 that is cut short, or longer than 64 bits or than it has to be"),
        (field(1, b"abc")[:-1], "a field of 3 bytes where 2 are left"),
        (b"\x0a" + varint(2**64 - 1), f"a field of {2**64 - 1} bytes where 0 are left"),
        (b"\x0d\0\0\0", "a field of 4 bytes where 3 are left"),
        (b"\x09\0", "a field of 8 bytes where 1 are left"),
        (b"\x0b\x0c", "field 1 of the wire type 3, which is not read"),
        (b"\x0c", "field 1 of the wire type 4"),
        (b"\x0e", "field 1 of the wire type 6"),
        (field(0, 1), "the field number 0"),
        (field(2**29, 1), f"the field number {2**29}"),
    ],
)
def test_a_malformed_message_is_refused(message, found):
    with pytest.raises(ValueError, match=found):
        list(fields(message))


def test_unknown_fields_are_all_named():
    with pytest.raises(ValueError, match="the unknown fields 3, 77"):
        parse(field(77, 1) + field(1, 1) + field(3, b""), known={1, 2})


def test_a_field_of_another_kind_or_too_many_is_refused():
    message = parse(field(1, b"x") + field(2, 7) + field(3, 1) * 2 + field(4, b"\xff"), known=range(1, 5))
    with pytest.raises(ValueError, match="field 1 holds bytes where a number stands"):
        message.number(1)
    with pytest.raises(ValueError, match="field 2 holds a number where bytes stand"):
        message.content(2)
    with pytest.raises(ValueError, match="field 3 holds a number where bytes stand"):
        message.contents(3)
    with pytest.raises(ValueError, match="field 3 stands 2 times where it may stand once"):
        message.number(3)
    with pytest.raises(ValueError, match="'utf-8' codec can't decode"):
        message.text(4)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_a_varint_is_read_back(value, after):
    raw = varint(value)
    assert read_varint(b"\xff" + raw + after, 1) == (value, 1 + len(raw))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    try:
        values = [value for _, value in fields(raw)]
    except ValueError:
        return
    assert sum(len(value) if isinstance(value, bytes) else 1 for value in values) <= len(raw)
