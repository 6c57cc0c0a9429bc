"""torch_zip: what real torch writes, in both forms, is read as torch reads it; damaged files are named."""

import random
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from wellread.errors import CheckpointError
from wellread.formats import torch_file as torch_zip
from wellread.formats.torch_file import read_torch

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]


@pytest.fixture(params=["zip", "older"])
def form(request):
    return request.param


@pytest.fixture
def save(tmp_path, form):
    """Save an object with torch in one of the two forms; return the path."""

    def saved(value, **options):
        path = tmp_path / "pytorch_model.bin"
        torch.save(value, path, _use_new_zipfile_serialization=form == "zip", **options)
        return path

    return saved


def assert_read_as_torch_reads(path, *, entry=None):
    theirs = torch.load(path, weights_only=False)  # saved by this test; weights_only knows protocol 2 alone
    theirs = theirs[entry] if entry else theirs
    ours = read_torch(path)
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        array = ours[name].read()
        floating = tensor.is_floating_point()
        expected = (tensor.float() if floating else tensor).detach().numpy()
        assert ours[name].shape == array.shape == expected.shape
        assert f"torch.{ours[name].dtype}" == str(tensor.dtype)
        assert array.dtype == expected.dtype
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type(save, dtype):
    assert_read_as_torch_reads(save({"t": (torch.arange(21).reshape(3, 7) % 5).to(getattr(torch, dtype))}))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_every_binary_protocol(save, protocol):
    assert_read_as_torch_reads(save(torch.nn.Linear(12, 4).state_dict(), pickle_protocol=protocol))


def test_strided_shared_and_odd_tensors(save):
    table = torch.arange(84.0).reshape(7, 12)
    assert_read_as_torch_reads(
        save(
            {
                "table": table,
                "tied": table,
                "transposed": table.t(),
                "columns": table[:, 1::3],
                "row": table[3],
                "one": table[6, 11],
                "block": table[2:5, 4:9].t(),
                "position_ids": torch.arange(7).expand(1, -1),
                "scalar": torch.tensor(3),
                "empty": torch.zeros(0),
                "no rows": torch.zeros(0, 12, dtype=torch.int64),
                "no columns": table[:, :0],
                "parameter": torch.nn.Parameter(torch.ones(3)),
                "frozen": torch.nn.Parameter(torch.ones(4), requires_grad=False),
                "이름": torch.ones(2),
            }
        )
    )


def test_the_state_dict_of_a_model(save):
    layer = torch.nn.TransformerEncoderLayer(12, 4, 37, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    state = model.state_dict()
    assert state._metadata  # which the reader passes over
    assert_read_as_torch_reads(save(state))
    assert_read_as_torch_reads(save({"state_dict": state}), entry="state_dict")


def test_torch_is_not_imported(save):
    path = save({"a": torch.arange(3)})
    code = (
        "import sys, pathlib, wellread.formats.torch_file as door\n"
        "assert door.read_torch(pathlib.Path(sys.argv[1]))['a'].read().tolist() == [0, 1, 2]\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": str(Path(torch_zip.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code, path], check=True, env=environment, timeout=60)


def test_many_tensors(save):
    assert_read_as_torch_reads(save(OrderedDict((f"{i}.weight", torch.full((3,), i)) for i in range(300))))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"model": {"a": torch.ones(2)}, "epoch": 3}, "the entries 'model', 'epoch', of which some hold more entries"),
        ({"model": {"a": torch.ones(2)}}, "the entries 'model', of which some"),
        ({"state_dict": {"a": torch.ones(2)}, "epoch": 3}, "the entries 'state_dict', 'epoch', of which some"),
        (
            {"a": torch.ones(2), "step": 3, "rate": 0.5, "on": True},
            "no tensors: 'step' (int), 'rate' (float), 'on' (bool)",
        ),
        (
            {"a": torch.ones(2), "names": ["x"], "note": "y", "none": None},
            "'names' (list), 'note' (str), 'none' (NoneType)",
        ),
        ({7: torch.ones(2)}, "tensors whose names are no text: 7"),
        ([torch.ones(2)], "a list"),
        (torch.ones(2), "a View"),
    ],
)
def test_what_is_no_state_dict_is_named(save, value, found):
    with pytest.raises(CheckpointError, match=r"read as tensors by name; found .*; save the state dict") as error:
        read_torch(save(value))
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (torch.nn.Linear(3, 2), "torch.nn.modules.linear.Linear"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "torch.ComplexFloatStorage"),
        ({"a": torch.ones(2).to_sparse()}, "torch._utils._rebuild_sparse_tensor"),
        ({"a": np.ones(2)}, "numpy._core.multiarray._reconstruct"),
        ({"a": torch.Size([3])}, "torch.Size"),
    ],
)
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_other_classes_are_named(save, value, name):
    with pytest.raises(CheckpointError, match=f"found the global '{re.escape(name)}'; a file of tensors needs no such"):
        read_torch(save(value))


def test_an_expanded_tensor_is_named(save):
    with pytest.raises(
        CheckpointError, match=r"found 'a', 21 numbers that repeat 7 of its storage; call contiguous\(\)"
    ):
        read_torch(save({"a": torch.ones(7).expand(3, 7)}))


def test_a_tensor_under_hundreds_of_names_is_refused(save):
    table = torch.ones(100_000)
    with pytest.raises(
        CheckpointError, match=r"tensors of 40000000 bytes in a file of 4\d+ \(at most 64 times as many\)"
    ):
        read_torch(save({str(i): table for i in range(100)}))


def test_a_float64_beyond_float32_is_named(save):
    stored = read_torch(save({"a": torch.tensor([1e300], dtype=torch.float64)}))["a"]
    with pytest.raises(
        CheckpointError, match=r"'a' of .*pytorch_model\.bin was to be read as float32; found a float64"
    ):
        stored.read()


def test_a_file_that_is_cut_after_it_was_opened_is_named(save):
    path = save({"a": torch.ones(20_000)})
    stored = read_torch(path)["a"]
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(CheckpointError, match=r"was to hold 80000 bytes from byte .*, so it was cut"):
        stored.read()


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99, -1])
def test_a_truncated_file_is_named(save, keep):
    path = save(torch.nn.Linear(37, 12).state_dict())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if keep > 0 else keep])
    with pytest.raises(
        CheckpointError, match=r"pytorch_model\.bin was to be read as a torch checkpoint; found .*fetch"
    ):
        read_torch(path)


def test_a_flipped_bit_in_a_tensor_of_the_zip_form_is_named(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.full((3,), 7.0), "b": torch.ones(3)}, path)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(np.float32([7, 7, 7]).tobytes(), np.float32([7, 7.5, 7]).tobytes()))
    tensors = read_torch(path)
    assert tensors["b"].read().tolist() == [1, 1, 1]
    with pytest.raises(
        CheckpointError, match=r"found bytes of 'a' with the checksum [0-9a-f]{8} in place of [0-9a-f]{8}"
    ):
        tensors["a"].read()


def test_the_checksum_is_taken_once_a_storage(tmp_path, monkeypatch):
    path = tmp_path / "pytorch_model.bin"
    table = torch.arange(12.0)
    torch.save({"a": table, "b": table[5:]}, path)
    tensors = read_torch(path)
    tensors["b"].read()
    path.write_bytes(path.read_bytes().replace(np.float32([5, 6]).tobytes(), np.float32([7, 6]).tobytes()))
    assert tensors["b"].read().tolist() == [7, 6, 7, 8, 9, 10, 11]
    with pytest.raises(CheckpointError, match="with the checksum"):
        read_torch(path)["a"].read()


def test_big_endian_files_are_named(tmp_path):
    zipped, older = tmp_path / "zip.bin", tmp_path / "older.bin"
    torch.save({"a": torch.ones(2)}, tmp_path / "whole.bin")
    with zipfile.ZipFile(tmp_path / "whole.bin") as whole, zipfile.ZipFile(zipped, "w") as changed:
        for name in whole.namelist():
            changed.writestr(name, b"big" if name.endswith("byteorder") else whole.read(name))
    torch.save({"a": torch.ones(2)}, older, _use_new_zipfile_serialization=False)
    older.write_bytes(older.read_bytes().replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"))
    with pytest.raises(CheckpointError, match="found the byte order b'big'; load it with torch where it was made"):
        read_torch(zipped)
    with pytest.raises(CheckpointError, match="found big-endian numbers; load it with torch where it was made"):
        read_torch(older)


def test_a_program_archive_is_named(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(2)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{root}/code/model.py", "")
        archive.writestr(f"{root}/constants.pkl", "")
    with pytest.raises(CheckpointError, match=r"found the members 'code/model\.py', 'constants\.pkl' \(a TorchScript"):
        read_torch(path)


def test_a_thousand_flips_and_cuts_end_in_an_error_or_in_tensors(save, form):
    path = save(
        {"b": torch.arange(6.0).reshape(2, 3).t(), "a": torch.arange(3), "n": torch.nn.Parameter(torch.ones(2))}
    )
    whole = path.read_bytes()
    rng = random.Random(0)
    outcomes = {"refused": 0, "read": 0}
    for turn in range(1000):
        raw = bytearray(whole[: rng.randrange(len(whole))] if turn % 4 == 0 else whole)
        if turn % 4:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(raw)
        try:
            for tensor in read_torch(path).values():
                assert tensor.read().shape == tensor.shape
            outcomes["read"] += 1
        except CheckpointError:
            outcomes["refused"] += 1
    # a flip in a name, in padding or, in the older form, in a tensor can be read
    assert outcomes["refused"] > 250 + 100
    assert outcomes["read"] > 50
