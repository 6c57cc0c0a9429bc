"""The ONNX graph against the float64 reference, for each way of pooling, activation and head."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from wellread.backends.backend import load_backend
from wellread.bench.onnx_graph import write_onnx
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.names import shapes
from wellread.config import EncoderConfig, SentenceConfig
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import MLM_INPUT, MLM_OUTPUT, SENTENCE_OUTPUT

B, T, D, H, F, V, L = 3, 7, 12, 4, 37, 99, 2
CONFIG = EncoderConfig(
    vocab_size=V,
    hidden_size=D,
    num_hidden_layers=L,
    num_attention_heads=H,
    intermediate_size=F,
    max_position_embeddings=11,
)


def checkpoint(config: EncoderConfig = CONFIG, sentence: SentenceConfig = SentenceConfig()) -> Checkpoint:  # noqa: B008
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes(config, mlm=True).items()}
    return Checkpoint(family="bert", config=config, sentence=sentence, tensors=in_memory(arrays))


def inputs(config: EncoderConfig = CONFIG) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    mask = (np.arange(T) < np.array([[T], [1], [4]])).astype(np.int32)
    ids = rng.integers(0, V, (B, T)).astype(np.int32)
    types = rng.integers(0, 2, (B, T)).astype(np.int32)
    return dict(zip(INPUTS[: 2 + bool(config.type_vocab_size)], (ids, mask, types), strict=False))


def check(given: Checkpoint, feed: dict[str, Any], output: str, path: Path) -> None:
    write_onnx(given, path, output=output)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {value.name for value in session.get_inputs()} == set(feed)
    (made,) = session.run([output], feed)
    expected = load_backend("numpy", given, precision="f64").run(feed, [output])[output]
    assert made.dtype == np.float32
    assert made.shape == np.shape(expected)
    np.testing.assert_allclose(made, expected, atol=2e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooled_output"])
@pytest.mark.parametrize("normalize", [False, True])
def test_every_sentence_vector(pooling: str, normalize: bool, tmp_path: Path) -> None:
    given = checkpoint(sentence=SentenceConfig(pooling=pooling, normalize=normalize))
    check(given, inputs(), SENTENCE_OUTPUT, tmp_path / "graph.onnx")


@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_new", "relu", "silu"])
def test_every_activation(hidden_act: str, tmp_path: Path) -> None:
    check(checkpoint(replace(CONFIG, hidden_act=hidden_act)), inputs(), SENTENCE_OUTPUT, tmp_path / "graph.onnx")


def test_a_family_without_type_table_and_pooler(tmp_path: Path) -> None:
    config = replace(CONFIG, type_vocab_size=0, pooler="first_token")
    check(checkpoint(config), inputs(config), SENTENCE_OUTPUT, tmp_path / "graph.onnx")


def test_word_scores(tmp_path: Path) -> None:
    feed = {**inputs(), MLM_INPUT: np.array([[1, 3], [0, 0], [2, 1]], np.int32)}
    check(checkpoint(), feed, MLM_OUTPUT, tmp_path / "graph.onnx")


def test_each_weight_stands_once(tmp_path: Path) -> None:
    write_onnx(checkpoint(), tmp_path / "graph.onnx")
    names = [constant.name for constant in onnx.load(tmp_path / "graph.onnx").graph.initializer]
    assert len(names) == len(set(names))
    assert "encoder.layer.1.attention.self.query.weight.T" in names
