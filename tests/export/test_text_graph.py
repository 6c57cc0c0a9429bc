"""The preprocessor's graph: the vectors of TF Hub's own exporter, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf
from own_ids import own_tokenizer

from wellread.config import TokenizerConfig
from wellread.export.graphs import TextGraph, text_graph
from wellread.text.batch import bert_pack_inputs
from wellread.text.tokenizer import load_tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "d", "ef", "abc", "xy", "[MASK]"]


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> TextGraph:
    place = tmp_path_factory.mktemp("words")
    (place / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    return text_graph(load_tokenizer(place, TokenizerConfig(dialect="tfhub", do_lower_case=True)), type_ids=True)


def test_the_vectors_of_the_exporter(graph):
    """From tensorflow/models, official/nlp/tools/export_tfhub_lib_test.py."""
    tokens, starts, limits = graph.tokenize_with_offsets(tf.constant(["abc d ef"]))
    assert tokens.to_list() == [[[6], [4], [5]]]
    assert [starts.to_list(), limits.to_list()] == [[[[0], [4], [6]]], [[[3], [5], [8]]]]
    assert tokens.dtype == tf.int32
    assert starts.dtype == limits.dtype == tf.int64
    packed = graph.bert_pack_inputs([tokens, graph.tokenize(tf.constant(["D xy"]))], seq_length=10)
    assert packed["input_word_ids"].numpy().tolist() == [[2, 6, 4, 5, 3, 4, 7, 3, 0, 0]]
    assert packed["input_mask"].numpy().tolist() == [[1] * 8 + [0] * 2]
    assert packed["input_type_ids"].numpy().tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 0, 0]]


def test_special_tokens(graph):
    special = graph.tokenize.get_special_tokens_dict()
    assert {name: int(id) for name, id in special.items()} == graph.special_tokens
    assert graph.special_tokens["mask_id"] == 8
    assert graph.tokenize_with_offsets.get_special_tokens_dict()["vocab_size"].dtype == tf.int32


def test_an_empty_text_is_a_text(graph):
    packed = graph(tf.constant(["", " "]))
    assert packed["input_word_ids"].numpy()[:, :3].tolist() == [[2, 3, 0]] * 2
    assert packed["input_mask"].numpy().sum(1).tolist() == [2, 2]
    assert packed["input_word_ids"].shape == (2, 128)


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [(10, 10, 10), (2, 10, 10), (10, 2, 10), (0, 10, 10), (200, 200, 128), (60, 200, 128)],
)
def test_pairs_are_cut_as_by_our_own_packing(graph, first, second, length):
    rows = [[[4] * first], [[5] * second]]
    special = load_special(graph)
    ours = bert_pack_inputs(rows, special=special, seq_length=length)
    theirs = graph.bert_pack_inputs([tf.ragged.constant(row, tf.int32) for row in rows], seq_length=length)
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name]), name


def load_special(graph):
    from wellread.text.vocabulary import SpecialTokens

    ids = graph.special_tokens
    return SpecialTokens(
        unk=1,
        pad=ids["padding_id"],
        cls=ids["start_of_sequence_id"],
        sep=ids["end_of_segment_id"],
        mask=ids["mask_id"],
    )


def test_without_type_ids_there_are_two_outputs(tmp_path):
    graph = text_graph(own_tokenizer(tmp_path), type_ids=False)
    tokens = graph.tokenize(tf.constant(["한국어 모델"]))
    assert tokens.shape.rank == 2
    assert graph.bert_pack_inputs([tokens], seq_length=8).keys() == {"input_word_ids", "input_mask"}


def test_a_length_without_room_is_refused(graph):
    tokens = graph.tokenize(tf.constant(["abc"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="seq_length must hold the special tokens"):
        graph.bert_pack_inputs([tokens, tokens], seq_length=tf.constant(2))
