"""A module as a graph of OpenVINO's: what OpenVINO makes of it, what wellread reads back, and what is refused."""

import numpy as np
import openvino
import pytest
from headed import headed_checkpoint
from tiny import tiny_module, tiny_tokenizer

import wellread
from wellread.config import DenseConfig, SentenceConfig
from wellread.errors import CheckpointError, ExportError
from wellread.export import graph_parity
from wellread.export.certify import certify
from wellread.export.openvino import export_openvino
from wellread.module import Module

DENSE = DenseConfig(in_features=12, out_features=5, bias=True, activation="tanh")


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_default_gives_its_vectors_and_comes_back(tmp_path, dtype):
    module = wellread.load("default")
    found = export_openvino(module, tmp_path / "made", dtype=dtype)
    assert wellread.load(tmp_path / "made").fingerprint == found.fingerprint
    assert found.largest_difference < 5e-5
    assert found.megabytes == pytest.approx({"float32": 45.2, "float16": 22.6, "int8": 11.6}[dtype], abs=0.5)
    graph = tmp_path / "made" / "openvino" / "openvino_model.xml"
    certificate = certify(module, graph, texts=6, tolerance=3e-4 if dtype == "float16" else 1e-5)
    assert (certificate.holds, certificate.other_ids) == (True, 0)
    assert certificate.by.startswith("openvino ")


@pytest.mark.parametrize(
    "sentence",
    [
        SentenceConfig(pooling="weightedmean", dense=(DENSE,), max_seq_length=9, normalize=True),
        SentenceConfig(max_seq_length=9, include_prompt=False, prompts={"query": "a man "}),
        SentenceConfig(pooling="pooled_output", max_seq_length=9),
    ],
    ids=["dense", "prompt", "pooler"],
)
def test_every_kind_of_module(tmp_path, sentence):
    module = tiny_module(tmp_path / "words", sentence=sentence)
    found = export_openvino(module, tmp_path / "made")
    assert wellread.load(tmp_path / "made").fingerprint == found.fingerprint == module.fingerprint
    model = openvino.Core().read_model(tmp_path / "made" / "openvino" / "openvino_model.xml")
    assert model.get_rt_info(["wellread", "pooling"]).value == sentence.pooling
    assert model.input("input_ids").element_type == openvino.Type.i64
    assert found.notes[0] == "the masked-language-model head stays behind"


@pytest.mark.parametrize(("task", "first"), [("tag", "logits"), ("answer", "start_logits")])
def test_a_head_gives_its_logits(tmp_path, task, first):
    module = Module(checkpoint=headed_checkpoint(task), tokenizer=tiny_tokenizer(tmp_path / "words"))
    export_openvino(module, tmp_path / "made")
    graph = openvino.Core().compile_model(tmp_path / "made" / "openvino" / "openvino_model.xml", "CPU")
    assert first in graph.outputs[0].names
    ones = np.ones((2, 5), np.int64)
    values = graph({"input_ids": ones, "attention_mask": ones, "token_type_ids": ones * 0})
    assert values[first].shape[:2] == (2, 5)


def test_a_graph_of_other_numbers_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(graph_parity.TOLERANCES, "openvino", 1e-12)
    with pytest.raises(ExportError, match=r"must agree with the module within 1e-12 .*; nothing was kept"):
        export_openvino(tiny_module(tmp_path / "words"), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_what_is_refused(tmp_path):
    module = tiny_module(tmp_path / "words")
    with pytest.raises(ExportError, match=r"as 'bfloat16'; graphs are written with float32, float16, int8"):
        export_openvino(module, tmp_path / "made", dtype="bfloat16")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").touch()
    with pytest.raises(CheckpointError, match=r"found that it exists; .* or pass overwrite=True"):
        export_openvino(module, tmp_path / "made")
    with pytest.raises(CheckpointError, match=r"found mine.txt, which wellread did not write there"):
        export_openvino(module, tmp_path / "made", overwrite=True)


def test_a_damaged_graph_is_seen_at_load(tmp_path):
    export_openvino(tiny_module(tmp_path / "words"), tmp_path / "made")
    numbers = tmp_path / "made" / "openvino" / "openvino_model.bin"
    numbers.write_bytes(numbers.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"openvino/openvino_model.bin has another SHA-256"):
        wellread.load(tmp_path / "made")
