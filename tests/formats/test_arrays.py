"""heads: what stands where a weights file should is called by its name."""

import re

import pytest

from wellread.errors import CheckpointError
from wellread.formats.arrays import check_magic
from wellread.formats.safetensors import read_safetensors, write_safetensors
from wellread.formats.torch_file import read_torch

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 37\n"
DISGUISES = [
    (b"", "an empty file (0 bytes); fetch the file again"),
    (POINTER, "a git-lfs pointer (67 bytes); run `git lfs pull`, or download the file itself"),
    (b"<!DOCTYPE html><title>404</title>", "a web page (33 bytes); check the address and the access rights"),
    (b"\n  <html>", "a web page (9 bytes); check the address"),
    (b"<?xml version='1.0'?><Error/>", "an XML page (29 bytes); check the address"),
    (b"\x1f\x8b\x08" + bytes(9), "a gzip archive (12 bytes); unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (8 bytes); give it the name of its own format, or convert it"),
    (b'{"error": "gated"}', "a JSON file (18 bytes); name the weights file itself"),
    (b"\x01\x02", "bytes of no known format, beginning 01 02 (2 bytes); fetch the file again"),
]


@pytest.mark.parametrize("read", [read_safetensors, read_torch])
@pytest.mark.parametrize(("raw", "found"), DISGUISES)
def test_a_disguise_is_named(tmp_path, read, raw, found):
    path = tmp_path / "weights"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=re.escape(found)):
        read(path)


@pytest.mark.parametrize(
    ("head", "found"), [(b"PK\x03\x04", "a zip archive"), (b"\x80\x02", "a pickle, perhaps an older torch file")]
)
def test_a_torch_file_is_no_safetensors_file(tmp_path, head, found):
    path = tmp_path / "model.safetensors"
    path.write_bytes(head + bytes(80))
    with pytest.raises(CheckpointError, match=f"read as a safetensors file; found {found}"):
        read_safetensors(path)


def test_a_safetensors_file_is_no_torch_file(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    write_safetensors(path, {})
    with pytest.raises(CheckpointError, match="read as a torch checkpoint; found a safetensors file"):
        read_torch(path)


@pytest.mark.parametrize(("name", "why"), [("missing", "No such file"), (".", "Is a directory"), ("a\0b", "null byte")])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, name, why):
    with pytest.raises(CheckpointError, match=f"found no such file .*{why}.*; check the path"):
        check_magic(tmp_path / name, expected="a torch checkpoint", matches=lambda magic: True)
