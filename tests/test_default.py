"""The embedded default: small, whole, and what its card says."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import wellread
from wellread.errors import CheckpointError
from wellread.export.huggingface import export_huggingface
from wellread.hub.resolve import DEFAULT
from wellread.learn.settings import read_recipe

TEXTS = ["A man is playing a guitar.", "Someone plays an instrument.", "The sky is blue.", "", "한국어", "x" * 1000]


def test_it_takes_at_most_12_megabytes():
    assert sum(path.stat().st_size for path in DEFAULT.rglob("*") if path.is_file()) <= 12_000_000


def test_it_is_what_its_recipe_makes():
    module = wellread.load("default")
    made = module.provenance["from"]
    assert made["recipe"] == "default"
    assert module.max_seq_length == read_recipe("default").distill.max_seq_length
    assert module.checkpoint.config.num_hidden_layers == len(made["student"]["trim"]["layers"])
    assert module.tokenizer.vocab_size == made["student"]["trim"]["rows_after"]
    assert made["texts"] > 500_000
    assert module.embedding_size == 384


def test_near_meanings_are_near():
    module = wellread.load("default")
    vectors = module.encode(TEXTS, precision="f32")
    scores = module.similarity(vectors[0], vectors)[0]
    assert scores[1] > 0.3 > scores[2]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_sentence_transformers_gives_the_same_vectors(tmp_path):
    module = wellread.load("default")
    export_huggingface(module, tmp_path / "floats")
    theirs = SentenceTransformer(str(tmp_path / "floats"), device="cpu").encode(TEXTS)
    assert np.abs(module.encode(TEXTS, precision="f32") - theirs).max() <= 1e-5


def test_the_card_has_its_numbers():
    card = (DEFAULT / "README.md").read_text("utf-8")
    assert "@" not in re.sub(r"\S+@\S+\.\S+", "", card)
    assert f"{wellread.load('default').checkpoint.num_parameters:,}" in card


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt", "config.json", "1_Pooling/config.json"])
def test_a_flipped_bit_is_named_before_first_use(name, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(DEFAULT, copy)
    path = copy / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{name} has another SHA-256"):
        wellread.load(copy)


def test_the_card_may_be_edited(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(DEFAULT, copy)
    (copy / "README.md").write_text("Mine.")
    assert wellread.load(copy).encode("a text").shape == (384,)
