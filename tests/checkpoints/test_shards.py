"""shards: an index and its files, in both formats, and every way in which they can disagree."""

import json
import re

import numpy as np
import pytest
import torch

from wellread.checkpoints.huggingface import read_sharded
from wellread.errors import CheckpointError
from wellread.formats.safetensors import write_safetensors

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
MAP = {"a": FIRST, "b": SECOND, "c": FIRST}


def write_index(directory, weight_map, **more):
    path = directory / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 84}, "weight_map": weight_map, **more}))
    return path


@pytest.fixture
def sharded(tmp_path):
    """Two shards: a [3] and c [12] in the first, b [4] in the second."""
    write_safetensors(tmp_path / FIRST, {"a": np.arange(3.0), "c": np.arange(12.0)})
    write_safetensors(tmp_path / SECOND, {"b": np.arange(4.0)})
    return tmp_path


def test_safetensors_shards_are_joined(sharded):
    tensors = read_sharded(write_index(sharded, MAP))
    assert {name: tensor.read().tolist() for name, tensor in tensors.items()} == {
        "a": list(range(3)),
        "b": list(range(4)),
        "c": list(range(12)),
    }


def test_torch_shards_are_joined(tmp_path):
    torch.save({"a": torch.arange(3)}, tmp_path / "pytorch_model-00001-of-00002.bin")
    old = tmp_path / "pytorch_model-00002-of-00002.bin"
    torch.save({"b": torch.arange(4)}, old, _use_new_zipfile_serialization=False)
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": {"a": "pytorch_model-00001-of-00002.bin", "b": old.name}}))
    assert {name: tensor.read().tolist() for name, tensor in read_sharded(path).items()} == {
        "a": [0, 1, 2],
        "b": [0, 1, 2, 3],
    }


def test_shards_that_are_links_are_followed(sharded, tmp_path_factory):
    snapshot = tmp_path_factory.mktemp("snapshot")
    for name in (FIRST, SECOND):
        (snapshot / name).symlink_to(sharded / name)
    assert read_sharded(write_index(snapshot, MAP)).keys() == MAP.keys()


@pytest.mark.parametrize(
    ("weight_map", "faults"),
    [
        ({"a": FIRST, "b": SECOND}, [f"{FIRST} holds 'c', which the index does not put there"]),
        ({**MAP, "d": SECOND}, [f"{SECOND} lacks 'd', which the index puts there"]),
        (
            {"a": SECOND, "b": SECOND, "c": FIRST},
            [f"{FIRST} holds 'a', which the index does not", f"{SECOND} lacks 'a', which the index puts there"],
        ),
        ({**MAP, "d": "gone.safetensors", "e": "gone.bin"}, ["'gone.safetensors' is missing", "'gone.bin' is missing"]),
        ({**MAP, "d": "../up.bin"}, ["'../up.bin' lies outside the directory"]),
        ({**MAP, "d": "/etc/passwd"}, ["'/etc/passwd' lies outside the directory"]),
        ({**MAP, "d": "..\\up.bin"}, ["lies outside the directory"]),
        ({**MAP, "d": ".."}, ["'..' lies outside the directory"]),
        ({**MAP, "d": "sub/x.bin"}, ["'sub/x.bin' lies outside the directory"]),
        ({**MAP, "d": "a\0.bin"}, ["'a\\x00.bin' is missing"]),
        ({**MAP, "d": "x" * 5000 + ".bin"}, ["xxx.bin' is missing"]),
        ({**MAP, "d": "model.h5"}, ["'model.h5' is no .safetensors or .bin file"]),
        ({**MAP, "d": "up.h5", "e": "gone.bin"}, ["'up.h5' is no", "'gone.bin' is missing"]),
    ],
)
def test_every_disagreement_is_named(sharded, weight_map, faults):
    with pytest.raises(
        CheckpointError, match=r"was to be read with its shards; found .*; fetch all files again"
    ) as error:
        read_sharded(write_index(sharded, weight_map))
    for fault in faults:
        assert fault in str(error.value)


def test_a_damaged_shard_is_named(sharded):
    (sharded / SECOND).write_bytes((sharded / SECOND).read_bytes()[:-1])
    with pytest.raises(
        CheckpointError, match=f"{SECOND} was to be read as a safetensors file; found tensors of 32 bytes"
    ):
        read_sharded(write_index(sharded, MAP))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", "no weight_map"),
        ('{"weight_map": {}}', "no weight_map"),
        ('{"weight_map": ["a"]}', "no weight_map"),
        ('{"weight_map": {"a": 7, "b": "x.bin", "c": null}}', "no shard name for 'a', 'c'"),
        ('{"weight_map": {"a": "x.bin", "a": "y.bin"}}', "the key 'a' stands twice"),
        ('{"weight_map": {"a": "x.bin"}, "weights": 1, "extra": 2}', "the unknown keys 'extra', 'weights'"),
        ('{"weight_map": {"a": "x.bin"', "Expecting"),
        ("[]", "bytes of no known format, beginning 5b 5d"),
        ("version https://git-lfs.github.com/spec/v1", "a git-lfs pointer"),
        ("<html>", "a web page"),
        ("", "an empty file"),
    ],
)
def test_a_damaged_index_is_named(tmp_path, text, found):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=f"read as an index of shards; found .*{re.escape(found)}"):
        read_sharded(path)
