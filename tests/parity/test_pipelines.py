"""What a module predicts is what transformers' pipelines predict of the same files."""

from __future__ import annotations

import numpy as np
import pytest
import transformers
from heads import headed_module

TEXTS = ["a man is playing the guitar .", "paris , france !", "the cat sleeps", "playing guitars of paris"]
PAIRS = ["a woman runs .", "of", "a", "playing guitars , a man runs"]  # their tokenizer takes an empty one for none


def pipeline(task, tmp_path, **options):
    """Save a tiny module and open it as both."""
    head = {name: options.pop(name) for name in ("activation",) if name in options}
    module = headed_module(tmp_path / "files", options.pop("head"), backend="openvino", **head)
    module.save(tmp_path / "module")
    return module, transformers.pipeline(task, model=str(tmp_path / "module"), device="cpu", **options)


@pytest.mark.parametrize("head", ["classify", "pair"])
def test_labels(tmp_path, head):
    module, theirs = pipeline("text-classification", tmp_path, head=head, top_k=None)
    pairs = PAIRS if head == "pair" else None
    rows = [{"text": a, "text_pair": b} for a, b in zip(TEXTS, PAIRS, strict=True)] if pairs else TEXTS
    for found, said in zip(module.predict(TEXTS, pairs, precision="f32"), theirs(rows), strict=True):
        assert found.label == said[0]["label"]
        assert found.scores == pytest.approx({row["label"]: row["score"] for row in said}, abs=1e-5)


@pytest.mark.parametrize("activation", ["identity", "sigmoid"])
def test_numbers(tmp_path, activation):
    module, theirs = pipeline("text-classification", tmp_path, head="score", activation=activation)
    found = module.predict(TEXTS, precision="f32")
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([row["score"] for row in theirs(TEXTS)], abs=1e-5)


def test_sets_of_labels(tmp_path):
    module, theirs = pipeline("text-classification", tmp_path, head="multilabel", top_k=None)
    rows = [{row["label"]: row["score"] for row in said} for said in theirs(TEXTS)]  # the most probable first
    threshold = float(np.median([score for row in rows for score in row.values()])) + 1e-4
    answers = module.predict(TEXTS, precision="f32", threshold=threshold)
    for found, row in zip(answers, rows, strict=True):
        assert found.scores == pytest.approx(row, abs=1e-5)
        assert list(found.labels) == [label for label, score in row.items() if score > threshold]
    assert len({found.labels for found in answers}) > 1


def test_entities(tmp_path):
    module, theirs = pipeline("token-classification", tmp_path, head="tag", aggregation_strategy="first")
    for found, said in zip(module.predict(TEXTS, precision="f32"), theirs(TEXTS), strict=True):
        assert [(one.entity, one.start, one.end) for one in found.entities] == [
            (row["entity_group"], row["start"], row["end"]) for row in said
        ]
        assert [one.score for one in found.entities] == pytest.approx([float(row["score"]) for row in said], abs=1e-5)
