"""Tiny modules under Keras, on the framework that KERAS_BACKEND names: TensorFlow's unless the environment says so."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tiny import tiny_checkpoint, tiny_config, tiny_inputs, tiny_tokenizer

from wellread.config import TokenizerConfig
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

FRAMEWORK = keras.backend.backend()


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A WordPiece tokenizer under TF Hub's rules."""
    directory = tmp_path_factory.mktemp("vocabulary")
    tiny_tokenizer(directory)
    return load_tokenizer(directory, TokenizerConfig(dialect="tfhub", do_lower_case=True))


@pytest.fixture(scope="session")
def module(tokenizer):
    """BERT with its masked-language-model head."""
    return Module(checkpoint=tiny_checkpoint(), tokenizer=tokenizer, backend="numpy")


@pytest.fixture(scope="session")
def shallow(tokenizer):
    """BERT with its head, of one layer: quick to compile."""
    return Module(checkpoint=tiny_checkpoint(tiny_config(num_hidden_layers=1)), tokenizer=tokenizer, backend="numpy")


@pytest.fixture(scope="session")
def distilbert(tokenizer):
    """DistilBERT without its head."""
    checkpoint = tiny_checkpoint(tiny_config(pooler="first_token", type_vocab_size=0), mlm=False)
    return Module(checkpoint=checkpoint, tokenizer=tokenizer, backend="numpy")


@pytest.fixture
def inputs():
    return tiny_inputs()


@pytest.fixture
def positions():
    return np.array([[0, 6], [3, 1], [0, 0]], np.int32)
