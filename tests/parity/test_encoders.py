"""The encoders that people use most, made tiny: each gives what sentence-transformers or transformers gives of it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch
import transformers
from encoder_rows import ROWS, published
from encoders import write_tiny
from sentence_transformers import CrossEncoder, SentenceTransformer

import wellread
from wellread.errors import WellreadError

TEXTS = [
    "A man is playing a guitar.",
    "  Two   spaces, ÉCLAIRS and 12,345 (ﬁne)!  ",
    "영화가 정말 재미있었다. 배우들의 연기도 좋았다.",
    "",
    "the film " * 60,  # longer than any module here
    "[MASK] <mask> of Paris 음악ㅋㅋ",
]
PAIRS = [
    ("who plays the guitar?", "A man is playing a guitar."),
    ("배우들의 연기는?", "영화가 정말 재미있었다."),
    ("what", "the film was good and " * 40),
]
KOBERT = ("kobert", "kobert-v1")  # no class of transformers reads their tokenizers


@pytest.fixture(autouse=True)
def quiet():
    """Let pass what both libraries say of long texts and of texts that a tiny vocabulary cannot spell."""
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("encoders")

    def made(name: str) -> Path:
        path = place / name.replace("/", "--")
        if not path.exists():
            write_tiny(ROWS[name], path)
        return path

    return made


def names(which):
    return [name for name, row in ROWS.items() if which(row)]


def load(place, name):
    """Load with the default backend the first row of each family and use, and the others with the reference."""
    kin = [key for key, row in ROWS.items() if (row["base"], row["use"]) == (ROWS[name]["base"], ROWS[name]["use"])]
    return wellread.load(place, backend="openvino" if name == kin[0] else "numpy")


def assert_near(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def sentence_transformer(place):
    return SentenceTransformer(str(place), device="cpu", model_kwargs={"dtype": torch.float32})


def cross_encoder(place):
    return CrossEncoder(str(place), device="cpu", model_kwargs={"dtype": torch.float32})


def hidden_states(place, config, inputs):
    """Give the last hidden state of transformers' class of the bare encoder."""
    kind = transformers.MODEL_MAPPING[type(transformers.AutoConfig.for_model(config.get("model_type", "bert")))]
    model = kind.from_pretrained(place, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(**inputs).last_hidden_state.numpy()


def tokenized(place, name, module):
    """Give the ids that transformers gives; of a tokenizer that it has no class for, ours."""
    if ROWS[name]["tokenizer"] in KOBERT:
        packed = module.bert_pack_inputs([module.tokenize(TEXTS)], module.max_seq_length)
        arrays = {"input_ids": packed.input_word_ids, "attention_mask": packed.input_mask}
        return {key: torch.tensor(array).long() for key, array in arrays.items()}
    auto = transformers.AutoTokenizer if "model_type" in published(ROWS[name]) else transformers.BertTokenizer
    tokenizer = auto.from_pretrained(place)
    return tokenizer(TEXTS, padding=True, truncation=True, max_length=module.max_seq_length, return_tensors="pt")


def vectors(module, **options):
    return module.encode(TEXTS, precision="f32" if module.backend == "openvino" else None, **options)


def scores(module):
    """Give the scores of the pairs; under labels their probabilities, as `probabilities` makes them of logits."""
    found = module.predict(PAIRS, precision="f32" if module.backend == "openvino" else None)
    labelled = len(module.checkpoint.head.labels) > 1
    return np.array([list(row.scores.values()) for row in found], np.float32) if labelled else np.float32(found)


def probabilities(logits):
    """Give the softmax of logits [N, C]; scores [N] as they are."""
    return scipy.special.softmax(logits, axis=-1) if logits.ndim > 1 else logits


SENTENCES = names(lambda row: "sentence" in row and "refused" not in row)
STATES = names(lambda row: not row.keys() & {"sentence", "scores", "refused"})
SCORES = names(lambda row: "scores" in row and "refused" not in row)


@pytest.mark.parametrize("name", SENTENCES)
def test_vectors_are_those_of_sentence_transformers(name, directory):
    peer = sentence_transformer(directory(name))
    module = load(directory(name), name)
    assert module.max_seq_length == peer.max_seq_length
    assert_near(vectors(module), peer.encode(TEXTS))
    for prompt in ROWS[name]["sentence"].get("prompts", ()):
        assert_near(vectors(module, prompt_name=prompt), peer.encode(TEXTS, prompt_name=prompt))


@pytest.mark.parametrize("name", STATES)
def test_hidden_states_are_those_of_transformers(name, directory):
    module = load(directory(name), name)
    inputs = tokenized(directory(name), name, module)
    expected = hidden_states(directory(name), published(ROWS[name]), inputs)
    found = module(TEXTS, seq_length=module.max_seq_length)["sequence_output"]
    length = min(found.shape[1], expected.shape[1])
    mask = inputs["attention_mask"].numpy()[:, :length].astype(bool)
    assert mask.sum() == inputs["attention_mask"].sum()
    assert_near(found[:, :length][mask], expected[:, :length][mask])


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_the_cross_encoder(name, directory):
    module = load(directory(name), name)
    assert_near(scores(module), probabilities(cross_encoder(directory(name)).predict(PAIRS)))


@pytest.mark.parametrize(("name", "task"), [("dslim/bert-base-NER", "tag"), ("deepset/roberta-base-squad2", "answer")])
def test_heads_of_tokens_are_read(name, task, directory):
    module = load(directory(name), name)
    assert module.checkpoint.head.task == task
    assert list(module.checkpoint.head.labels) == list(published(ROWS[name]).get("id2label", {}).values())


LABELLED = [name for name in STATES if "id2label" in published(ROWS[name]) and name != "dslim/bert-base-NER"]


@pytest.mark.parametrize("name", LABELLED)
def test_heads_answer_as_those_of_transformers(name, directory):
    module = load(directory(name), name)
    config = published(ROWS[name])
    if "SequenceClassification" not in config["architectures"][0]:
        assert module.checkpoint.head is None  # labels of nothing
        return
    kind = getattr(transformers, config["architectures"][0])
    model = kind.from_pretrained(directory(name), dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(**tokenized(directory(name), name, module)).logits.numpy()
    found = module.predict(TEXTS, precision="f32" if module.backend == "openvino" else None)
    assert [list(row.scores) for row in found] == [list(config["id2label"].values())] * len(TEXTS)
    assert_near(np.array([list(row.scores.values()) for row in found]), probabilities(logits))


@pytest.mark.parametrize("name", names(lambda row: "refused" in row))
def test_what_is_not_read_is_refused_by_name(name, directory):
    with pytest.raises(WellreadError) as caught:
        wellread.load(directory(name))
    for word in ROWS[name]["names"]:
        assert word in str(caught.value)


def test_every_row_is_made_with_the_keys_that_the_hub_has(directory):
    for name in ("nlpaueb/legal-bert-base-uncased", "BAAI/bge-base-zh-v1.5"):
        made = json.loads((directory(name) / "config.json").read_text())
        assert made.keys() == published(ROWS[name]).keys()


FIRST = {(row["base"], row["tokenizer"]): name for name, row in reversed(ROWS.items()) if "refused" not in row}


@pytest.mark.parametrize("name", names(lambda row: row["id"] in FIRST.values()))
def test_what_wellread_saves_of_it_gives_the_same_elsewhere(name, directory, tmp_path):
    module = wellread.load(directory(name), backend="numpy")
    module.save(tmp_path / "saved")
    if "scores" in ROWS[name]:
        assert_near(scores(module), probabilities(cross_encoder(tmp_path / "saved").predict(PAIRS)))
    else:
        assert_near(vectors(module), sentence_transformer(tmp_path / "saved").encode(TEXTS))
    assert_near(vectors(wellread.load(tmp_path / "saved", backend="numpy")), vectors(module))
