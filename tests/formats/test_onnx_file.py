"""ONNX files read as data: what ONNX's own library writes, and files that are damaged or hostile."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wellread.errors import CheckpointError
from wellread.formats.onnx_file import read_onnx

ARRAYS = {
    "float32": np.float32([[1.5, -2], [0, 3]]),
    "float16": np.float16([0.1, -2]),
    "int8": np.int8([[-128, 127, 0]]),
    "int64": np.int64([2**40, -1]),
    "int32": np.int32(7),
    "empty": np.zeros((0, 3), np.float32),
}


def write(path, tensors, **options):
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([], "made", [], [output], tensors)
    model = helper.make_model(graph)
    helper.set_model_props(model, {"pooling": "mean", "what": "모델"})
    onnx.save_model(model, str(path), **options)


@pytest.mark.parametrize("outside", [False, True])
def test_what_the_library_writes(tmp_path, outside):
    tensors = [numpy_helper.from_array(array, name) for name, array in ARRAYS.items()]
    options = {"save_as_external_data": True, "location": "weights", "size_threshold": 0} if outside else {}
    write(tmp_path / "model.onnx", tensors, **options)
    assert (tmp_path / "weights").exists() == outside
    read = read_onnx(tmp_path / "model.onnx")
    assert dict(read.metadata) == {"pooling": "mean", "what": "모델"}
    assert read.tensors.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        tensor = read.tensors[name]
        assert tensor.shape == array.shape
        assert np.array_equal(tensor.read(), array)
        assert tensor.read().flags.writeable
    assert read.tensors["float16"].read().dtype == np.float32


def external(**facts):
    tensor = numpy_helper.from_array(ARRAYS["float32"], "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in facts.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def shaped(*dims):
    tensor = external(location="model.onnx", length="None")
    tensor.dims[:] = dims
    return tensor


def typed():
    return helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])  # numbers one by one


def short():
    tensor = numpy_helper.from_array(ARRAYS["float32"], "w")
    tensor.raw_data = tensor.raw_data[:-1]
    return tensor


@pytest.mark.parametrize(
    ("tensor", "found"),
    [
        (external(location="../secret"), "'w' in '../secret', which is no file beside it"),
        (external(location="/etc/passwd"), "which is no file beside it"),
        (external(location="absent"), "which is no file beside it"),
        (external(), "'w' in '', which is no file beside it"),
        (external(location="model.onnx", offset="-1"), "at '-1'"),
        (external(location="model.onnx", length="3"), "of 16 bytes at '0', '3' bytes long"),
        (external(location="model.onnx", offset="9" * 19), "at '9999999999999999999'"),
        (shaped(2**62, 4), "of the shape [4611686018427387904, 4], which is none"),
        (shaped(-1, 4), "of the shape [-1, 4], which is none"),
        (typed(), "'w' of a type or in a form that wellread does not write"),
        (helper.make_tensor("w", TensorProto.STRING, [1], [b"x"]), "of a type or in a form"),
        (short(), "of shape [2, 2] and type float32 in 15 bytes"),
    ],
)
def test_a_constant_that_cannot_be_read(tmp_path, tensor, found):
    (tmp_path / "secret").write_bytes(b"x" * 100)
    path = tmp_path / "inside" / "model.onnx"
    path.parent.mkdir()
    graph = helper.make_graph([], "made", [], [], [tensor])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(
        CheckpointError, match=f"as an ONNX file; found .*{re.escape(found)}.*; export the module again"
    ):
        read_onnx(path)


def test_numbers_that_end_too_early(tmp_path):
    path = tmp_path / "model.onnx"
    graph = helper.make_graph([], "made", [], [], [external(location="weights", offset="90")])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    (tmp_path / "weights").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="weights"):
        read_onnx(path).tensors["w"].read()


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x3a\xff", b"\x3a\x02\x28\x01", b"no graph at all", b"\x38\x01"])
def test_what_is_no_graph(tmp_path, data):
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"as an ONNX file; found .*; export the module again"):
        read_onnx(tmp_path / "model.onnx")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"found that .*No such file.*; check the path"):
        read_onnx(tmp_path / "model.onnx")
