"""What batches of labelled rows hold and lose, against transformers' models of the same weights."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import transformers
from learn.made_lessons import made_examples, made_module, settings

from wellread.backends.torch import TorchEncoder
from wellread.data.examples import take_examples
from wellread.errors import DataError, TruncationWarning
from wellread.learn.init import with_head
from wellread.learn.objectives import build_task
from wellread.learn.step import new_optimizer
from wellread.learn.training_examples import head_for

ROWS = np.array([7, 2, 5, 0])


def made(task, examples, directory, **changes):
    """Return the task of the loop, and the checkpoint that its model was made of."""
    module, config = made_module(directory), settings(**changes)
    head = head_for(task, examples, module.checkpoint, config, ())
    checkpoint = with_head(module.checkpoint, head, max_seq_length=config.max_seq_length, seed=3)
    return build_task(task, TorchEncoder(checkpoint).train(), module.tokenizer, examples, config), checkpoint


# -- the loss and a step, against transformers -------------------------------------------------------------------------


def peer(kind, checkpoint, **changes):
    """Make transformers' model of a kind with the weights of a checkpoint."""
    config = checkpoint.config
    shape = {name: getattr(config, name) for name in ("vocab_size", "max_position_embeddings", "pad_token_id")}
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "type_vocab_size")
    shape |= {name: getattr(config, name) for name in names}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = getattr(transformers, kind)(transformers.BertConfig(**shape, **off, **changes))
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in checkpoint.arrays().items()}
    heads = ("classifier", "qa_outputs")
    state = {name if name.startswith(heads) else f"bert.{name}": array for name, array in arrays.items()}
    missing, _ = model.load_state_dict(state, strict=False)  # of tag and answer, transformers has no pooler
    assert not missing
    return model.train()


@pytest.mark.parametrize("task", ["classify", "pair"])
def test_a_step_is_that_of_transformers(tmp_path, task):
    """The same loss, and the same weights after a step, without dropout."""
    job, checkpoint = made(task, made_examples(task, 16), tmp_path)
    theirs = peer("BertForSequenceClassification", checkpoint, num_labels=2, classifier_dropout=0.0)
    batch = job.collate(ROWS, 0)
    given = {
        "input_ids": batch["input_word_ids"],
        "attention_mask": batch["input_mask"],
        "token_type_ids": batch["input_type_ids"],
    }
    ours = job.loss(batch)
    expected = theirs(**given, labels=batch["targets"]).loss
    assert ours.count == 4
    assert (ours.total / ours.count).item() == pytest.approx(expected.item(), abs=1e-5)
    for model, loss in ((job.model, ours.total / ours.count), (theirs, expected)):
        optimizer = new_optimizer(model, settings(learning_rate=1e-2, adam_epsilon=1e-4).loop)
        loss.backward()
        optimizer.step()
    after = theirs.state_dict()
    for name, array in job.model.arrays().items():
        their_name = name if name.startswith("classifier") else f"bert.{name}"
        assert np.abs(array - after[their_name].numpy()).max() < 1e-5, name


def test_tags_lose_what_they_lose_in_transformers(tmp_path):
    job, checkpoint = made("tag", made_examples("tag", 16), tmp_path)
    theirs = peer("BertForTokenClassification", checkpoint, num_labels=3, classifier_dropout=0.0)
    batch = job.collate(ROWS, 0)
    ours = job.loss(batch)
    expected = theirs(input_ids=batch["input_word_ids"], attention_mask=batch["input_mask"], labels=batch["targets"])
    assert ours.count == (batch["targets"] >= 0).sum()
    assert (ours.total / ours.count).item() == pytest.approx(expected.loss.item(), abs=1e-5)


def test_answers_lose_what_they_lose_in_transformers(tmp_path):
    """Rows of one length, for transformers lets padding take part."""
    job, checkpoint = made("answer", made_examples("answer", 16), tmp_path)
    theirs = peer("BertForQuestionAnswering", checkpoint)
    lengths = job.lengths(0)
    batch = job.collate(np.flatnonzero(lengths == lengths.max()), 0)
    first, last = batch["targets"].T
    given = {"attention_mask": batch["input_mask"], "token_type_ids": batch["input_type_ids"]}
    expected = theirs(input_ids=batch["input_word_ids"], **given, start_positions=first, end_positions=last).loss
    ours = job.loss(batch)
    assert ours.count > 1
    assert (ours.total / ours.count).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("task", ["classify", "tag", "answer"])
def test_padding_changes_no_loss(tmp_path, task):
    """A batch loses what its rows lose alone, so a step may be divided in any way."""
    job, _ = made(task, made_examples(task, 16), tmp_path)
    together = job.loss(job.collate(ROWS, 0))
    alone = [job.loss(job.collate(ROWS[i : i + 1], 0)) for i in range(4)]
    assert len(set(job.lengths(0)[ROWS].tolist())) > 1
    assert together.total.item() == pytest.approx(sum(loss.total.item() for loss in alone), rel=1e-5)
    assert together.count == sum(loss.count for loss in alone)


# -- what a batch holds ------------------------------------------------------------------------------------------------


def test_labels_stand_on_the_first_pieces_of_their_tokens(tmp_path):
    """Pieces: guitar ##s, the, cat: the second one has no label, nor have [CLS], [SEP] and padding."""
    rows = [
        {"text": ["guitars", "the", "cat"], "tags": ["B-X", "O", "B-PS"]},
        {"text": ["cat"], "tags": ["B-PS"]},
    ]
    job, _ = made("tag", take_examples(rows, tags="tags"), tmp_path)
    batch = job.collate(np.array([0, 1]), 0)
    assert job.model.head_config.labels == ("B-PS", "B-X", "O")
    assert batch["targets"].tolist() == [[-100, 1, -100, 2, 0, -100], [-100, 0, -100, -100, -100, -100]]
    assert job.lengths(0).tolist() == [6, 3]


def test_windows_hold_the_answer_or_point_at_cls(tmp_path):
    """A question of one piece leaves room for 6 of 9 pieces of the context; the second window begins 4 pieces on."""
    context = "a man is a woman is a cat runs"
    rows = [
        {"text": "the", "pair": context, "answers": [{"text": "a man", "answer_start": 0}]},
        {"text": "the", "pair": context, "answers": [{"text": "cat runs", "answer_start": context.index("cat")}]},
        {"text": "the", "pair": "a man", "answers": []},
    ]
    job, _ = made("answer", take_examples(rows, pair="pair", answers="answers"), tmp_path, max_seq_length=10)
    batch = job.collate(np.arange(5), 0)
    assert batch["targets"].tolist() == [[3, 4], [0, 0], [0, 0], [6, 7], [0, 0]]
    assert batch["input_word_ids"].shape == (5, 10)
    assert job.lengths(0).tolist() == [10, 9, 10, 9, 6]


def test_of_several_answers_the_first_is_taught(tmp_path):
    answers = [{"text": "cat", "answer_start": 2}, {"text": "a cat", "answer_start": 0}]
    rows = [{"text": "the", "pair": "a cat", "answers": answers}]
    job, _ = made("answer", take_examples(rows, pair="pair", answers="answers"), tmp_path)
    assert job.collate(np.array([0]), 0)["targets"].tolist() == [[4, 4]]


def test_a_pair_that_is_classified_is_packed_as_a_pair(tmp_path):
    examples = made_examples("pair", 16)
    job, _ = made("pair", examples, tmp_path)
    expected = [len(examples.pairs[row].split()) + 1 for row in ROWS]  # every word is a piece; [SEP]
    assert job.collate(ROWS, 0)["input_type_ids"].sum(1).tolist() == expected


# -- rows that are too long --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["classify", "pair", "similarity", "tag"])
def test_rows_that_are_cut_are_counted(tmp_path, task):
    examples = made_examples(task, 16)
    message = r"\d+ of (16|32) rows were too long and lost \d+ tokens; max_seq_length is 7; raise it where that matters"
    with pytest.warns(TruncationWarning, match=message):
        job, _ = made(task, examples, tmp_path, max_seq_length=7)
    batch = job.collate(ROWS, 0)
    assert batch["input_word_ids"].shape[1] == 7
    if task == "tag":
        assert batch["targets"].shape == (4, 7)
        assert (batch["targets"][:, 6] == -100).all()


def test_answers_that_no_window_holds_are_counted(tmp_path):
    context = "a man is a woman is a cat runs"
    rows = [
        {"text": "the", "pair": context, "answers": [{"text": context, "answer_start": 0}]},
        {"text": "the cat is a cat " * 2, "pair": "a man", "answers": [{"text": "man", "answer_start": 2}]},
    ]
    message = "1 of 2 questions were cut, and the answers of 1 stand whole in no window of max_seq_length 10, which is"
    with pytest.warns(TruncationWarning, match=message):
        made("answer", take_examples(rows, pair="pair", answers="answers"), tmp_path, max_seq_length=10)


def test_rows_that_fit_are_not_complained_of(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for task in ("classify", "answer"):
            made(task, made_examples(task, 4), tmp_path)


def test_texts_of_another_language_are_refused(tmp_path):
    rows = [{"text": "привет", "label": "a"}, {"text": "мир", "label": "b"}]
    message = "vocabulary were asked of the given rows; found that none of their 2 pieces is in it; take a module of"
    with pytest.raises(DataError, match=message):
        made("classify", take_examples(rows, label="label"), tmp_path)


def test_the_identity_tells_data_targets_and_model_apart(tmp_path):
    examples = made_examples("classify", 16)
    job, _ = made("classify", examples, tmp_path)
    plain = job.identity()
    other, _ = made("classify", made_examples("classify", 16, seed=1), tmp_path)
    assert {name for name, value in other.identity().items() if value != plain[name]} == {"data", "targets"}
    shorter, _ = made("classify", examples, tmp_path, max_seq_length=31)
    assert {name for name, value in shorter.identity().items() if value != plain[name]} == {
        "data",
        "sentence.max_seq_length",
    }
    rougher, _ = made("classify", examples, tmp_path, head_dropout=0.3)
    assert {name for name, value in rougher.identity().items() if value != plain[name]} == {"head.dropout"}
