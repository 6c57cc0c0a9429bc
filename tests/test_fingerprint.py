"""The fingerprint holds still where vectors do, and changes where they change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_module

import wellread
from wellread.checkpoints.checkpoint import in_memory
from wellread.config import DenseConfig, SentenceConfig
from wellread.module import Module


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return tiny_module(tmp_path / "made")


def with_tensors(module: Module, **changes: np.ndarray) -> Module:
    arrays = {**module.checkpoint.arrays(), **changes}
    return replace(module, checkpoint=replace(module.checkpoint, tensors=in_memory(arrays)))


def test_it_survives_saving_and_the_loss_of_what_gives_no_vector(module: Module, tmp_path: Path) -> None:
    module.save(tmp_path / "saved")
    assert wellread.load(tmp_path / "saved").fingerprint == module.fingerprint
    assert len(module.fingerprint) == 16
    bare = {name: array for name, array in module.checkpoint.arrays().items() if not name.startswith("cls.")}
    assert len(bare) < len(module.checkpoint.tensors)
    without_head = replace(module, checkpoint=replace(module.checkpoint, tensors=in_memory(bare)))
    assert without_head.fingerprint == module.fingerprint
    pooler = module.checkpoint.tensors["pooler.dense.bias"].read() + 1
    assert with_tensors(module, **{"pooler.dense.bias": pooler}).fingerprint == module.fingerprint
    module.similarity_fn_name = "dot"  # how vectors are compared
    assert module.fingerprint == without_head.fingerprint


def test_floats_are_hashed_by_their_value_and_int8_is_another_module(module: Module, tmp_path: Path) -> None:
    module.save(tmp_path / "halves", dtype="float16")
    halves = wellread.load(tmp_path / "halves")
    halves.save(tmp_path / "floats")
    assert wellread.load(tmp_path / "floats").fingerprint == halves.fingerprint != module.fingerprint
    default = wellread.load("default")
    assert default.checkpoint.has_int8
    assert default.dequantise().fingerprint != default.fingerprint


@pytest.mark.parametrize(
    ("setting", "value"),
    [("max_seq_length", 16), ("prompts", {"query": "a man"}), ("truncate_dim", 5)],
)
def test_what_moves_vectors_changes_it(module: Module, setting: str, value: object) -> None:
    before = module.fingerprint
    setattr(module, setting, value)
    assert module.fingerprint != before


def test_every_weight_on_the_way_to_a_vector_counts(tmp_path: Path) -> None:
    sentence = SentenceConfig(dense=(DenseConfig(in_features=12, out_features=7),), max_seq_length=32)
    module = tiny_module(tmp_path, sentence=sentence, backend="numpy")  # which need not be prepared for each weight
    texts, vectors = ["a man is playing the guitar"], module.encode(["a man is playing the guitar"], precision="f64")
    changed = 0
    for name, tensor in module.checkpoint.tensors.items():
        other = with_tensors(module, **{name: tensor.read() + np.float32(0.37) * np.cos(np.arange(tensor.shape[-1]))})
        if not np.array_equal(other.encode(texts, precision="f64"), vectors):
            assert other.fingerprint != module.fingerprint, name
            changed += 1
    assert changed > 40


def test_another_vocabulary_or_another_rule_is_another_module(module: Module) -> None:
    text = module.tokenizer
    pieces = replace(text.vocabulary, pieces=(*text.vocabulary.pieces[:-1], "bassoon"))
    assert replace(module, tokenizer=replace(text, vocabulary=pieces)).fingerprint != module.fingerprint
    rules = replace(text.config, do_lower_case=False)
    assert replace(module, tokenizer=replace(text, config=rules)).fingerprint != module.fingerprint
