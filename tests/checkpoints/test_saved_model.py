"""SavedModels of TensorFlow and Keras: the same module as Hugging Face's directory of the same weights."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import tf_made
from tfhub_places import DISTILBERT, TEXT
from tiny import tiny_checkpoint, tiny_config, tiny_inputs

import wellread
from wellread.checkpoints.directory import read_directory
from wellread.checkpoints.tf_variables import TFHUB
from wellread.config import ACTIVATIONS
from wellread.errors import CheckpointError, ConfigError, TextError, WeightsError
from wellread.hub import tfhub_cache

INPUTS = tiny_inputs()
CONFIGS = {"bert": tf_made.BERT, "distilbert": tf_made.DISTILBERT}
SHAPE = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act")


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return tf_made.write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, vocabulary):
    """Of either family: plain variables with the head, a Keras model without it, and their peer."""
    place = tmp_path_factory.mktemp("saved")
    for family, config in CONFIGS.items():
        checkpoint, bare = tiny_checkpoint(config), tiny_checkpoint(config, mlm=False)
        tf_made.write_huggingface(place / f"{family}_hf", checkpoint)
        tf_made.write_huggingface(place / f"{family}_bare_hf", bare)
        tf_made.write_saved_model(place / family, tf_made.variables(TFHUB, checkpoint), vocabulary=vocabulary)
        types = family == "bert"
        model = tf_made.keras_encoder(tf_made.variables(TFHUB, bare), types=types, exact=not types)
        if types:
            model.vocab_file, model.do_lower_case = tf.saved_model.Asset(str(vocabulary)), tf.Variable(True)
        model.save(str(place / f"{family}_keras"), include_optimizer=False)
    tf_made.write_preprocessor(place / "preprocessor", tf_made.wordpiece(place / "words", lower_case=True))
    return place


def save(directory, *, vocabulary=None, **changes):
    """Save the variables of tiny BERT, some of them changed, or left out where None."""
    arrays = {**tf_made.variables(TFHUB, tiny_checkpoint(tf_made.BERT)), **changes}
    kept = {name: array for name, array in arrays.items() if array is not None}
    return tf_made.write_saved_model(directory, kept, vocabulary=vocabulary)


@pytest.mark.parametrize("family", CONFIGS)
def test_it_is_the_module_of_the_hugging_face_directory(made, family):
    ours = wellread.load(made / family, backend="numpy")
    peer = wellread.load(made / f"{family}_hf", backend="numpy")
    inputs = {**INPUTS, "masked_lm_positions": [[0, 3], [2, 1], [6, 6]]}
    a, b = ours.mlm(inputs), peer.mlm(inputs)
    for name in ("pooled_output", "sequence_output", "mlm_logits"):
        assert np.abs(a[name] - b[name]).max() <= 1e-6
    texts = ["A man is playing the guitar.", "paris, france!"]
    assert np.abs(ours.encode(texts) - peer.encode(texts)).max() <= 1e-6
    assert (ours.checkpoint.family, ours.max_seq_length) == (family, 41)


@pytest.mark.parametrize("family", CONFIGS)
def test_it_computes_what_keras_computed(made, family):
    preprocessor = None if family == "bert" else made / "preprocessor"
    ours = wellread.load(made / f"{family}_keras", tokenizer=preprocessor, backend="numpy")
    peer = wellread.load(made / f"{family}_bare_hf", backend="numpy")(INPUTS)
    model = tf_keras.models.load_model(str(made / f"{family}_keras"), compile=False)
    keras = model({name: tf.constant(INPUTS[name]) for name in model.input})
    found = ours(INPUTS)
    for name in ("pooled_output", "sequence_output"):
        assert np.abs(found[name] - peer[name]).max() <= 1e-6
        assert np.abs(found[name] - keras[name].numpy())[:2].max() <= 1e-5  # not the row that is masked everywhere
    assert ours.tokenizer.config.dialect == "tfhub"
    op, act = ("Tanh", "gelu_pytorch_tanh") if family == "bert" else ("Erfc?", "gelu")
    assert re.fullmatch(f"{act}, as saved_model.pb computes {op}", ours.checkpoint.inferred["hidden_act"])


def test_every_inferred_field_is_said(made):
    bert = wellread.load(made / "bert").info()
    config = tf_made.BERT
    assert bert["inferred"].keys() == bert["config"].keys()
    assert all(bert["inferred"][field].startswith(str(value)) for field, value in bert["config"].items())
    assert bert["config"] == {field: getattr(config, field) for field in bert["config"]}
    assert bert["inferred"]["hidden_act"] == "gelu_pytorch_tanh, as TF Hub's bert modules have it"
    assert bert["inferred"]["num_attention_heads"] == "4, from transformer/layer_0/self_attention/query/kernel"
    distilbert = wellread.load(made / "distilbert").info()["inferred"]
    assert distilbert["hidden_act"] == "gelu, as TF Hub's distilbert modules have it"
    assert distilbert["type_vocab_size"] == "0: there is no type table"
    assert distilbert["pooler"] == "first_token: there is no pooler_transform"


@pytest.mark.parametrize(
    ("activation", "found"), [("gelu", "gelu"), ("erf", "gelu"), ("relu", "relu"), ("silu", "silu")]
)
def test_the_activation_is_known_by_its_operation(tmp_path, vocabulary, activation, found):
    root = tf.train.Checkpoint()
    arrays = tf_made.variables(TFHUB, tiny_checkpoint(tf_made.BERT))
    root.variables = [tf.Variable(array, name=name) for name, array in arrays.items()]
    root.vocab_file = tf.saved_model.Asset(str(vocabulary))
    compute = {"gelu": tf.nn.gelu, "erf": tf.math.erf, "relu": tf.nn.relu, "silu": tf.nn.silu}[activation]
    root.__call__ = tf.function(lambda x: tf.tanh(compute(x)), input_signature=[tf.TensorSpec([None, 12])])
    tf.saved_model.save(root, str(tmp_path))
    config = read_directory(tmp_path).checkpoint.config
    assert ACTIVATIONS[config.hidden_act] == found


def described(directory, vocabulary, said, config=tf_made.BERT):
    """Save an encoder with what wellread's exporter would say of it."""
    root = tf.train.Checkpoint()
    arrays = tf_made.variables(TFHUB, tiny_checkpoint(config))
    root.variables = [tf.Variable(array, name=name) for name, array in arrays.items()]
    root.vocab_file = tf.saved_model.Asset(str(vocabulary))
    root.do_lower_case = tf.Variable(True, trainable=False)
    root.wellread = tf.Variable(said if isinstance(said, str) else json.dumps(said), trainable=False)
    tf.saved_model.save(root, str(directory))
    return directory


def test_what_wellread_wrote_is_not_inferred(tmp_path, vocabulary):
    config = tiny_config(hidden_act="gelu_new", layer_norm_eps=1e-5, hidden_dropout_prob=0.3, pad_token_id=7)
    said = {"family": "bert", "config": asdict(config)}
    checkpoint = read_directory(described(tmp_path, vocabulary, said)).checkpoint
    assert (checkpoint.config, checkpoint.inferred) == (config, {})


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (
            "{",
            ConfigError,
            "the variable wellread of .* must describe its encoder; found that Expecting .*; export it again",
        ),
        ({"family": "bert"}, ConfigError, "must describe a Description; found that config is missing"),
        (
            {"family": "berd", "config": asdict(tf_made.BERT)},
            ConfigError,
            "names the family 'berd'; wellread reads bert, distilbert, .*; upgrade wellread .did you mean bert",
        ),
        ({"family": "bert", "config": asdict(tiny_config(hidden_size=16))}, WeightsError, r"says \[16, 4, 4\]"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path, vocabulary, said, error, message):
    with pytest.raises(error, match=message):
        wellread.load(described(tmp_path, vocabulary, said))


def test_a_model_that_keras_trained_is_read_without_what_training_left(tmp_path, vocabulary):
    bare = tiny_checkpoint(tf_made.BERT, mlm=False)
    whole = tf_made.keras_encoder(tf_made.variables(TFHUB, bare), types=True, exact=False)
    model = tf_keras.Model(whole.input, whole.output["pooled_output"])
    model.vocab_file = tf.saved_model.Asset(str(vocabulary))
    model.compile("adam", loss="mse", metrics=["mae"])
    model.fit(INPUTS, np.zeros((3, 12), np.float32), verbose=0)
    model.save(str(tmp_path))
    module = wellread.load(tmp_path, backend="numpy")
    inputs = {name: array[:2] for name, array in INPUTS.items()}
    theirs = model({name: tf.constant(array) for name, array in inputs.items()}).numpy()
    assert np.abs(module(inputs)["pooled_output"] - theirs).max() <= 1e-5
    (counted,) = module.checkpoint.ignored.values()
    assert counted == "116 variables: what Keras kept of training"  # 55 tensors twice, iteration, rate, 2 metrics


def test_a_count_of_saves_is_no_variable_of_the_model(made):
    assert read_directory(made / "bert").checkpoint.ignored == {"save_counter": "1 variables: how often it was saved"}


def test_bert_without_pooler_gives_position_0(tmp_path, vocabulary):
    names = ("pooler_transform/kernel", "pooler_transform/bias")
    save(tmp_path, vocabulary=vocabulary, **dict.fromkeys(names))
    module = wellread.load(tmp_path)
    assert (module.checkpoint.family, module.checkpoint.config.pooler) == ("bert", "first_token")


def test_distilbert_needs_a_preprocessor(made):
    with pytest.raises(
        TextError, match="this encoder carries none, as DistilBERT's .*; pass .* preprocessor as tokenizer="
    ):
        wellread.load(made / "distilbert_keras")


def test_a_handle_whose_page_is_known_finds_its_preprocessor(made, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    shutil.copytree(made / "distilbert_keras", tfhub_cache.module_dir(DISTILBERT))
    shutil.copytree(made / "preprocessor", tfhub_cache.module_dir(TEXT))
    module = wellread.load(DISTILBERT)
    assert module.info()["handle"] == DISTILBERT
    assert module.info()["provenance"] == {"tokenizer": TEXT}
    named = wellread.load(made / "distilbert_keras", tokenizer=made / "preprocessor")
    assert module.tokenize(["A woman runs."])[0].tolist() == named.tokenize(["A woman runs."])[0].tolist()


def test_a_preprocessor_goes_before_the_modules_own_vocabulary(made, tmp_path):
    cased = tf_made.write_preprocessor(tmp_path / "cased", tf_made.wordpiece(tmp_path / "words", lower_case=False))
    for kind in ("bert", "bert_hf"):
        own, other = wellread.load(made / kind), wellread.load(made / kind, tokenizer=cased)
        assert [module.tokenizer.config.do_lower_case for module in (own, other)] == [True, False]
        assert other.tokenizer.config.dialect == "tfhub"


def test_a_preprocessor_is_no_module(made):
    with pytest.raises(
        WeightsError, match=r"found a preprocessor, which turns text into ids; load the encoder .* as tokenizer="
    ):
        wellread.load(made / "preprocessor")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transformer/layer_1/output/bias": None}, "transformer/layer_1/output/bias is missing"),
        ({"cls/predictions/transform/dense/bias": None}, "cls/predictions/transform/dense/bias is missing"),
        ({"transformer/layer_4/output/bias": np.zeros(12)}, "transformer/layer_3/intermediate/bias is missing"),
        ({"transformer/kernel": np.zeros((12, 2))}, "transformer/kernel is surplus"),
        (
            {"transformer/layer_2/self_attention/query/bias": np.zeros(12)},
            r"query/bias has shape \[12\] where the configuration says \[4, 3\]",
        ),
        (
            {"transformer/layer_999999999/output/bias": np.zeros(12)},
            "1000000000 layers were asked of .*; found 61 varia",
        ),
        (
            {"word_embeddings/embeddings": None},
            r"found no word_embeddings/embeddings: its 59 variables are .* and 54 more",
        ),
        (
            {"position_embedding/embeddings": np.zeros(12)},
            r"found position_embedding/embeddings of shape \[12\] where it has 2 dimensions: its 60 variables",
        ),
        (
            {"type_embeddings/embeddings": None},
            "found pooler_transform/kernel, which BERT has, without type_embeddings/",
        ),
    ],
)
def test_what_is_no_whole_encoder_is_refused(tmp_path, vocabulary, changes, message):
    save(tmp_path, vocabulary=vocabulary, **changes)
    with pytest.raises(WeightsError, match=message):
        wellread.load(tmp_path)


def test_sizes_without_numbers_are_refused(tmp_path, vocabulary):
    save(tmp_path, vocabulary=vocabulary, **{"position_embedding/embeddings": np.zeros((0, 12), np.float32)})
    with pytest.raises(ConfigError, match="max_position_embeddings must be a whole number of at least 1; found 0"):
        wellread.load(tmp_path)


def test_another_kind_of_model_is_refused_saying_what_it_holds(tmp_path):
    arrays = {f"block_{i}/conv/kernel": np.zeros((3, 3, 2, 2), np.float32) for i in range(40)}
    tf_made.write_saved_model(tmp_path / "vision", arrays)
    with pytest.raises(
        WeightsError,
        match=r"an encoder of the BERT family was asked of .*; found no word_embeddings/embeddings, .*: its 40 "
        r"variables are block_\d+/conv/kernel, .* and 35 more; choose a text encoder",
    ):
        wellread.load(tmp_path / "vision")
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(WeightsError, match="it has no variables; choose"):
        wellread.load(tmp_path / "empty")


def test_counts_of_saves_may_stand_twice(tmp_path, vocabulary):
    root = tf.train.Checkpoint()
    root.mlm = tf.train.Checkpoint()
    arrays = tf_made.variables(TFHUB, tiny_checkpoint(tf_made.BERT))
    root.mlm.variables = root.variables = [tf.Variable(array, name=name) for name, array in arrays.items()]
    root.vocab_file = tf.saved_model.Asset(str(vocabulary))
    tf.saved_model.save(root, str(tmp_path))
    assert read_directory(tmp_path).checkpoint.ignored == {"save_counter": "2 variables: how often it was saved"}


def test_two_variables_of_one_name_are_refused(tmp_path):
    root = tf.train.Checkpoint()
    root.variables = [tf.Variable(1.0, name="x"), tf.Variable(2.0, name="x")]
    tf.saved_model.save(root, str(tmp_path))
    with pytest.raises(WeightsError, match="must bear distinct names; found x twice; export the model again"):
        wellread.load(tmp_path)


def test_a_missing_file_of_variables_is_named(made, tmp_path):
    copy = tf_made.copied(made / "bert", tmp_path / "copy")
    (copy / "variables" / "variables.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match=r"variables\.data-00000-of-00001"):
        wellread.load(copy)
    (copy / "variables" / "variables.index").unlink()
    with pytest.raises(WeightsError, match="it has no variables"):
        wellread.load(copy)


def test_a_checkpoint_of_tensorflow_1_in_its_place_is_named(made, tmp_path):
    copy = tf_made.copied(made / "bert", tmp_path / "copy")
    for path in (copy / "variables").iterdir():
        path.unlink()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("module/word_embeddings/embeddings", initializer=np.zeros(3, np.float32))
        session.run(variable.initializer)
        tf.compat.v1.train.Saver().save(session, str(copy / "variables" / "variables"), write_meta_graph=False)
    with pytest.raises(
        CheckpointError, match="found one of TensorFlow 1, .* variables module/word_embeddings/embeddings"
    ):
        wellread.load(copy)


@pytest.mark.parametrize("family", CONFIGS)
def test_it_is_saved_as_what_transformers_computes_the_same_with(made, tmp_path, family):
    import torch
    from transformers import AutoModel

    module = wellread.load(made / family, backend="numpy")
    module.save(tmp_path / "saved")
    peer = AutoModel.from_pretrained(tmp_path / "saved").eval()
    inputs = {name: array[:2] for name, array in INPUTS.items()}
    names = {"input_word_ids": "input_ids", "input_mask": "attention_mask"}
    names |= {"input_type_ids": "token_type_ids"} if family == "bert" else {}
    with torch.no_grad():
        theirs = peer(**{names[name]: torch.tensor(inputs[name]) for name in names}).last_hidden_state.numpy()
    assert np.abs(module(inputs)["sequence_output"] - theirs).max() <= 1e-5
    again = wellread.load(tmp_path / "saved")
    expected = {**{field: getattr(module.checkpoint.config, field) for field in SHAPE}}
    assert {field: getattr(again.checkpoint.config, field) for field in SHAPE} == expected
    assert again.tokenizer.config == replace(module.tokenizer.config, vocab_file="vocab.txt")


@pytest.mark.parametrize("kind", ["bert", "bert_keras"])
def test_it_is_read_where_tensorflow_cannot_be_imported(made, kind):
    code = f"""
import sys
sys.modules["tensorflow"] = None
import wellread
try:
    import tensorflow
except ImportError:
    print(wellread.load({str(made / kind)!r})(["A man sleeps."])["pooled_output"].tobytes().hex())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = np.frombuffer(bytes.fromhex(done.stdout.strip()), np.float32)
    peer = wellread.load(made / f"{kind.split('_')[0]}_hf")(["A man sleeps."])["pooled_output"][0]
    assert np.abs(ours - peer).max() <= 1e-6


def test_the_peers_differ_where_they_should(made):
    """An exact gelu in place of the tanh form would be seen."""
    module = wellread.load(made / "bert", backend="numpy")
    exact = replace(module.checkpoint, config=tiny_config(hidden_act="gelu"))
    other = wellread.Module(checkpoint=exact, tokenizer=module.tokenizer, backend="numpy")
    assert np.abs(other(INPUTS)["pooled_output"] - module(INPUTS)["pooled_output"]).max() > 1e-5
