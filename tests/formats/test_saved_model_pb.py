"""saved_model.pb: searched and parsed, as TensorFlow and as an enemy may have written it."""

import random

import pytest
import tensorflow_text
import tf_made
from bundles import field

from wellread.errors import CheckpointError
from wellread.formats import saved_model_pb as saved_model_graph
from wellread.formats.saved_model_pb import NAME, read_graph

KOBERT = tf_made.DATA / "kobert" / "tokenizer_78b3253a26.model"


def node(op: bytes, attributes: bytes = b"") -> bytes:
    return field(1, b"name") + field(2, op) + attributes


def saved_model(*nodes: bytes, functions: tuple[bytes, ...] = ()) -> bytes:
    library = field(2, field(1, b"".join(field(3, node) for node in functions)))
    graph = b"".join(field(1, node) for node in nodes) + library
    return field(1, 1) + field(2, field(1, b"about") + field(2, graph))


@pytest.fixture
def directory(tmp_path):
    def write(content):
        (tmp_path / NAME).write_bytes(content)
        return tmp_path

    return write


def test_operations_are_found_in_the_graph_and_in_its_functions(directory):
    graph = read_graph(directory(saved_model(node(b"Tanh"), functions=(node(b"Const"), node(b"Erf")))))
    assert [op for op in ("Tanh", "Erf", "Er", "Erfc", "Relu", "name") if graph.uses(op)] == ["Tanh", "Erf"]
    assert not graph.tokenizes


def test_a_word_that_is_no_operation_is_none(directory):
    decoy = field(5, field(1, b"x") + field(2, field(2, b"Erf")))  # an attribute of that content
    assert not read_graph(directory(saved_model(node(b"Const", decoy)))).uses("Erf")


def test_tensorflows_own_graph(tmp_path):
    model = KOBERT.read_bytes()
    place = tf_made.write_preprocessor(tmp_path / "spm", tensorflow_text.SentencepieceTokenizer(model))
    graph = read_graph(place)
    assert graph.tokenizes
    assert not graph.uses("CaseFoldUTF8")
    assert graph.sentencepiece_models() == [model]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (field(1, 1), "no graph in its 2 bytes"),
        (saved_model(node(b"Tanh"))[:-1], "a field of 27 bytes where 26 are left"),
    ],
)
def test_a_damaged_file_is_named(directory, content, found):
    with pytest.raises(
        CheckpointError, match=f"was to be read as a SavedModel; found .*{found}.*; fetch the SavedModel"
    ):
        read_graph(directory(content))


@pytest.mark.parametrize(("content", "found"), [(b"", "an empty file"), (b"<!doctype html>", "a web page")])
def test_another_file_in_its_place_is_named(directory, content, found):
    with pytest.raises(CheckpointError, match=f"was to be read as a SavedModel; found {found}"):
        read_graph(directory(content))


def test_damage_inside_is_named_when_it_is_met(directory):
    graph = read_graph(directory(field(2, field(2, field(1, field(2, b"Erf")[:-1]))) + field(3, field(2, b"Erf"))))
    with pytest.raises(
        CheckpointError, match="was to be read as a SavedModel; found a field of 3 bytes where 2 are left"
    ):
        graph.uses("Erf")


def test_a_file_that_is_missing_or_huge_is_named(directory, tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match=r"saved_model\.pb was to be read as a SavedModel; found no such file"):
        read_graph(tmp_path)
    monkeypatch.setattr(saved_model_graph, "_MAX_SIZE", 10)
    with pytest.raises(CheckpointError, match="found 11 bytes, over the 10 that are read"):
        read_graph(directory(b"\x12" * 11))


def test_a_thousand_flips_and_cuts_end_in_an_error_or_an_answer(directory):
    model = field(5, field(1, b"model") + field(2, field(2, b"content")))
    whole = saved_model(node(b"Tanh"), node(b"SentencepieceOp", model), functions=(node(b"Const"), node(b"Erf")))
    rng = random.Random(0)
    refused = 0
    for turn in range(1000):
        raw = bytearray(whole[: rng.randrange(len(whole))] if turn % 4 == 0 else whole)
        if turn % 4:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        try:
            graph = read_graph(directory(bytes(raw)))
            assert {graph.uses("Erf"), graph.uses("Tanh")} <= {True, False}
            assert len(graph.sentencepiece_models()) <= 1
        except CheckpointError:
            refused += 1
    assert 250 < refused < 1000
