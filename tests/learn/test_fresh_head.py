"""A checkpoint with a head: which tensors are drawn anew, which are kept, which go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import tiny_checkpoint, tiny_config

from wellread.config import DenseConfig, HeadConfig, SentenceConfig
from wellread.errors import ConfigError
from wellread.learn.init import first_map, is_continued, with_head

JUDGE = HeadConfig(task="classify", labels=("a", "b", "c"))


def headed(checkpoint, head=JUDGE, *, seed=0, max_seq_length=32):
    return with_head(checkpoint, head, max_seq_length=max_seq_length, seed=seed)


def assert_kept(made, checkpoint, names) -> None:
    for name in names:
        assert np.array_equal(made.tensors[name].read(), checkpoint.tensors[name].read()), name


def test_the_head_for_masked_words_goes_and_says_so():
    checkpoint = tiny_checkpoint()
    made = headed(checkpoint)
    assert made.tensors.keys() - checkpoint.tensors.keys() == {"classifier.weight", "classifier.bias"}
    gone = checkpoint.tensors.keys() - made.tensors.keys()
    assert gone == {name for name in checkpoint.tensors if name.startswith("cls.predictions")}
    assert made.ignored["cls.predictions"] == "fine-tuning keeps one head, that of the task"
    assert_kept(made, checkpoint, checkpoint.tensors.keys() - gone)
    assert not made.has_mlm
    assert "cls.predictions" not in headed(tiny_checkpoint(mlm=False)).ignored


def test_a_fresh_head_is_normal_and_depends_on_the_seed():
    checkpoint = tiny_checkpoint(tiny_config(initializer_range=0.05))
    first, again, other = (headed(checkpoint, seed=seed).tensors["classifier.weight"].read() for seed in (0, 0, 1))
    assert first.shape == (3, 12)
    assert 0.03 < first.std() < 0.07
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not headed(checkpoint).tensors["classifier.bias"].read().any()


def test_a_head_for_the_same_labels_is_kept():
    old = headed(tiny_checkpoint())
    assert_kept(headed(old, replace(JUDGE, dropout=0.3), seed=9), old, old.tensors)
    assert_kept(headed(old, replace(JUDGE, task="pair"), seed=9), old, ["classifier.weight"])
    assert headed(old, replace(JUDGE, dropout=0.3)).head.dropout == 0.3


@pytest.mark.parametrize(
    "new",
    [HeadConfig(task="classify", labels=("a", "b", "d")), HeadConfig(task="tag", labels=("a", "b", "c"))],
    ids=["labels", "task"],
)
def test_a_head_for_something_else_is_drawn_anew(new):
    old = headed(tiny_checkpoint())
    assert not is_continued(old.head, new)
    made = headed(old, new, seed=9)
    assert not np.array_equal(made.tensors["classifier.weight"].read(), old.tensors["classifier.weight"].read())
    assert_kept(made, old, ["embeddings.word_embeddings.weight"])


def test_the_old_head_goes_where_the_new_one_has_other_tensors():
    old = headed(tiny_checkpoint())
    made = headed(old, HeadConfig(task="answer"))
    assert made.tensors["qa_outputs.weight"].shape == (2, 12)
    assert not [name for name in made.tensors if name.startswith("classifier")]
    assert not [name for name in headed(old, HeadConfig(task="similarity")).tensors if "classifier" in name]


def test_a_bert_without_pooler_gets_one_to_judge_whole_texts():
    checkpoint = tiny_checkpoint(tiny_config(pooler="first_token"), mlm=False)
    made = headed(checkpoint)
    assert made.config.pooler == "dense_tanh"
    assert made.tensors["pooler.dense.weight"].shape == (12, 12)
    assert made.tensors["pooler.dense.weight"].read().any()
    tagged = headed(checkpoint, HeadConfig(task="tag", labels=("O", "B-X")))
    assert tagged.config.pooler == "first_token"
    assert "pooler.dense.weight" not in tagged.tensors


def test_a_sentence_vector_is_the_same_with_a_fresh_pooler():
    sentence = SentenceConfig(pooling="pooled_output", max_seq_length=32)
    checkpoint = tiny_checkpoint(tiny_config(pooler="first_token"), sentence, mlm=False)
    assert headed(checkpoint).sentence.pooling == "cls"
    own = tiny_checkpoint(tiny_config(), sentence, mlm=False)
    assert headed(own).sentence.pooling == "pooled_output"


def test_a_distilbert_gets_its_own_map():
    checkpoint = tiny_checkpoint(tiny_config(type_vocab_size=0, pooler="first_token"), mlm=False)
    assert first_map(checkpoint, "pair") == {"pre_classifier": True, "pre_activation": "relu", "pre_dropout": False}
    assert not first_map(checkpoint, "answer")["pre_classifier"]
    assert not first_map(checkpoint, "similarity")["pre_classifier"]
    assert not first_map(tiny_checkpoint(), "pair")["pre_classifier"]
    roberta = replace(checkpoint, family="roberta")
    assert first_map(roberta, "rank") == {"pre_classifier": True, "pre_activation": "tanh", "pre_dropout": True}
    made = headed(checkpoint, replace(JUDGE, pre_classifier=True))
    assert made.config.pooler == "first_token"
    assert made.tensors["pre_classifier.weight"].shape == (12, 12)


def test_the_maps_of_a_sentence_vector_stay():
    sentence = SentenceConfig(dense=(DenseConfig(in_features=12, out_features=5),), max_seq_length=32)
    checkpoint = tiny_checkpoint(sentence=sentence)
    made = headed(checkpoint, max_seq_length=17)
    assert_kept(made, checkpoint, ["sentence.0.weight", "sentence.0.bias"])
    assert made.sentence == replace(sentence, max_seq_length=17)


def test_rows_longer_than_the_position_table_are_refused():
    message = "rows of max_seq_length 42 were asked for; the position table has 41; ask for less"
    with pytest.raises(ConfigError, match=message):
        headed(tiny_checkpoint(), max_seq_length=42)
    assert headed(tiny_checkpoint(), max_seq_length=41).sentence.max_seq_length == 41
