"""safetensors: read as the library reads it, and more strictly; written so that the library reads it."""

import hashlib
import json
import random

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

from wellread.checkpoints.checkpoint import in_memory
from wellread.errors import CheckpointError, WeightsError
from wellread.formats.safetensors import read_safetensors, write_safetensors

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
DTYPES = ["float64", "float32", "float16", "bfloat16", "bool"]
DTYPES += [f"{kind}{bits}" for kind in ("int", "uint") for bits in (64, 32, 16, 8)]


def write_raw(path, header, data=b"", *, length=None):
    """Write a file with any header at all."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_is_read_as_torch_reads_it(path, dtype):
    theirs = (torch.arange(21).reshape(3, 7) % 5).to(getattr(torch, dtype))
    safetensors.torch.save_file({"t": theirs}, path)
    stored = read_safetensors(path)["t"]
    assert (stored.shape, stored.dtype) == ((3, 7), dtype)
    array = stored.read()
    assert array.dtype == ("float32" if "float" in dtype else dtype)
    np.testing.assert_array_equal(array, theirs.float().numpy() if "float" in dtype else theirs.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_view_has_the_type_and_the_bytes_of_the_file(path, dtype):
    theirs = (torch.arange(70_000).reshape(7, 10_000) % 5).to(getattr(torch, dtype))
    safetensors.torch.save_file({"t": theirs, "small": theirs[:, :3].contiguous()}, path)
    stored = read_safetensors(path)
    name = {"bfloat16": "uint16", "bool": "uint8"}.get(dtype, dtype)
    for view, array in ((stored["t"].as_stored(), theirs), (stored["small"].as_stored(), theirs[:, :3].contiguous())):
        assert (view.shape, view.dtype, view.flags.writeable) == (tuple(array.shape), name, False)
        assert view.tobytes() == array.view(torch.uint8).numpy().tobytes()
        assert (type(view.base.base).__name__ == "memoryview") == (view.size > 21)  # else of an array that was read


def test_a_tensor_of_no_file_is_stored_as_it_is_read():
    (tensor,) = in_memory({"t": np.arange(3, dtype=np.float32)}).values()
    assert tensor.as_stored().tolist() == [0, 1, 2]


def test_empty_and_scalar_tensors(path):
    safetensors.numpy.save_file({"e": np.zeros((0, 3), np.float32), "s": np.array(7.0, np.float32)}, path)
    assert read_safetensors(path)["e"].as_stored().shape == (0, 3)
    arrays = {name: tensor.read() for name, tensor in read_safetensors(path).items()}
    assert arrays["e"].shape == (0, 3)
    assert arrays["s"].shape == ()
    assert arrays["s"] == 7


def test_what_is_written_is_what_the_library_reads(path):
    rng = np.random.default_rng(0)
    written = {
        "transposed": rng.normal(size=(12, 4)).astype(np.float32).T,
        "strided": np.arange(14, dtype=np.int64)[::2],
        "big-endian": np.arange(3, dtype=">i4"),
        "scalar": np.array(1.5, np.float16),
        "empty": np.zeros((3, 0)),
        "가": np.array([True, False]),
    }
    write_safetensors(path, written)
    theirs = safetensors.numpy.load_file(path)
    ours = read_safetensors(path)
    assert theirs.keys() == ours.keys() == written.keys()
    for name, array in written.items():
        np.testing.assert_array_equal(theirs[name], array)
        np.testing.assert_array_equal(ours[name].read(), array)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"format": "pt"}


def test_the_same_arrays_give_the_same_bytes(path):
    arrays = {name: np.full(3, i, np.float32) for i, name in enumerate("cab")}
    digests = set()
    for order in ("abc", "cba"):
        write_safetensors(path, {name: arrays[name] for name in order})
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
    assert (8 + int.from_bytes(path.read_bytes()[:8], "little")) % 8 == 0


@pytest.mark.parametrize(
    ("name", "array", "found"),
    [
        ("c", np.zeros(2, np.complex64), r"found c \(complex64\); the types are float64"),
        ("o", np.array([None]), r"found o \(object\)"),
        ("__metadata__", np.zeros(2), "found a tensor named __metadata__"),
    ],
)
def test_what_cannot_be_written_is_named_and_nothing_is_written(path, name, array, found):
    with pytest.raises(WeightsError, match=found):
        write_safetensors(path, {name: array})
    assert not path.exists()


@pytest.mark.parametrize(
    ("header", "size", "found"),
    [
        (b"{", 0, "a header that is no safetensors header: Expecting property name"),
        (b'{"a": {}, "a": {}}', 0, "the key 'a' stands twice"),
        (b'{"a": ' + b"[" * 100_000, 0, "nested too deep"),
        ({"a": ["F32", [2], [0, 8]]}, 8, "an entry 'a' of list where it takes data_offsets, dtype, shape"),
        ({"a": {**ENTRY, "x": 1}}, 8, "an entry 'a' of data_offsets, dtype, shape, x where"),
        ({"a": {"dtype": "F32"}}, 8, "an entry 'a' of dtype where"),
        ({"a": {**ENTRY, "shape": [2.0]}}, 8, "no lists of whole numbers"),
        ({"a": {**ENTRY, "shape": [True, 2]}}, 8, "no lists of whole numbers"),
        ({"a": {**ENTRY, "shape": [-2]}}, 8, "no lists of whole numbers"),
        ({"a": {**ENTRY, "data_offsets": [0]}}, 8, "no lists of whole numbers"),
        ({"a": {**ENTRY, "shape": [3]}}, 8, r"'a' of shape \[3\] and type F32 in 8 bytes"),
        ({"a": {**ENTRY, "shape": [2**62, 2**62]}}, 8, "in 8 bytes"),
        ({"a": {**ENTRY, "shape": [0, 2**62], "data_offsets": [0, 0]}}, 0, "in 0 bytes"),
        ({"a": {**ENTRY, "shape": [2] + [1] * 64}}, 8, "in 8 bytes"),
        ({"a": {**ENTRY, "data_offsets": [8, 0]}}, 8, "in -8 bytes"),
        ({"a": ENTRY}, 9, "tensors of 8 bytes in all and 9 bytes of data"),
        ({"a": ENTRY}, 7, "tensors of 8 bytes in all and 7 bytes of data"),
        ({"a": ENTRY, "b": ENTRY}, 8, "'b' at byte 0 of the data where the tensor before it ends at 8"),
        (
            {"a": {**ENTRY, "data_offsets": [4, 12]}},
            12,
            "'a' at byte 4 of the data where the tensor before it ends at 0",
        ),
        ({"a": ENTRY, "__metadata__": {"format": 7}}, 8, "a __metadata__ that does not map text to text"),
        ({"a": ENTRY, "__metadata__": ["pt"]}, 8, "a __metadata__ that does not map text to text"),
    ],
)
def test_a_damaged_header_is_named(path, header, size, found):
    write_raw(path, header, bytes(size))
    with pytest.raises(CheckpointError, match=f"read as a safetensors file; found .*{found}.*; fetch the file again"):
        read_safetensors(path)


@pytest.mark.parametrize("length", [9, 2**30, 2**64 - 1])
def test_a_header_longer_than_the_file_is_named(path, length):
    write_raw(path, b"{}", length=length)
    with pytest.raises(CheckpointError, match=f"a header of {length} bytes in a file of 10"):
        read_safetensors(path)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "C64", "f32", 7, None, ["F32"]])
def test_a_type_that_is_not_read_is_named(path, dtype):
    write_raw(path, {"a": {**ENTRY, "dtype": dtype}}, bytes(8))
    with pytest.raises(
        CheckpointError, match=r"found 'a' of type .*; wellread reads F64, .*: convert the file"
    ) as error:
        read_safetensors(path)
    assert repr(dtype) in str(error.value)


def test_a_float64_beyond_float32_is_named(path):
    write_safetensors(path, {"a": np.array([1e300])})
    with pytest.raises(
        CheckpointError, match=r"'a' of .*model\.safetensors was to be read as float32; found a float64"
    ):
        read_safetensors(path)["a"].read()


def test_a_file_that_is_cut_after_it_was_opened_is_named(path):
    write_safetensors(path, {"a": np.zeros(3)})
    stored = read_safetensors(path)["a"]
    path.write_bytes(path.read_bytes()[:-1])
    for take in (stored.read, stored.as_stored):
        with pytest.raises(CheckpointError, match=r"was to hold 24 bytes .*; found 16, so it was cut"):
            take()


def test_a_large_file_that_is_cut_after_it_was_opened_is_named_and_no_view_of_it_is_made(path):
    write_safetensors(path, {"a": np.zeros(100_000)})
    stored = read_safetensors(path)["a"]
    path.write_bytes(path.read_bytes()[:-1])
    for take in (stored.read, stored.as_stored):
        with pytest.raises(CheckpointError, match=r"was to hold 800000 bytes .*; found 79999\d, so it was cut"):
            take()


def test_a_thousand_flips_and_cuts_end_in_an_error_or_in_what_the_library_reads(path):
    write_safetensors(path, {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.arange(3)})
    whole = path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for turn in range(1000):
        raw = bytearray(whole[: rng.randrange(len(whole))] if turn % 4 == 0 else whole)
        if turn % 4:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(raw)
        try:
            ours = {name: tensor.read() for name, tensor in read_safetensors(path).items()}
        except CheckpointError:
            refused += 1
            continue
        theirs = safetensors.numpy.load_file(path)
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])
    assert 500 < refused < 1000


def test_a_disk_that_refuses_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(OSError, match="No such file or directory"):
        write_safetensors(tmp_path / "nowhere" / "model.safetensors", {"a": np.zeros(3, np.float32)})
