"""KerasLayer and load: tensorflow-hub's signatures, weights read as data, under Keras 3."""

import keras
import numpy as np
import pytest
from keras_tools import KERAS_WARNS, assert_near, numpy_of, reloaded, spread, symbols

import wellread.keras as hub
from wellread.encoder.heads import MLM_INPUT
from wellread.errors import HandleError, InputError

pytestmark = KERAS_WARNS


@pytest.fixture(scope="module")
def native(module, tmp_path_factory):
    """A directory that `wellread.load` reads."""
    directory = tmp_path_factory.mktemp("native") / "module"
    module.save(directory)
    return directory


def test_a_handle_gives_the_encoders_outputs(module, native, inputs):
    layer = hub.KerasLayer(str(native))
    assert isinstance(layer.resolved_object, hub.Encoder)
    made = layer(inputs)
    assert_near({name: made[name] for name in made if name != "default"}, module(inputs))
    assert isinstance(hub.load(native), hub.Encoder)


def test_not_trainable_means_no_dropout_and_no_trainable_weights(native, inputs):
    frozen, trainable = hub.KerasLayer(str(native)), hub.KerasLayer(str(native), trainable=True)
    assert frozen.trainable_variables == []
    assert len(frozen.variables) > 16 * 3 + 7
    assert len(trainable.trainable_variables) == 16 * 3 + 7
    assert spread(frozen, inputs, training=True) < 1e-6
    assert spread(trainable, inputs, training=False) < 1e-6
    assert spread(trainable, inputs, training=True) > 1e-3


def test_a_frozen_layer_stays_as_it_is_inside_fit(module, inputs, tmp_path):
    given = symbols(inputs)
    layer = hub.KerasLayer(hub.Encoder(module), output_key="pooled_output")
    model = keras.Model(given, keras.layers.Dense(1)(layer(given)))
    model.compile("adam", "mse")
    before = numpy_of(layer(inputs))
    model.fit(inputs, np.ones((3, 1)), epochs=2, verbose=0)
    assert np.array_equal(numpy_of(layer(inputs)), before)
    again = reloaded(model, tmp_path)
    assert len(model.trainable_variables) == len(again.trainable_variables) == 2
    assert np.array_equal(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_the_head_of_a_frozen_layer_trains(native, inputs, positions, tmp_path):
    encoder = hub.KerasLayer(str(native))
    mlm = hub.KerasLayer(encoder.mlm, trainable=True)
    given = symbols({**inputs, MLM_INPUT: positions})
    logits = mlm(given)["mlm_logits"]
    assert logits.shape == (None, 2, 99)
    assert len(mlm.trainable_variables) == 16 * 3 + 12
    model = keras.Model(given, logits)
    again = reloaded(model, tmp_path)
    feed = {**inputs, MLM_INPUT: positions}
    assert np.array_equal(again.predict(feed, verbose=0), model.predict(feed, verbose=0))
    assert len(again.trainable_variables) == 16 * 3 + 12


def test_what_a_frozen_head_was_stays_in_a_file(module, inputs, positions, tmp_path):
    mlm = hub.Encoder(module).mlm
    mlm.trainable = False
    given = symbols({**inputs, MLM_INPUT: positions})
    again = reloaded(keras.Model(given, mlm(given)["mlm_logits"]), tmp_path)
    assert again.trainable_variables == []


def test_a_preprocessors_parts_are_reachable(module):
    layer = hub.KerasLayer(hub.Preprocessor(module))
    assert set(layer(["a man"])) == {"input_word_ids", "input_mask", "input_type_ids"}
    tokens = hub.KerasLayer(layer.tokenize)(["a man", "the cat"])
    packed = hub.KerasLayer(layer.bert_pack_inputs, arguments={"seq_length": 11})([tokens])
    assert tuple(packed["input_mask"].shape) == (2, 11)
    assert len(layer.tokenize_with_offsets(["a man"])) == 3
    assert "mask_id" in layer.tokenize.get_special_tokens_dict()


def test_a_layer_around_a_layer_is_the_one_inside(module):
    layer = hub.KerasLayer(hub.Encoder(module))
    assert hub.KerasLayer(layer).resolved_object is layer.resolved_object


def test_any_other_layer_may_stand_inside():
    layer = hub.KerasLayer(keras.layers.Dropout(0.9), trainable=False)
    assert np.array_equal(numpy_of(layer(np.ones((2, 3), np.float32), training=True)), np.ones((2, 3)))


@pytest.mark.parametrize("part", ["tokenize", "tokenize_with_offsets", "bert_pack_inputs"])
def test_an_encoder_does_not_tokenize(module, part):
    layer = hub.KerasLayer(hub.Encoder(module))
    with pytest.raises(
        InputError, match=f".{part} was asked for; this KerasLayer holds a Encoder, which has none; use"
    ):
        getattr(layer, part)


def test_a_preprocessor_has_no_head(module, distilbert):
    with pytest.raises(InputError, match=r"\.mlm was asked for; this KerasLayer holds a Preprocessor, .*; use wellre"):
        hub.KerasLayer(hub.Preprocessor(module)).mlm  # noqa: B018
    with pytest.raises(InputError, match="masked-language-model head was asked for; this encoder has none"):
        hub.KerasLayer(hub.Encoder(distilbert)).mlm  # noqa: B018


@pytest.mark.parametrize("name", ["tags", "signature", "signature_outputs_as_dict", "output_shape", "load_options"])
def test_arguments_for_graphs_are_refused(module, name):
    with pytest.raises(
        InputError, match=f"reads weights was asked for; found {name}='x', which are for .*; leave them"
    ):
        hub.KerasLayer(hub.Encoder(module), **{name: "x"})


def test_an_unknown_output_is_refused(module, inputs):
    layer = hub.KerasLayer(hub.Encoder(module), output_key="pooled")
    for given in (inputs, symbols(inputs)):
        with pytest.raises(InputError, match=r"the output 'pooled' was asked for; .*did you mean pooled_output"):
            layer(given)
    with pytest.raises(InputError, match="the layer makes one, unnamed; choose one of these, or none"):
        hub.KerasLayer(keras.layers.Flatten(), output_key="x")(np.ones((2, 3)))


def test_what_is_no_handle_is_refused(inputs):
    with pytest.raises(InputError, match="made of a handle or a layer; found int; pass one of these"):
        hub.KerasLayer(3)
    with pytest.raises(HandleError, match="the handle 'no/such/place' was given"):
        hub.KerasLayer("no/such/place")


def test_inputs_are_checked_by_the_layer_inside(module, inputs):
    with pytest.raises(InputError, match="input_mask must be whole numbers"):
        hub.KerasLayer(hub.Encoder(module))({**inputs, "input_mask": inputs["input_mask"] * 1.0})
