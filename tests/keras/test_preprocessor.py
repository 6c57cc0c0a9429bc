"""Preprocessor: the ids of our own tokenizer, eagerly on every framework, in graphs where TensorFlow is."""

import keras
import numpy as np
import pytest
from keras_tools import KERAS_WARNS, numpy_of, reloaded
from tiny import tiny_tokenizer

from wellread.errors import ConfigError, ExportError, InputError, TextError
from wellread.keras import Encoder, KerasLayer, Preprocessor
from wellread.keras.source import from_json, to_json
from wellread.text.batch import bert_pack_inputs
from wellread.text.kobert import load as load_kobert

pytestmark = KERAS_WARNS
FRAMEWORK = keras.backend.backend()
on_tensorflow = pytest.mark.skipif(FRAMEWORK != "tensorflow", reason="other frameworks have no strings")
elsewhere = pytest.mark.skipif(FRAMEWORK == "tensorflow", reason="TensorFlow has strings")

TEXTS = ["A man is playing the guitar.", "", "Cat sleeps, zebra!", "word7 " * 20]
OTHERS = ["flute", "the woman", "", "paris france"]


def packed(tokenizer, *texts, seq_length):
    rows = [tokenizer.tokenize(each) for each in texts]
    return bert_pack_inputs(rows, special=tokenizer.special, seq_length=seq_length)


def assert_same(made, batch):
    assert set(made) <= set(batch)
    for name in made:
        assert keras.backend.standardize_dtype(made[name].dtype) == "int32"
        assert np.array_equal(numpy_of(made[name]), batch[name]), name


def rows_of(ragged):
    """Rows of ids, however the framework has them."""
    rows = ragged.to_list()
    return [[id for word in row for id in (word if isinstance(word, list) else [word])] for row in rows]


@pytest.mark.parametrize("texts", [TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object)], ids=type)
def test_strings_become_the_encoders_inputs(module, texts):
    made = Preprocessor(module)(texts)
    assert set(made) == {"input_word_ids", "input_mask", "input_type_ids"}
    assert_same(made, packed(module.tokenizer, TEXTS, seq_length=128))


def test_bytes_are_read_as_utf8(module):
    made = Preprocessor(module, seq_length=9)([b"the caf\xc3\xa9", b"a"])
    assert_same(made, packed(module.tokenizer, ["the café", "a"], seq_length=9))
    with pytest.raises(TextError, match="text 1 must be UTF-8; byte 0 of 1 is not; decode the texts before"):
        Preprocessor(module)([b"a", b"\xff"])


def test_lone_surrogates_do_no_harm(module):
    made = Preprocessor(module, seq_length=9)(["a \ud83d man"])
    assert_same(made, packed(module.tokenizer, ["a \ud83d man"], seq_length=9))


def test_distilberts_has_two_keys(distilbert):
    preprocessor = Preprocessor(distilbert)
    assert set(preprocessor(TEXTS)) == {"input_word_ids", "input_mask"}
    assert_same(preprocessor(TEXTS), packed(distilbert.tokenizer, TEXTS, seq_length=128))
    pair = preprocessor.bert_pack_inputs([preprocessor.tokenize(TEXTS), preprocessor.tokenize(OTHERS)])
    assert set(pair) == {"input_word_ids", "input_mask"}


def test_tokens_and_their_places(module):
    preprocessor = Preprocessor(module)
    assert rows_of(preprocessor.tokenize(TEXTS)) == module.tokenizer.tokenize(TEXTS).to_list()
    tokens, starts, limits = preprocessor.tokenize_with_offsets(TEXTS)
    wanted = module.tokenizer.tokenize_with_offsets(TEXTS)
    assert rows_of(tokens) == wanted.tokens.to_list()
    assert rows_of(starts) == wanted.starts.to_list()
    assert rows_of(limits) == wanted.limits.to_list()


def test_the_special_tokens_are_named_as_on_tf_hub(module):
    special = Preprocessor(module).tokenize.get_special_tokens_dict()
    assert {name: int(id) for name, id in special.items()} == module.get_special_tokens_dict()


@pytest.mark.parametrize("length", [5, 12])
def test_pairs_of_any_length(module, length):
    preprocessor = Preprocessor(module)
    tokens = [preprocessor.tokenize(TEXTS), preprocessor.tokenize(OTHERS)]
    made = preprocessor.bert_pack_inputs(tokens, seq_length=length)
    assert_same(made, packed(module.tokenizer, TEXTS, OTHERS, seq_length=length))
    assert_same(
        preprocessor.bert_pack_inputs([[[7, 8], [9]]], seq_length=length),
        bert_pack_inputs([[[7, 8], [9]]], special=module.tokenizer.special, seq_length=length),
    )


def test_the_rules_are_tf_hubs_whatever_the_vocabulary_came_with(tmp_path):
    hf = tiny_tokenizer(tmp_path)
    assert hf.tokenize(["[SEP]"]).to_list() == [[hf.special.sep]]
    assert rows_of(Preprocessor(hf).tokenize(["[SEP]"])) != [[hf.special.sep]]


def test_inside_a_dataset(module):
    tf = pytest.importorskip("tensorflow")
    preprocessor = Preprocessor(module, seq_length=9)
    batches = list(tf.data.Dataset.from_tensor_slices(TEXTS).batch(3).map(preprocessor))
    whole = {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}
    wanted = packed(module.tokenizer, TEXTS, seq_length=9)
    assert all(np.array_equal(whole[name], wanted[name]) for name in wanted)


@on_tensorflow
def test_a_model_of_strings_comes_back_from_a_file(module, tmp_path):
    import tensorflow as tf

    text = keras.Input(shape=(), dtype=tf.string)
    inputs = Preprocessor(module, seq_length=21)(text)
    assert {name: each.shape for name, each in inputs.items()} == dict.fromkeys(inputs, (None, 21))
    model = keras.Model(text, Encoder(module)(inputs)["pooled_output"])
    wanted = module(packed(module.tokenizer, TEXTS, seq_length=21))["pooled_output"]
    assert np.abs(model(tf.constant(TEXTS)) - wanted).max() < 1e-5
    assert np.abs(model.predict(tf.constant(TEXTS), verbose=0) - wanted).max() < 1e-5
    assert np.abs(reloaded(model, tmp_path)(tf.constant(TEXTS)) - wanted).max() < 1e-5
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    assert np.abs(served.serve(tf.constant(TEXTS)) - wanted).max() < 1e-5


@on_tensorflow
@pytest.mark.parametrize("wrapped", [KerasLayer, lambda layer, **options: layer])
def test_a_model_of_two_texts_comes_back_from_a_file(module, wrapped, tmp_path):
    import tensorflow as tf

    preprocessor = Preprocessor(module)
    tokenize, pack = wrapped(preprocessor.tokenize), wrapped(preprocessor.bert_pack_inputs)
    texts = [keras.Input(shape=(), dtype=tf.string), keras.Input(shape=(), dtype=tf.string)]
    inputs = pack([tokenize(segment) for segment in texts], **({"seq_length": 30} if wrapped is not KerasLayer else {}))
    if wrapped is KerasLayer:
        pack = KerasLayer(preprocessor.bert_pack_inputs, arguments={"seq_length": 30})
        inputs = pack([tokenize(segment) for segment in texts])
    model = keras.Model(texts, Encoder(module)(inputs)["pooled_output"])
    given = [tf.constant(TEXTS), tf.constant(OTHERS)]
    wanted = module(packed(module.tokenizer, TEXTS, OTHERS, seq_length=30))["pooled_output"]
    assert np.abs(model(given) - wanted).max() < 1e-5
    assert np.abs(reloaded(model, tmp_path)(given) - wanted).max() < 1e-5


@elsewhere
def test_strings_in_a_functional_model_need_tensorflow(module):
    wanted = f"texts were to go through a functional model; found that Keras runs on {FRAMEWORK}, which has none; call"
    with pytest.raises(InputError, match=wanted):
        Preprocessor(module)(keras.Input(shape=(), dtype="string"))
    ragged = keras.Input(shape=(None,), dtype="int32")
    with pytest.raises(InputError, match="ragged tokens were to go through a functional model; .*; call the prepro"):
        Preprocessor(module).bert_pack_inputs([ragged])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("one", "a list of texts was asked for; found one str; pass a list"),
        (3, "a list of texts was asked for; found one int; pass a list"),
        (np.array([["a"]]), r"texts of shape \[batch\] were asked for; found <U1 of shape \[1, 1\]; pass a list"),
        (["a", 3, None], "each of 3 texts must be a str; 2 are not: int in row 1, NoneType in row 2; pass a list"),
    ],
)
def test_what_are_no_texts_is_refused(module, given, message):
    with pytest.raises(InputError, match=message):
        Preprocessor(module)(given)


@on_tensorflow
def test_symbols_and_tensors_that_are_no_texts_are_refused(module):
    import tensorflow as tf

    preprocessor = Preprocessor(module)
    with pytest.raises(InputError, match=r"texts of shape \[batch\] were asked for; found int32 of shape \(2,\); pass"):
        preprocessor(tf.constant([1, 2]))
    with pytest.raises(InputError, match="texts of dtype string were asked for; found float32; pass a list"):
        preprocessor(keras.Input(shape=()))
    with pytest.raises(InputError, match=r"found shape \[None, 2\]; use keras.Input\(shape=\(\)\)"):
        preprocessor(keras.Input(shape=(2,), dtype="string"))
    with pytest.raises(InputError, match="ragged tokens of dtype int32 were asked for; found float32; pass"):
        preprocessor.bert_pack_inputs([keras.Input(shape=(None,))])


@pytest.mark.parametrize(("segments", "found"), [([[[1]]] * 3, "3"), ([], "0"), (np.ones((1, 1), int), "ndarray")])
def test_one_or_two_segments_can_be_packed(module, segments, found):
    with pytest.raises(InputError, match=f"one or two segments can be packed; found {found}; pass .first."):
        Preprocessor(module).bert_pack_inputs(segments)


def test_the_special_tokens_need_room(module):
    with pytest.raises(InputError, match=r"2 segment\(s\) need a seq_length of at least 3; found 2; raise it"):
        Preprocessor(module).bert_pack_inputs([[[1]], [[2]]], seq_length=2)


def test_what_is_no_source_is_refused(module):
    with pytest.raises(InputError, match="made of a handle, a Module or a Tokenizer; found int; pass one of these"):
        Preprocessor(3)
    with pytest.raises(InputError, match="a vocabulary was asked of an encoder; found none: .*; name its preprocessor"):
        Preprocessor(module.checkpoint)


def test_kobert_goes_there_and_back(request):
    from exports import KOBERT, KOBERT_CONFIG

    preprocessor = Preprocessor(load_kobert(KOBERT, KOBERT_CONFIG), type_ids=False, seq_length=9)
    again = Preprocessor.from_config(preprocessor.get_config())
    assert again.type_ids is False
    for each in (preprocessor, again):
        ids = numpy_of(each(["한국어 모델을 공유합니다."])["input_word_ids"])
        assert ids.tolist() == [[2, 4958, 6855, 2046, 7088, 1050, 7843, 54, 3]]


def test_a_tokenizer_goes_into_json_and_back(module):
    values = to_json(module.tokenizer)
    again = from_json(values)
    assert again.config == module.tokenizer.config
    assert again.vocabulary.pieces == module.tokenizer.vocabulary.pieces


def test_damaged_json_is_refused(module):
    values = to_json(module.tokenizer)
    with pytest.raises(ConfigError, match="a saved tokenizer must hold config, model_file, vocab_file; found x; save"):
        from_json({"x": 1})
    for wrong in ("é", None, 3, "abc"):
        with pytest.raises(ConfigError, match="vocab_file of a saved tokenizer must be in base64; found that .*; save"):
            from_json({**values, "vocab_file": wrong})


def test_no_path_of_the_settings_is_written_to(module, tmp_path):
    values = to_json(module.tokenizer)
    evil = {**values, "config": {**values["config"], "vocab_file": str(tmp_path / "evil")}}
    assert from_json(evil).vocab_size == module.tokenizer.vocab_size
    assert not list(tmp_path.iterdir())


def test_rules_that_tf_hub_has_not_are_refused(tmp_path):
    from wellread.config import TokenizerConfig
    from wellread.text.tokenizer import load_tokenizer

    tiny_tokenizer(tmp_path)
    odd = load_tokenizer(tmp_path, TokenizerConfig(dialect="hf", tokenize_chinese_chars=False))
    with pytest.raises(ExportError, match="tokenize_chinese_chars=False, which its text rules cannot do"):
        Preprocessor(odd)
