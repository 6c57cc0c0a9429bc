"""Sentence vectors of pairs: what the two losses are, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learn.made_lessons import made_module, made_rows, settings

from wellread.backends.torch import TorchEncoder
from wellread.learn.init import with_head
from wellread.learn.objectives import PairingTask, build_task
from wellread.learn.training_examples import head_for, training_examples

ROWS = np.array([7, 2, 5, 0])


def made(directory, **changes) -> tuple[PairingTask, np.ndarray, np.ndarray]:
    """Return the task, and the unit vectors of the first and the second texts."""
    module, config = made_module(directory), settings(**changes)
    rows = made_rows("similarity", 16)
    if config.loss == "contrastive":
        rows = [{"text": row["text"], "pair": row["pair"]} for row in rows]
    examples = training_examples("similarity", rows, config)
    head = head_for("similarity", examples, module.checkpoint, config, ())
    checkpoint = with_head(module.checkpoint, head, max_seq_length=32, seed=0)
    job = build_task("similarity", TorchEncoder(checkpoint).train(), module.tokenizer, examples, config)
    sides = (examples.texts, examples.pairs)
    vectors = [module.encode(side, precision="f32", normalize_embeddings=True) for side in sides]
    assert isinstance(job, PairingTask)
    return job, vectors[0], vectors[1]


def test_cosines_are_drawn_to_scores_between_the_lowest_and_the_highest(tmp_path):
    job, first, second = made(tmp_path)
    batch = job.collate(ROWS, 0)
    targets = batch["targets"].numpy()
    assert set(targets.tolist()) == {0.0, 1.0}  # of scores 1 and 5
    expected = (((first * second).sum(1)[ROWS] - targets) ** 2).sum()
    loss = job.loss(batch)
    assert loss.count == 4
    assert loss.total.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("scale", [20.0, 5.0])
def test_a_text_is_to_find_its_second_one_among_those_of_the_batch(tmp_path, scale):
    job, first, second = made(tmp_path, loss="contrastive", scale=scale)
    batch = job.collate(ROWS, 0)
    assert "targets" not in batch
    cosines = first[ROWS] @ second[ROWS].T * scale
    expected = sum(np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(cosines))
    loss = job.loss(batch)
    assert loss.count == 4
    assert loss.total.item() == pytest.approx(expected, rel=1e-4)


def test_cosines_are_exact_under_bf16(tmp_path):
    """Only the encoder may round: the loss of the same vectors is that of float32."""
    job, _, _ = made(tmp_path, loss="contrastive")

    class Exact(torch.nn.Module):
        def forward(self, inputs, outputs):
            with torch.autocast("cpu", enabled=False):
                return job.model(inputs, outputs)

    exact = PairingTask(model=Exact(), rows=job.rows, targets=None, scale=20.0, settings={})
    batch = exact.collate(ROWS, 0)
    plain = exact.loss(batch).total.item()
    with torch.autocast("cpu", torch.bfloat16):
        assert exact.loss(batch).total.item() == plain


def test_batches_are_planned_by_both_texts(tmp_path):
    job, _, _ = made(tmp_path)
    batch = job.collate(ROWS, 0)
    assert batch["input_word_ids"].shape[0] == 8
    assert job.lengths(0)[ROWS].tolist() == batch["input_mask"].sum(1).reshape(2, 4).sum(0).tolist()


def test_the_identity_names_the_loss(tmp_path):
    cosine, contrastive = made(tmp_path)[0].identity(), made(tmp_path, loss="contrastive")[0].identity()
    assert cosine["loss"] == "cosine"
    assert (contrastive["loss"], contrastive["scale"]) == ("contrastive", 20.0)
    assert "targets" in cosine
    assert "targets" not in contrastive
    assert cosine["data"] == contrastive["data"]
