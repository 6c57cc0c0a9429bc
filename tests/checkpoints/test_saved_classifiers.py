"""Classifiers of Keras and Estimators around an encoder: the encoder inside is read, its head named."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import tf_made
from tiny import tiny_checkpoint, tiny_config, tiny_inputs, tiny_module

import wellread
from wellread.checkpoints.tf_variables import TF1, TFHUB
from wellread.errors import CheckpointError, UnusedTensorsWarning, WeightsError

INPUTS = tiny_inputs()
HEAD = {"classifier/bias", "classifier/kernel"}


def saved_by_keras(place, checkpoint):
    """Save a classifier as the tutorial "classify text with BERT" does, its preprocessor an object inside."""
    encoder = tf_made.keras_encoder(tf_made.variables(TFHUB, checkpoint), types=True, exact=False)
    pooled = tf_keras.layers.Dropout(0.1)(encoder.output["pooled_output"])
    model = tf_keras.Model(encoder.input, tf_keras.layers.Dense(2, name="classifier")(pooled))
    model.preprocessing = tf.Module()
    vocabulary = tf_made.write_vocabulary(place.parent / "words")
    model.preprocessing.vocab_file = tf.saved_model.Asset(str(vocabulary))
    model.preprocessing.do_lower_case = tf.Variable(True, trainable=False, name="do_lower_case")
    model.compile(optimizer=tf_keras.optimizers.legacy.Adam(1e-3), loss="mse")
    model.save(str(place), include_optimizer=True)
    return encoder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("classifier") / "export" / "1586412345"
    return place, saved_by_keras(place, tiny_checkpoint(tf_made.BERT, mlm=False))


def test_the_encoder_inside_a_classifier_of_keras_is_read_and_its_head_named(made):
    place, encoder = made
    with pytest.warns(UnusedTensorsWarning, match="classifier/bias, classifier/kernel of .*1586412345 are not used"):
        module = wellread.load(place.parent, backend="numpy")  # the folder around the time of the export
    theirs = encoder({name: tf.constant(INPUTS[name]) for name in encoder.input})
    found = module(INPUTS)
    for name in ("sequence_output", "pooled_output"):
        assert np.abs(found[name] - theirs[name].numpy())[:2].max() <= 1e-5  # not the row that is masked everywhere
    info = module.info()
    assert info["ignored"].keys() >= HEAD
    assert info["inferred"]["directory"] == "1586412345, the one model in the directory that was given"
    assert (module.tokenizer.config.dialect, module.tokenizer.config.do_lower_case) == ("tfhub", True)
    assert len(module.encode(["A man is playing the guitar."])) == 1


def test_a_head_that_is_known_to_be_of_no_use_is_left_out_without_a_word(made):
    place, _ = made
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = wellread.load(place, ignore=["classifier/*"])
    assert {module.info()["ignored"][name] for name in HEAD} == {"passed over as the caller asked"}


def test_what_lies_among_the_encoders_variables_stays_refused(tmp_path):
    arrays = tf_made.variables(TFHUB, tiny_checkpoint(tf_made.BERT, mlm=False))
    vocabulary = tf_made.write_vocabulary(tmp_path / "words")
    for name in ("transformer/layer_0/adapter/kernel", "embeddings/more", "cls/predictions/more"):
        saved = tf_made.write_saved_model(
            tmp_path / name.replace("/", "-"), {**arrays, name: np.zeros(3, np.float32)}, vocabulary=vocabulary
        )
        with pytest.raises(WeightsError, match=f"{name} is surplus|cls/predictions/.* is missing"):
            wellread.load(saved)


def test_an_export_of_an_estimator_is_named(tmp_path):
    v1 = tf.compat.v1
    arrays = tf_made.variables(TF1, tiny_checkpoint(tf_made.BERT, mlm=False))
    arrays["output_weights"] = np.zeros((2, 12), np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        ids = v1.placeholder(tf.int32, [None, 7], "input_ids")
        made = [v1.get_variable(name, initializer=array) for name, array in arrays.items()]
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(
            session, str(tmp_path / "1586412345"), {"ids": ids}, {"words": tf.gather(made[0], ids)}
        )
    with pytest.raises(
        CheckpointError, match="found one of TensorFlow 1, as Estimators make, .*bert/embeddings.*; load the che"
    ):
        wellread.load(tmp_path)


def test_heads_of_others_in_a_tf1_checkpoint_are_told(tmp_path):
    arrays = tf_made.variables(TF1, tiny_checkpoint(tf_made.BERT))
    tf_made.write_tf1(tmp_path / "plain", arrays)
    others = {"crf_loss/transition": np.zeros((3, 3), np.float32), "project/logits/W": np.zeros((12, 3), np.float32)}
    tf_made.write_tf1(tmp_path / "tagger", {**arrays, **others})
    with pytest.warns(UnusedTensorsWarning, match="crf_loss/transition, project/logits/W of .* are not used"):
        tagger = wellread.load(tmp_path / "tagger", backend="numpy")
    assert others.keys() <= tagger.info()["ignored"].keys()
    plain = wellread.load(tmp_path / "plain", backend="numpy")
    np.testing.assert_array_equal(tagger(INPUTS)["sequence_output"], plain(INPUTS)["sequence_output"])


@pytest.mark.slow
def test_what_the_tutorial_ends_with_is_read(tmp_path, monkeypatch):
    """Our own preprocessor and encoder for TF Hub in KerasLayers, a Dense, a step of training, model.save."""
    from exports import exported

    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_hub

    pair = exported(tiny_module(tmp_path / "files", config=tiny_config(max_position_embeddings=131)), tmp_path)
    text = tf_keras.layers.Input(shape=(), dtype=tf.string, name="text")
    packed = tensorflow_hub.KerasLayer(str(pair.preprocessor), name="preprocessing")(text)
    outputs = tensorflow_hub.KerasLayer(str(pair.encoder), trainable=True, name="BERT_encoder")(packed)
    logits = tf_keras.layers.Dense(1, name="classifier")(tf_keras.layers.Dropout(0.1)(outputs["pooled_output"]))
    model, inside = tf_keras.Model(text, logits), tf_keras.Model(text, outputs["sequence_output"])
    model.compile(optimizer=tf_keras.optimizers.legacy.Adam(1e-3), loss="mse")
    model.fit(tf.constant(["a man", "a cat"]), tf.constant([[0.0], [1.0]]), verbose=0)
    for optimizer in (True, False):
        model.save(str(tmp_path / f"saved_{optimizer}"), include_optimizer=optimizer)
        with pytest.warns(UnusedTensorsWarning, match="classifier/bias, classifier/kernel of"):
            module = wellread.load(tmp_path / f"saved_{optimizer}", backend="numpy")
        assert module.checkpoint.has_mlm
        found = module(["A man is playing"], seq_length=128)["sequence_output"][0]
        theirs = inside(tf.constant(["A man is playing"])).numpy()[0]
        assert np.abs(found - theirs[: len(found)]).max() <= 1e-5
