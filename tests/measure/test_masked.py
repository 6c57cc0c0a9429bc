"""The perplexity of masked words is what the head's logits say, and depends on seed and texts alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny import tiny_module

from wellread.errors import DataError, InputError, TruncationWarning
from wellread.measure.evaluate import evaluate_masked
from wellread.text.masking import mask_tokens, masking_of, row_rng

TEXTS = ["a man is playing the guitar .", "", "paris , france ! a cat sleeps", "the cat", "of paris"]


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return tiny_module(tmp_path_factory.mktemp("masked"), backend="numpy")


def test_it_is_the_heads_loss_text_by_text(module):
    losses, hits = [], []
    for row, text in enumerate(TEXTS):
        batch = dict(module.bert_pack_inputs([module.tokenize([text])], 32))
        masked = mask_tokens(batch, masking=masking_of(module.tokenizer), rng=row_rng(3, 0, np.array([row])))
        if not len(masked.positions):
            continue
        inputs = {**batch, "input_word_ids": masked.input_word_ids, "masked_lm_positions": masked.positions[None]}
        logits = module.mlm(inputs)["mlm_logits"][0]
        chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        losses += (-np.log(chances[np.arange(len(logits)), masked.labels])).tolist()
        hits += (logits.argmax(-1) == masked.labels).tolist()
    found = evaluate_masked(module, TEXTS, seed=3)
    assert (found.task, found.examples, len(losses) > 3) == ("mlm", 5, True)
    assert found.scores["perplexity"].value == pytest.approx(math.exp(np.mean(losses)))
    assert found.scores["accuracy"].value == pytest.approx(np.mean(hits))
    assert found.scores["perplexity"].low < found.scores["perplexity"].value < found.scores["perplexity"].high


def test_the_seed_decides(module):
    assert evaluate_masked(module, TEXTS) == evaluate_masked(module, TEXTS, seed=0)
    assert evaluate_masked(module, TEXTS) != evaluate_masked(module, TEXTS, seed=1)


def test_long_texts_are_cut_and_counted(module):
    with pytest.warns(TruncationWarning, match="1 of 2 texts were too long and lost 10 tokens; this module takes 32"):
        evaluate_masked(module, ["a " * 40, "a man"])


def test_texts_without_pieces_are_refused(module):
    with pytest.raises(DataError, match="masked words were asked of 2 texts; they hold no piece that can be masked"):
        evaluate_masked(module, ["", " "])


def test_a_module_without_the_head_is_refused(tmp_path):
    with pytest.raises(InputError, match="this module has no masked-language-model head"):
        evaluate_masked(tiny_module(tmp_path, mlm=False, backend="numpy"), TEXTS)
