"""What stands behind a handle: modules in any format, SavedModels of encoders and of preprocessors told apart."""

import shutil

import keras
import numpy as np
import pytest
from exports import written
from keras_tools import KERAS_WARNS, assert_near
from tiny import tiny_checkpoint, tiny_config

import wellread.keras as hub
from wellread.errors import InputError
from wellread.module import Module

pytestmark = [
    KERAS_WARNS,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow writes them: once is enough"),
]


@pytest.fixture(scope="module")
def bert(shallow, tmp_path_factory):
    return written(shallow, tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def alone(tokenizer, tmp_path_factory):
    """A DistilBERT as TF Hub has them: the encoder carries no vocabulary."""
    config = tiny_config(num_hidden_layers=1, pooler="first_token", type_vocab_size=0)
    module = Module(checkpoint=tiny_checkpoint(config, mlm=False), tokenizer=tokenizer, backend="numpy")
    pair = written(module, tmp_path_factory.mktemp("alone"))
    shutil.rmtree(pair.encoder / "assets")
    return pair


def test_an_encoders_saved_model(bert, inputs):
    encoder = hub.load(bert.encoder)
    assert_near(encoder(inputs), hub.Encoder(bert.module)(inputs))
    assert encoder.mlm.trainable_variables
    assert encoder.to_module().tokenizer.config.dialect == "tfhub"


def test_a_preprocessors_saved_model(bert):
    layer = hub.KerasLayer(str(bert.preprocessor))
    assert isinstance(layer.resolved_object, hub.Preprocessor)
    wanted = hub.Preprocessor(bert.module)(["A man sleeps."])
    made = layer(["A man sleeps."])
    assert set(made) == {"input_word_ids", "input_mask", "input_type_ids"}
    assert all(np.array_equal(made[name], wanted[name]) for name in made)


def test_distilberts_pair(alone, inputs):
    preprocessor, encoder = hub.load(alone.preprocessor), hub.load(alone.encoder)
    assert set(preprocessor(["A man sleeps."])) == {"input_word_ids", "input_mask"}
    made = preprocessor.bert_pack_inputs([preprocessor.tokenize(["A man sleeps."])], seq_length=9)
    assert set(encoder(made)) == {"pooled_output", "sequence_output", "encoder_outputs"}
    assert_near(encoder(inputs), hub.Encoder(alone.module)(inputs))


def test_an_encoder_without_vocabulary_says_so_when_it_is_needed(alone):
    with pytest.raises(InputError, match="a Module needs a tokenizer; this encoder was made without one"):
        hub.load(alone.encoder).to_module()
    with pytest.raises(InputError, match="a vocabulary was asked of an encoder; found none: .*; name its preprocessor"):
        hub.Preprocessor(alone.encoder)
    named = hub.load(alone.encoder, tokenizer=alone.preprocessor)
    assert named.to_module().tokenizer.vocab_size == 99


def test_a_preprocessor_is_no_encoder(bert):
    with pytest.raises(
        InputError, match="an encoder was asked of .*; found a preprocessor, which has no weights; make"
    ):
        hub.Encoder(bert.preprocessor)
