"""Encoder and .mlm: the contract, against the float64 reference; training; saving."""

import keras
import numpy as np
import pytest
from headed import FAMILIES, head_of, headed, headed_checkpoint
from keras_tools import KERAS_WARNS, assert_near, numpy_of, reloaded, spread, symbols
from tiny import tiny_checkpoint, tiny_config

from wellread.checkpoints.families import FAMILIES as FAMILY_TABLES
from wellread.config import DenseConfig, SentenceConfig
from wellread.encoder.heads import MLM_INPUT
from wellread.errors import ConfigError, InputError, WeightsError
from wellread.keras import Encoder, Preprocessor
from wellread.keras.encoder import Core
from wellread.module import Module

pytestmark = KERAS_WARNS


def test_outputs_are_the_contracts(module, inputs):
    made = Encoder(module)(inputs)
    assert set(made) == {"pooled_output", "sequence_output", "encoder_outputs", "default"}
    assert len(made["encoder_outputs"]) == 3
    assert_near({name: made[name] for name in made if name != "default"}, module(inputs))
    assert np.array_equal(numpy_of(made["default"]), numpy_of(made["pooled_output"]))
    assert np.array_equal(numpy_of(made["encoder_outputs"][-1]), numpy_of(made["sequence_output"]))


def test_the_head_gives_logits_beside_the_outputs(module, inputs, positions):
    given = {**inputs, MLM_INPUT: positions}
    made = Encoder(module).mlm(given)
    assert set(made) == {"pooled_output", "sequence_output", "encoder_outputs", "mlm_logits"}
    assert_near(made, module.mlm(given))


def test_distilbert_takes_two_keys_and_three(distilbert, inputs):
    encoder = Encoder(distilbert)
    two = encoder({name: inputs[name] for name in ("input_word_ids", "input_mask")})
    assert set(two) == {"pooled_output", "sequence_output", "encoder_outputs"}
    assert_near(two, distilbert(inputs))
    assert_near(encoder(inputs), two)


def test_trainable_variables_are_counted_as_on_tf_hub(module, distilbert):
    encoder = Encoder(module)
    assert len(encoder.trainable_variables) == 16 * 3 + 7
    assert len(encoder.mlm.trainable_variables) == 16 * 3 + 12
    shared = {id(v) for v in encoder.trainable_variables}
    assert shared < {id(v) for v in encoder.mlm.trainable_variables}
    assert len(Encoder(distilbert).trainable_variables) == 16 * 3 + 4
    assert Encoder(module, trainable=False).trainable_variables == []


def test_dropout_is_on_while_training_alone(module, inputs, positions):
    encoder = Encoder(module)
    assert spread(encoder, inputs) < 1e-6
    assert spread(encoder, inputs, training=True) > 1e-3
    given = {**inputs, MLM_INPUT: positions}
    assert spread(encoder.mlm, given, training=False) < 1e-6
    assert spread(encoder.mlm, given, training=True) > 1e-3


def test_shapes_are_known_before_anything_runs(module, inputs, positions):
    made = Encoder(module)(symbols(inputs))
    assert made["sequence_output"].shape == (None, 7, 12)
    assert made["pooled_output"].shape == made["default"].shape == (None, 12)
    assert [layer.shape for layer in made["encoder_outputs"]] == [(None, 7, 12)] * 3
    assert Encoder(module).mlm(symbols({**inputs, MLM_INPUT: positions}))["mlm_logits"].shape == (None, 2, 99)
    free = {name: keras.Input((None,), dtype="int32") for name in inputs}
    assert Encoder(module)(free)["sequence_output"].shape == (None, None, 12)


def test_a_length_that_is_not_known_beforehand(module, inputs):
    free = {name: keras.Input((None,), dtype="int32", name=name) for name in inputs}
    model = keras.Model(free, Encoder(module)(free)["sequence_output"])
    for tokens in (7, 3):
        short = {name: array[:, :tokens] for name, array in inputs.items()}
        assert_near({"x": model.predict(short, verbose=0)}, {"x": module(short)["sequence_output"]})


def mlm_model(encoder, inputs, positions):
    given = symbols({**inputs, MLM_INPUT: positions})
    model = keras.Model(given, encoder.mlm(given)["mlm_logits"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    return model


@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")  # nothing asks for pooled_output here
def test_training_the_head_lowers_its_loss_and_comes_back_from_a_file(shallow, inputs, positions, tmp_path):
    encoder, given = Encoder(shallow, name="encoder"), {**inputs, MLM_INPUT: positions}
    model = mlm_model(encoder, inputs, positions)
    losses = model.fit(given, np.array([[5, 6], [7, 8], [9, 9]]), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.1
    trained = model.predict(given, verbose=0)
    assert np.abs(trained - shallow.mlm(given)["mlm_logits"]).max() > 1e-2
    again = reloaded(model, tmp_path)
    assert len(again.trainable_variables) == 16 + 12
    assert np.array_equal(again.predict(given, verbose=0), trained)
    assert_near({"mlm_logits": encoder.to_module().mlm(given)["mlm_logits"]}, {"mlm_logits": trained})


BODIES = {
    "roberta": {"type_vocab_size": 1, "pad_token_id": 0},
    "electra": {"embedding_size": 5},
    "albert": {"embedding_size": 5},
    "mpnet": {},
}


@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")
@pytest.mark.parametrize("family", BODIES)
def test_every_family_trains_and_comes_back_from_a_file(shallow, inputs, positions, tmp_path, family):
    sizes = {name: getattr(shallow.checkpoint.config, name) for name in FAMILY_TABLES["bert"].keys.required}
    config = FAMILY_TABLES[family].encoder_config({**sizes, **BODIES[family]}, source="a test")
    module = Module(checkpoint=tiny_checkpoint(config, family=family), tokenizer=shallow.tokenizer, backend="numpy")
    inputs = {**inputs, "input_type_ids": np.minimum(inputs["input_type_ids"], max(0, config.type_vocab_size - 1))}
    given = {**inputs, MLM_INPUT: positions}
    encoder = Encoder(module, name="encoder")
    assert_near(encoder.mlm(given), module.mlm(given))
    model = mlm_model(encoder, inputs, positions)
    losses = model.fit(given, np.array([[5, 6], [7, 8], [9, 9]]), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.1
    trained = model.predict(given, verbose=0)
    assert np.array_equal(reloaded(model, tmp_path).predict(given, verbose=0), trained)
    back = encoder.to_module()
    assert (back.checkpoint.family, back.checkpoint.config.position_offset) == (family, config.position_offset)
    assert_near({"mlm_logits": back.mlm(given)["mlm_logits"]}, {"mlm_logits": trained})


def test_an_encoder_with_a_classifier_trains_and_comes_back_from_a_file(shallow, inputs, tmp_path):
    given = symbols(inputs)
    encoder = Encoder(shallow, name="encoder")
    model = keras.Model(given, keras.layers.Dense(1)(encoder(given)["pooled_output"]))
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    labels = np.array([[1.0], [-1.0], [0.0]])
    before = model.evaluate(inputs, labels, verbose=0)
    model.fit(inputs, labels, epochs=30, verbose=0)
    assert model.evaluate(inputs, labels, verbose=0) < 0.9 * before
    again = reloaded(model, tmp_path)
    assert np.array_equal(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    found = next(layer for layer in again.layers if isinstance(layer, Encoder)).to_module()
    for name, array in encoder.to_module().checkpoint.arrays().items():  # the head's too, though no model used it
        assert np.array_equal(found.checkpoint.tensors[name].read(), array), name


@pytest.mark.parametrize("task", ["classify", "tag", "answer"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_fine_tuned_module_gives_its_logits(tokenizer, inputs, family, task):
    judge = Module(checkpoint=headed_checkpoint(task, family), tokenizer=tokenizer, backend="numpy")
    encoder = Encoder(judge)
    made = encoder(inputs)
    assert set(made) - {"default"} == {"pooled_output", "sequence_output", "encoder_outputs", "logits"}
    assert_near({"logits": made["logits"]}, judge.running("f64").run(inputs, ["logits"]))
    assert encoder(symbols(inputs))["logits"].shape == (None, *made["logits"].shape[1:])
    bare = len(Encoder(Module(checkpoint=tiny_checkpoint(judge.checkpoint.config), tokenizer=tokenizer)).weights)
    assert len(encoder.weights) == bare + (4 if judge.checkpoint.head.pre_classifier else 2)
    again = encoder.to_module()
    assert again.checkpoint.head == judge.checkpoint.head
    for name, array in judge.checkpoint.arrays().items():
        assert np.array_equal(again.checkpoint.tensors[name].read(), array), name


def test_a_fine_tuned_module_trains_on_and_comes_back_from_a_file(tokenizer, inputs, tmp_path):
    shallow = tiny_checkpoint(tiny_config(num_hidden_layers=1), mlm=False)
    judge = Module(checkpoint=headed(shallow, head_of("pair")), tokenizer=tokenizer, backend="numpy")
    given = symbols(inputs)
    model = keras.Model(given, Encoder(judge, name="encoder")(given)["logits"])
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(inputs, np.array([3, 0, 1]), epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    again = reloaded(model, tmp_path)
    assert np.array_equal(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    found = next(layer for layer in again.layers if isinstance(layer, Encoder)).to_module()
    assert found.checkpoint.head == judge.checkpoint.head


def test_a_similarity_adds_no_output(tokenizer, inputs):
    checkpoint = headed(tiny_checkpoint(), head_of("similarity", high=5.0))
    encoder = Encoder(Module(checkpoint=checkpoint, tokenizer=tokenizer, backend="numpy"))
    assert "logits" not in encoder(inputs)
    assert encoder.to_module().checkpoint.head == checkpoint.head


def test_faces_of_one_encoder_share_their_weights_after_loading(module, inputs, positions, tmp_path):
    encoder, given = Encoder(module), symbols({**inputs, MLM_INPUT: positions})
    bare = {name: given[name] for name in inputs}
    model = keras.Model(given, [encoder(bare)["pooled_output"], encoder.mlm(given)["mlm_logits"]])
    again = reloaded(model, tmp_path)
    assert len(again.trainable_variables) == len(model.trainable_variables) == 16 * 3 + 12
    feed = {**inputs, MLM_INPUT: positions}
    for made, wanted in zip(again.predict(feed, verbose=0), model.predict(feed, verbose=0), strict=True):
        assert np.array_equal(made, wanted)


def test_a_module_goes_in_and_comes_out_unchanged(module, tmp_path):
    again = Encoder(module).to_module()
    assert again.checkpoint.config == module.checkpoint.config
    for name, tensor in module.checkpoint.tensors.items():
        assert np.array_equal(again.checkpoint.tensors[name].read(), tensor.read()), name
    assert again.tokenize(["A man sings."]).to_list() == module.tokenize(["A man sings."]).to_list()
    again.save(tmp_path / "native")
    assert len(Encoder(tmp_path / "native").mlm.trainable_variables) == 16 * 3 + 12


def test_the_sentence_vector_is_kept(tokenizer):
    maps = SentenceConfig(dense=(DenseConfig(in_features=12, out_features=5),), normalize=True, max_seq_length=32)
    module = Module(checkpoint=tiny_checkpoint(sentence=maps), tokenizer=tokenizer, backend="numpy")
    encoder = Encoder(module)
    assert len(encoder.trainable_variables) == 16 * 3 + 7
    again = encoder.to_module()
    assert again.checkpoint.sentence == maps
    assert_near({"x": again.encode(["a man"], precision="f32")}, {"x": module.encode(["a man"])})


def test_a_bare_checkpoint_needs_a_tokenizer_to_become_a_module(module, tokenizer):
    encoder = Encoder(module.checkpoint)
    with pytest.raises(InputError, match="a Module needs a tokenizer; this encoder was made without one; pass to_mod"):
        encoder.to_module()
    made = encoder.to_module(Preprocessor(tokenizer).tokenizer)
    assert made.checkpoint.config.pad_token_id == tokenizer.special.pad


def test_a_clone_begins_with_fresh_weights(module, inputs):
    given = symbols(inputs)
    model = keras.Model(given, Encoder(module)(given)["pooled_output"])
    clone = keras.models.clone_model(model)
    made = clone.predict(inputs, verbose=0)
    assert made.shape == (3, 12)
    assert np.abs(made - model.predict(inputs, verbose=0)).max() > 1e-2


def test_half_precision_is_near(module, inputs):
    made = Encoder(module, dtype="mixed_float16")(inputs)["pooled_output"]
    assert keras.backend.standardize_dtype(made.dtype) == "float16"
    assert np.abs(numpy_of(made) - module(inputs)["pooled_output"])[:2].max() < 0.01


def test_a_module_without_the_head_says_so(distilbert):
    with pytest.raises(InputError, match="masked-language-model head was asked for; this encoder has none; load one"):
        Encoder(distilbert).mlm  # noqa: B018


NAMES = "input_word_ids, input_mask, input_type_ids"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: [x["input_word_ids"]], f"inputs must be a dict of {NAMES}; found list; name each"),
        (lambda x: {"input_mask": x["input_mask"]}, "found input_mask; add input_word_ids, add input_type_ids"),
        (lambda x: {**x, "input_masks": 1}, r"; remove input_masks \(did you mean input_mask\?\)"),
        (
            lambda x: {**x, "input_mask": x["input_mask"].astype(np.float32)},
            r"input_mask must be whole numbers of shape \[batch, tokens\]; found float32 of shape \[3, 7\]; pass what",
        ),
        (lambda x: {**x, "input_mask": x["input_mask"][0]}, r"found int32 of shape \[7\]; pass"),
        (lambda x: {**x, "input_mask": x["input_mask"][:, :3]}, r"must have one shape; found .*\[3, 3\].*; pack them"),
        (lambda x: {**x, "input_mask": x["input_mask"][:2]}, r"must have one shape; found .*\[2, 7\].*; pack them"),
        (
            lambda x: {name: np.ones((1, 42), np.int32) for name in x},
            "1 to 41 tokens, the rows of the position table; found 42; ask the preprocessor for less",
        ),
        (lambda x: {name: keras.Input((7,)) for name in x}, r"found float32 of shape \[None, 7\]; pass what"),
        (lambda x: {name: keras.Input((42,), dtype="int32") for name in x}, "1 to 41 tokens, .*; found 42; ask"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(module, inputs, change, message):
    with pytest.raises(InputError, match=message):
        Encoder(module)(change(inputs))


def test_the_head_wants_its_positions(module, inputs, positions):
    with pytest.raises(InputError, match=f"inputs must be {NAMES}, {MLM_INPUT}; found {NAMES}; add {MLM_INPUT}"):
        Encoder(module).mlm(inputs)
    with pytest.raises(InputError, match=f"{MLM_INPUT} must be whole numbers .*; found float32 of shape .*; pass"):
        Encoder(module).mlm({**inputs, MLM_INPUT: positions.astype(np.float32)})


def test_what_is_no_source_is_refused():
    with pytest.raises(InputError, match="made of a handle, a Module or a Checkpoint; found int; pass one of these"):
        Encoder(3)


def test_a_damaged_configuration_is_refused(module):
    config = Core(module).get_config()
    with pytest.raises(ConfigError, match="the configuration of an Encoder must describe a EncoderSpec; found that"):
        Core.from_config({**config, "source": {**config["source"], "mlm": 1}})


def test_weights_of_another_shape_are_refused(module):
    core, other = Core(module), Core(tiny_checkpoint(tiny_config(intermediate_size=36), mlm=False))
    store = {name: numpy_of(v) for name, v in other.all_tensors().items()} | {"pooler.dense.wait": np.zeros(1)}
    with pytest.raises(WeightsError) as error:
        core.load_own_variables(store)
    assert str(error.value).startswith("the weights of an encoder layer were to be loaded; found that cls.predictions.")
    for fault in (
        "cls.predictions.bias is missing",
        "encoder.layer.0.intermediate.dense.weight has shape [12, 36] where the layer has [12, 37]",
        "pooler.dense.wait is surplus (did you mean pooler.dense.weight?)",
    ):
        assert fault in str(error.value)
    assert str(error.value).endswith("; load those that were saved with it")
