"""int8 matrices in files: strictly read, kept by saving, trimming and copies, refused by those who know no scales."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import transformers
from int8_made import with_int8
from safetensors.numpy import load_file, save_file
from tiny import tiny_checkpoint, tiny_config, tiny_module

import wellread
from wellread.checkpoints.huggingface import read_encoder
from wellread.errors import CheckpointError, WeightsError

QUERY = "encoder.layer.1.attention.self.query"
WORDS = "embeddings.word_embeddings"
TEXTS = ["A man is playing the guitar.", "a cat sleeps !", "", "paris of france"]


@pytest.fixture
def module(tmp_path):
    module = tiny_module(tmp_path / "text")
    return replace(module, checkpoint=with_int8(module.checkpoint))


def same_int8(a, b):
    """Compare all tensors of two checkpoints, and the integers of those that have some."""
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        np.testing.assert_array_equal(tensor.read(), b.tensors[name].read(), err_msg=name)
        assert (tensor.int8 is None) == (b.tensors[name].int8 is None), name
        if tensor.int8 is not None:
            np.testing.assert_array_equal(tensor.int8().values, b.tensors[name].int8().values)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_saved_module_comes_back_with_its_integers(tmp_path, family):
    config = tiny_config(type_vocab_size=0, pooler="first_token") if family == "distilbert" else None
    module = tiny_module(tmp_path / "text", config=config)
    module = replace(module, checkpoint=with_int8(module.checkpoint))
    module.save(tmp_path / "out")
    back = wellread.load(tmp_path / "out")
    same_int8(module.checkpoint, back.checkpoint)
    assert len([name for name, tensor in back.checkpoint.tensors.items() if tensor.int8 is not None]) == 2 + 3 * 6
    np.testing.assert_array_equal(module.encode(TEXTS), back.encode(TEXTS))


def test_the_file_holds_integers_beside_their_scales(tmp_path, module):
    module.save(tmp_path / "out", dtype="float16")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    stored = {name.removeprefix("bert."): array for name, array in stored.items()}
    assert [stored[f"{QUERY}.{part}"].dtype.name for part in ("weight", "weight_scale", "input_scale", "bias")] == [
        *("int8", "float32", "float32", "float16")
    ]
    assert (stored[f"{WORDS}.weight"].shape, stored[f"{WORDS}.weight_scale"].shape) == ((99, 12), (99,))
    assert f"{WORDS}.input_scale" not in stored
    assert json.loads((tmp_path / "out" / "wellread.json").read_text("utf-8"))["format"] == 2


def test_a_module_without_int8_keeps_its_format(tmp_path):
    tiny_module(tmp_path / "text").save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "wellread.json").read_text("utf-8"))["format"] == 1
    assert json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["dtype"] == "float32"


def test_every_other_use_sees_the_floats(module):
    floats = {name: tensor.read() for name, tensor in module.checkpoint.tensors.items()}
    assert {array.dtype for array in floats.values()} == {np.dtype(np.float32)}
    assert module.checkpoint.num_parameters == tiny_checkpoint().num_parameters
    original = tiny_checkpoint().arrays()
    for name, array in floats.items():
        assert np.abs(array - original[name]).max() < 0.02, name
    assert module.info()["stored_as"] == ["float32", "int8"]


def test_copies_trims_and_saving_over_the_own_files_keep_int8(tmp_path, module):
    same_int8(module.checkpoint, copy.deepcopy(module).checkpoint)
    module.save(tmp_path / "out")
    back = wellread.load(tmp_path / "out")
    back.save(tmp_path / "out", overwrite=True)
    same_int8(module.checkpoint, wellread.load(tmp_path / "out").checkpoint)
    small = wellread.trim(module, TEXTS)
    words = small.checkpoint.tensors[f"{WORDS}.weight"]
    assert words.int8().values.shape == (small.tokenizer.vocab_size, 12)
    np.testing.assert_allclose(small.encode(TEXTS), module.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(f"{QUERY}.weight_scale"), rf"{QUERY}\.weight is of int8 and {QUERY}\.weight_scale is missing"),
        (lambda s: s.update({f"{QUERY}.weight": np.ones((12, 12), np.float32)}), "weight_scale has no int8 matrix"),
        (lambda s: s.update({"pooler.dense.input_scale": np.ones(12, np.float32)}), "input_scale has no int8 matrix"),
        (
            lambda s: s.update({f"{QUERY}.weight_scale": np.ones((12, 1), np.float32)}),
            r"weight_scale has shape \[12, 1\] where the matrix needs \[12\]",
        ),
        (
            lambda s: s.update({f"{QUERY}.input_scale": np.ones(7, np.float32)}),
            r"input_scale has shape \[7\] where the matrix needs \[12\]",
        ),
        (lambda s: s.update({f"{QUERY}.weight_scale": np.ones(12, np.float16)}), "holds float16 where scales are"),
        (
            lambda s: s.update(
                {
                    "pooler.dense.weight": np.ones(12, np.int8),
                    "pooler.dense.weight_scale": np.ones(12, np.float32),
                }
            ),
            r"pooler\.dense\.weight is of int8 and of shape \[12\], no matrix",
        ),
        (lambda s: s.update({"pooler.dense.bias": np.ones(12, np.int8)}), r"pooler\.dense\.bias holds int8 where"),
        (lambda s: s.update({f"{QUERY}.weight": np.full((12, 12), 65, np.int8)}), "may come to 128 .*; found 130"),
        (lambda s: s.update({f"{QUERY}.weight_scale": np.full(12, np.nan, np.float32)}), "row scales .* 12 of 12"),
        (lambda s: s.update({f"{WORDS}.weight_scale": np.zeros(99, np.float32)}), "row scales .* found 99 of 99"),
        (lambda s: s.update({f"{QUERY}.input_scale": np.full(12, -1, np.float32)}), "input scales .* first -1.0"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, change, message):
    checkpoint = with_int8(tiny_checkpoint(mlm=False))
    module = replace(tiny_module(tmp_path / "text"), checkpoint=checkpoint)
    module.save(tmp_path / "out")
    path = tmp_path / "out" / "model.safetensors"
    stored = load_file(path)
    change(stored)
    save_file(stored, path)
    with pytest.raises(WeightsError, match=message):
        read_encoder(tmp_path / "out").arrays()


def test_who_knows_no_scales_refuses_to_take_integers_for_floats(tmp_path, module):
    module.save(tmp_path / "out")
    with pytest.raises(ValueError, match="int8"):
        transformers.AutoModel.from_pretrained(tmp_path / "out")


def test_a_later_format_says_that_it_is_later(tmp_path, module):
    module.save(tmp_path / "out")
    path = tmp_path / "out" / "wellread.json"
    path.write_text(path.read_text("utf-8").replace('"format": 2', '"format": 3'), "utf-8")
    with pytest.raises(CheckpointError, match="format 1 or 2; found 3; a later wellread"):
        wellread.load(tmp_path / "out")
