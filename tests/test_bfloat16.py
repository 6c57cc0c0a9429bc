"""The entry points that take bfloat16 by themselves where the CPU has it, within bounds of their own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from heads import headed_module
from near import BF16_COSINE, NEEDS_BF16, cosines
from tiny import tiny_config, tiny_module

import wellread
from wellread.backends import openvino
from wellread.config import DenseConfig, SentenceConfig
from wellread.data.examples import take_examples
from wellread.errors import InputError
from wellread.measure.evaluate import evaluate

TEXTS = ["A man is playing the guitar.", "", "A cat sleeps!", "The woman runs.", "paris of france , a flute"]
PAIRS = ["a woman runs .", "the cat", "of", "", "playing guitars , a man runs"]
LONG = "the cat runs . " * 20
MODULES = {
    "bert": {},
    "distilbert": {"config": tiny_config(type_vocab_size=0, pooler="first_token")},
    **{
        f"{pooling}, a map": {
            "sentence": SentenceConfig(
                pooling=pooling, dense=(DenseConfig(in_features=12, out_features=5),), normalize=True, max_seq_length=32
            )
        }
        for pooling in ("mean", "cls", "pooled_output")
    },
}


def in_float64(module):
    return replace(module, backend="numpy", _backends={})


@pytest.fixture
def bf16_first(monkeypatch):
    """Make bfloat16 the default of OpenVINO, as on a CPU with AMX."""
    monkeypatch.setattr(openvino, "precisions", lambda: ["bf16", "f32"])


@NEEDS_BF16
@pytest.mark.usefixtures("bf16_first")
@pytest.mark.parametrize("options", MODULES.values(), ids=MODULES)
def test_encode_and_embed_are_near_float64(tmp_path, options):
    module = tiny_module(tmp_path, **options)
    reference = in_float64(module).encode(TEXTS)
    vectors = module.encode(TEXTS)
    assert module.running().precision == "bf16"
    assert BF16_COSINE < cosines(vectors, reference).min() < 1 - 1e-9  # near, and not computed in float32
    for others in (
        module.encode(TEXTS, precision="bf16"),
        module.encode(TEXTS, batch_size=1),
        np.stack([module.encode(text) for text in TEXTS]),
        np.stack(list(module.embed(TEXTS))),
    ):
        assert cosines(others, reference).min() > BF16_COSINE
    if module.checkpoint.sentence.normalize:
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-2


@NEEDS_BF16
@pytest.mark.usefixtures("bf16_first")
def test_the_default_module_and_long_texts_are_near_float64(tmp_path):
    module = wellread.load("default", backend="openvino")
    assert cosines(module.encode(TEXTS), in_float64(module).encode(TEXTS)).min() > BF16_COSINE
    module = tiny_module(tmp_path)
    reference = in_float64(module).encode(LONG, on_long="chunk")
    assert cosines(module.encode(LONG, on_long="chunk"), reference) > BF16_COSINE


@NEEDS_BF16
@pytest.mark.usefixtures("bf16_first")
@pytest.mark.parametrize("task", ["classify", "pair"])
def test_predicted_labels_are_near_float64(tmp_path, task):
    module = headed_module(tmp_path, task, backend="openvino")
    found, reference = (each.predict(TEXTS, PAIRS) for each in (module, in_float64(module)))
    assert module.running().precision == "bf16"
    scores, expected = ([[*row.scores.values()] for row in rows] for rows in (found, reference))
    assert 0 < np.abs(np.subtract(scores, expected)).max() < 0.05
    assert cosines(scores, expected).min() > BF16_COSINE


@NEEDS_BF16
@pytest.mark.usefixtures("bf16_first")
def test_predicted_tags_answers_and_similarities_are_near_float64(tmp_path):
    module = headed_module(tmp_path, "tag", backend="openvino")
    scores, expected = (
        np.concatenate([row.scores for row in each.predict(TEXTS)]) for each in (module, in_float64(module))
    )
    assert 0 < np.abs(scores - expected).max() < 0.05
    module = headed_module(tmp_path, "answer", backend="openvino")
    scores, expected = (
        np.array([row.score for row in each.predict(PAIRS, TEXTS)]) for each in (module, in_float64(module))
    )
    assert 0 < np.abs(scores - expected).max() < 0.05
    module = headed_module(tmp_path, "similarity", backend="openvino")
    assert 0 < np.abs(module.predict(TEXTS, PAIRS) - in_float64(module).predict(TEXTS, PAIRS)).max() < 0.01


@NEEDS_BF16
def test_the_command_line_embeds_near_float64(tmp_path):
    module = tiny_module(tmp_path / "files")
    module.save(tmp_path / "module")
    command = [sys.executable, "-m", "wellread.cli.main", "embed", "-m", str(tmp_path / "module")]
    command += ["--precision", "bf16", *TEXTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    vectors = [[float(value) for value in line.split()] for line in done.stdout.splitlines()]
    assert BF16_COSINE < cosines(vectors, in_float64(module).encode(TEXTS)).min() < 1 - 1e-9


@pytest.mark.parametrize("offered", [["f32"], pytest.param(["bf16", "f32"], marks=NEEDS_BF16)], ids=" ".join)
def test_calls_and_scores_are_of_float32_on_every_cpu(tmp_path, monkeypatch, offered):
    monkeypatch.setattr(openvino, "precisions", lambda: offered)
    module = headed_module(tmp_path / "a", "similarity", backend="openvino")
    rows = [{"text": a, "pair": b, "score": n} for n, (a, b) in enumerate(zip(TEXTS, PAIRS, strict=True))]
    examples = take_examples(rows, pair="pair", score="score")
    expected = evaluate(in_float64(module), examples).scores["pearson"].value
    assert evaluate(module, examples).scores["pearson"].value == pytest.approx(expected, abs=1e-5)
    module(TEXTS)
    assert [*module._backends] == ["f32"]
    module.encode(TEXTS)
    assert module.running().precision == offered[0]


def test_bfloat16_is_refused_where_the_cpu_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(openvino, "precisions", lambda: ["f32"])
    with pytest.raises(
        InputError, match="precision 'bf16' was asked of the openvino .* computes this module in f32; nam"
    ):
        tiny_module(tmp_path).encode(TEXTS, precision="bf16")
