"""Cross-encoders of every spelling score and rank as sentence-transformers' CrossEncoder; ours open in it."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
import transformers
from bodies import body
from sentence_transformers import CrossEncoder
from tiny import PIECES

import wellread
from wellread.errors import ConfigError, InputError, TruncationWarning

TEXT = "ForSequenceClassification"
QUERY = "a man is playing the guitar"
DOCUMENTS = [
    "paris , france !",
    "a woman runs . the cat sleeps",
    "paris , france !",  # as good as the first
    "playing guitars of paris " * 9,
    "",
    "the man playing a flute",
]
PAIRS = [(QUERY, document) for document in DOCUMENTS if document]
PAIRS += [("the cat " * 20, "a woman runs " * 15), ("a flute " * 9 + "a", "of paris " * 40), ("of " * 40, "a " * 40)]
IDENTITY, SIGMOID = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"
OLD, NEW = "sbert_ce_default_activation_function", "sentence_transformers"
# What config.json says -> the task and the activation that are read, of one label and of three.
SPELLINGS = {
    "of 2021": ({OLD: IDENTITY, "gradient_checkpointing": False}, ("rank", "identity"), ("rank", "identity")),
    "of 2021, sigmoid": ({OLD: SIGMOID}, ("rank", "sigmoid"), ("rank", "sigmoid")),
    "of 2025": ({NEW: {"activation_fn": IDENTITY, "version": "4.1.0"}}, ("rank", "identity"), ("rank", "identity")),
    "of 2025, without one": ({NEW: {"version": "4.1.0"}}, ("rank", "sigmoid"), ("rank", "identity")),
    "both": ({OLD: IDENTITY, NEW: {"activation_fn": SIGMOID}}, ("rank", "sigmoid"), ("rank", "sigmoid")),
    "tanh": ({NEW: {"activation_fn": "torch.nn.modules.activation.Tanh"}}, ("rank", "tanh"), ("rank", "tanh")),
    "none": ({}, ("score", "sigmoid"), ("classify", "identity")),
}


@pytest.fixture(autouse=True)
def quiet():
    """Let pass what both libraries say of long pairs and of each other's directories."""
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        yield


def made(place, keys, *, labels=1, name="roberta"):
    """Write a cross-encoder as transformers and a tokenizer of BERT have it; 25 tokens a pair."""
    place.mkdir(parents=True, exist_ok=True)
    # BERT's tokenizer has the padding 0
    more = {"num_labels": labels, "type_vocab_size": 2, "pad_token_id": 0}
    body(name, TEXT, more).save_pretrained(place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, **keys}))
    (place / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES), "utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 25}
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    return place


def peer_of(place):
    return CrossEncoder(str(place), device="cpu", model_kwargs={"dtype": torch.float32})


def assert_near(ours, theirs):
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_scores_are_those_of_the_peer(tmp_path, spelling, labels):
    keys, *expected = SPELLINGS[spelling]
    place = made(tmp_path / "model", keys, labels=labels, name="electra" if "2025" in spelling else "roberta")
    module, peer = wellread.load(place, backend="numpy"), peer_of(place)
    head = module.checkpoint.head
    assert (head.task, head.activation) == expected[labels == 3]
    assert module.max_seq_length == peer.max_seq_length == 25
    theirs = peer.predict(PAIRS)
    if head.task == "classify":  # no file says that it is a cross-encoder
        assert [max(p.scores, key=p.scores.get) for p in module.predict(PAIRS)] == [
            head.labels[i] for i in theirs.argmax(1)
        ]
        return
    assert_near(module.predict(PAIRS), theirs)
    assert_near(module.predict([list(pair) for pair in PAIRS], batch_size=2), theirs)
    assert_near(module.predict(*zip(*PAIRS, strict=True)), theirs)
    assert_near(module.predict(PAIRS, activation="identity"), peer.predict(PAIRS, activation_fn=torch.nn.Identity()))


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_a_ranking_is_that_of_the_peer(tmp_path, backend):
    place = made(tmp_path / "model", {OLD: IDENTITY})
    module, peer = wellread.load(place, backend=backend), peer_of(place)
    found = module.rank(QUERY, DOCUMENTS, precision="f32", return_documents=True)
    said = peer.rank(QUERY, DOCUMENTS, return_documents=True)
    assert [{**hit, "score": None} for hit in found] == [{**hit, "score": None} for hit in said]
    scores = [hit["score"] for hit in said]
    assert [hit["score"] for hit in found] == pytest.approx(scores, abs=1e-5 * max(1, *map(abs, scores)))
    assert [hit["corpus_id"] for hit in found if hit["corpus_id"] in (0, 2)] == [0, 2]  # alike: by their numbers
    assert module.rank(QUERY, DOCUMENTS, 2, precision="f32") == [
        {name: hit[name] for name in ("corpus_id", "score")} for hit in found[:2]
    ]


@pytest.mark.parametrize("labels", [1, 3])
def test_what_sentence_transformers_saves_is_read(tmp_path, labels):
    """Its files of today: a chain of one module, and the activation in a file of its own, which goes first."""
    peer = peer_of(made(tmp_path / "made", {OLD: IDENTITY}, labels=labels))
    peer.activation_fn = torch.nn.Tanh()
    peer.save_pretrained(str(tmp_path / "model"))
    assert [
        entry["type"].rpartition(".")[2] for entry in json.loads((tmp_path / "model/modules.json").read_text())
    ] == ["Transformer"]
    module = wellread.load(tmp_path / "model", backend="numpy")
    assert (module.checkpoint.head.task, module.checkpoint.head.activation) == ("rank", "tanh")
    assert module.checkpoint.ignored.keys().isdisjoint({"activation_fn", OLD})
    assert_near(module.predict(PAIRS), peer.predict(PAIRS))
    path = tmp_path / "model" / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "default_prompt_name": "query"}))
    with pytest.raises(ConfigError, match=r"default_prompt_name is 'query', and wellread computes only None"):
        wellread.load(tmp_path / "model")


@pytest.mark.parametrize(("keys", "labels"), [({OLD: IDENTITY}, 1), ({OLD: SIGMOID}, 3), ({}, 1)])
def test_what_wellread_saves_opens_in_the_peer_with_the_same_scores(tmp_path, keys, labels):
    module = wellread.load(made(tmp_path / "model", keys, labels=labels), backend="numpy")
    module.save(tmp_path / "saved")
    again = wellread.load(tmp_path / "saved", backend="numpy")
    assert again.checkpoint.head == module.checkpoint.head
    ours = module.predict(PAIRS)
    assert (again.predict(PAIRS) == ours).all()
    assert_near(ours, peer_of(tmp_path / "saved").predict(PAIRS))
    (tmp_path / "saved" / "wellread.json").unlink()
    assert wellread.load(tmp_path / "saved").checkpoint.head == module.checkpoint.head


def test_one_pair_is_a_tuple_of_two_texts(tmp_path):
    place = made(tmp_path / "model", {OLD: IDENTITY})
    module = wellread.load(place, backend="numpy")
    one = module.predict((QUERY, DOCUMENTS[1]))
    assert one == module.predict(QUERY, DOCUMENTS[1]) == module.predict([(QUERY, DOCUMENTS[1])])[0]
    assert one == pytest.approx(peer_of(place).predict((QUERY, DOCUMENTS[1])), abs=1e-5)
    with pytest.raises(InputError, match="this module is for rank, which takes two texts a row; found one; pass pairs"):
        module.predict([QUERY, DOCUMENTS[1]])


def test_a_head_of_several_outputs_ranks_nothing(tmp_path):
    place = made(tmp_path / "model", {OLD: IDENTITY}, labels=3)
    with pytest.raises(
        InputError, match="one output was asked for, to rank by; found 3: LABEL_0, LABEL_1, LABEL_2; ta"
    ):
        wellread.load(place, backend="numpy").rank(QUERY, DOCUMENTS)
    with pytest.raises(ValueError, match="only works for models with num_labels=1"):
        peer_of(place).rank(QUERY, DOCUMENTS)
