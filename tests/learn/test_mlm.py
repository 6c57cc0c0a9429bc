"""The masked language model's task: its loss against Hugging Face's, its masks, what it freezes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_checkpoint, tiny_config, tiny_module, tiny_tokenizer

from wellread.backends.torch import TorchEncoder
from wellread.data.token_store import token_store
from wellread.errors import ConfigError
from wellread.learn.mlm import MlmTask, freeze, masked_inputs, masked_logits
from wellread.text.masking import masking_of, row_rng

WORDS = "a man woman cat is playing the guitar flute runs sleeps paris france of".split()
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(4, 20))) for _ in range(60)]


@pytest.fixture
def store(tmp_path):
    return token_store(TEXTS, tiny_tokenizer(tmp_path / "files"), cache=tmp_path / "tokens", max_seq_length=24)


@pytest.fixture
def task(store, tmp_path):
    model = TorchEncoder(tiny_checkpoint()).eval()
    tokenizer = tiny_tokenizer(tmp_path / "files")
    masking, template = masking_of(tokenizer), tokenizer.template
    return MlmTask(model=model, store=store, masking=masking, template=template, seed=3, max_seq_length=24)


@pytest.mark.parametrize("types", [2, 0], ids=["bert", "distilbert"])
def test_the_loss_is_hugging_faces_on_the_same_masked_ids(task, tmp_path, types):
    from transformers import AutoModelForMaskedLM

    pooler = "dense_tanh" if types else "first_token"
    module = tiny_module(tmp_path / "files", config=tiny_config(type_vocab_size=types, pooler=pooler))
    module.save(tmp_path / "saved")
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path / "saved").eval()
    task = replace(task, model=TorchEncoder(module.checkpoint).eval())
    inputs = task.collate(np.arange(13), 1)
    labels = torch.full(inputs["input_word_ids"].shape, -100)
    labels.view(-1)[inputs["positions"]] = inputs["labels"]
    given = {"input_ids": inputs["input_word_ids"].long(), "attention_mask": inputs["input_mask"]}
    expected = theirs(**given, labels=labels).loss
    ours = task.loss(inputs)
    assert ours.count == len(inputs["labels"]) > 13
    assert abs(ours.total.item() / ours.count - expected.item()) < 1e-5


def test_scores_are_those_of_the_module_at_the_masked_positions_alone(task, tmp_path):
    inputs = task.collate(np.arange(5), 0)
    scores = masked_logits(task.model, inputs)
    every = torch.arange(inputs["input_word_ids"].shape[1]).expand(5, -1)
    outputs = task.model({**inputs, "masked_lm_positions": every}, ["mlm_logits"])["mlm_logits"]
    assert scores.shape == (len(inputs["positions"]), 99)
    assert torch.allclose(scores, outputs.flatten(0, 1)[inputs["positions"]], atol=1e-5)


def test_masks_change_with_the_epoch_and_repeat_with_the_seed(task):
    rows = np.arange(60)
    first, again, later = task.collate(rows, 0), task.collate(rows, 0), task.collate(rows, 1)
    assert torch.equal(first["input_word_ids"], again["input_word_ids"])
    assert not torch.equal(first["input_word_ids"], later["input_word_ids"])
    other = replace(task, seed=4).collate(rows, 0)
    assert not torch.equal(first["input_word_ids"], other["input_word_ids"])


def test_lengths_are_those_of_the_batches(task):
    for row in range(9):
        assert task.collate(np.array([row]), 0)["input_word_ids"].shape == (1, task.lengths(0)[row])


def test_everything_that_decides_the_result_is_in_the_identity(task, store, tmp_path):
    masking = task.masking
    others = [
        replace(task, masking=replace(masking, rate=0.2)),
        replace(task, masking=masking_of(tiny_tokenizer(tmp_path / "files"), kind="words")),
        replace(task, max_seq_length=23),
        replace(task, store=replace(store, facts=replace(store.facts, digest="another"))),
        replace(task, model=TorchEncoder(tiny_checkpoint(tiny_config(num_attention_heads=3)))),
        replace(task, masking=replace(masking, special=replace(masking.special, mask=5))),
    ]
    assert all(other.identity() != task.identity() for other in others)
    assert replace(task).identity() == task.identity()


def test_held_out_texts_have_the_same_masks_whatever_the_run(task, store):
    scores = task.held_out(store)
    assert scores == replace(task, seed=99).held_out(store)
    assert scores.keys() == {"masked_perplexity", "masked_accuracy"}
    total, hits, count = 0.0, 0, 0
    for row in range(len(store)):
        packed = task.template.pack([store.take(np.array([row]))], seq_length=24, pad_to_longest=True)
        inputs = masked_inputs(packed, task.masking, row_rng(0, 2**32 - 1, np.array([row])))
        loss = task.loss(inputs)
        hits += int((masked_logits(task.model, inputs).argmax(-1) == inputs["labels"]).sum())
        total, count = total + loss.total.item(), count + loss.count
    assert scores["masked_perplexity"] == pytest.approx(np.exp(total / count), rel=1e-5)
    assert scores["masked_accuracy"] == hits / count


def test_held_out_texts_are_scored_without_dropout_and_the_model_goes_on_training(task, store):
    expected = task.held_out(store)
    task.model.encoder_config = replace(task.model.encoder_config, hidden_dropout_prob=0.5)
    task.model.train()
    assert task.held_out(store) == expected
    assert task.model.training


def test_what_is_frozen(task):
    freeze(task.model, ["embeddings.position_embeddings", "encoder.layer.1", "cls.predictions.bias"])
    frozen = {name for name, parameter in task.model.named_parameters() if not parameter.requires_grad}
    assert {"embeddings.position_embeddings.weight", "cls.predictions.bias"} < frozen
    assert len(frozen) == 2 + 16
    assert all(name.startswith("encoder.layer.1.") for name in frozen if name.startswith("encoder"))


def test_what_is_not_there_cannot_be_frozen(task):
    message = (
        r"embedings, encoder.layer.1 were to stay as they are; found no embedings \(did you mean embeddings\?\) in"
    )
    with pytest.raises(ConfigError, match=message):
        freeze(task.model, ["embedings", "encoder.layer.1"])
