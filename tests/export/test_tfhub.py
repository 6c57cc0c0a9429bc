"""What tensorflow-hub's users find in an exported pair: the contract of TF Hub's modules."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from exports import exported, own_ids_module
from headed import LABELS, head_of, headed, headed_checkpoint
from tiny import tiny_checkpoint, tiny_config, tiny_inputs, tiny_module, tiny_tokenizer

import wellread
from wellread.backends import tensorflow as backend
from wellread.config import SentenceConfig, TokenizerConfig
from wellread.errors import CheckpointError, ExportError, MissingExtra
from wellread.export import dialect, tfhub
from wellread.export.parity import EncoderParity, Exported, all_texts, check_export
from wellread.export.tfhub import export_tfhub
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

L, D = 3, 12
DICT = {"pooled_output", "sequence_output", "encoder_outputs"}
GOOGLE = {name: tf.constant(array) for name, array in tiny_inputs().items()}
DISTIL = {name: GOOGLE[name] for name in ("input_word_ids", "input_mask")}
SHALLOW = {"num_hidden_layers": 1}  # where depth shows nothing: every layer is traced by every function, and saved


@pytest.fixture(scope="module")
def loaded(bert):
    """The encoder of BERT as tensorflow-hub loads it: once, for tests that leave it as it is."""
    return hub.load(str(bert.encoder))


@pytest.mark.parametrize("name", ["bert", "distilbert", "kobert", "judge"])
def test_an_export_agrees_with_its_module(name, request):
    export = request.getfixturevalue(name)
    assert_agrees(export, ties=0.015 if name == "kobert" else 0)


@pytest.mark.slow
def test_an_export_under_its_own_ids_agrees_with_its_module(tmp_path):
    assert_agrees(exported(own_ids_module(tmp_path), tmp_path), ties=0.015)


def assert_agrees(export, *, ties):
    encoder, preprocessor = export.found.encoder, export.found.preprocessor
    assert (preprocessor is None) == (export.preprocessor is None)
    assert encoder.largest_difference <= 1e-5
    assert encoder.outputs > encoder.batches * export.module.checkpoint.config.num_hidden_layers * 4
    assert encoder.loss[1] < encoder.loss[0]
    if preprocessor is not None:
        assert preprocessor.texts >= 20_000
        assert preprocessor.ties <= ties * 20_000


@pytest.mark.parametrize("name", ["bert", "distilbert", "kobert", "own_ids"])
def test_wellread_reads_back_what_it_wrote(name, request):
    export = request.getfixturevalue(name)
    again = wellread.load(export.encoder, backend="numpy")
    assert again.checkpoint.config == export.module.checkpoint.config
    assert again.checkpoint.inferred.keys() <= {"tokenizer.do_lower_case"}
    for tensor, stored in export.module.checkpoint.tensors.items():
        assert np.array_equal(again.checkpoint.tensors[tensor].read(), stored.read())
    texts = all_texts()[::50]
    expected = dialect.tfhub_tokenizer(export.module.tokenizer).tokenize(texts).to_list()
    assert again.tokenize(texts).to_list() == expected
    other = wellread.load(export.encoder, tokenizer=export.preprocessor or export.encoder)
    assert other.tokenize(texts).to_list() == expected


def test_notes_say_what_is_left_behind(bert, distilbert, kobert):
    assert bert.found.notes[0] == f"text rules: {dialect.DIFFERENCES['hf']}"
    assert "its preprocessor pads to 128 tokens unless seq_length is given, the encoder holds 41" in bert.found.notes
    assert not any(".mlm" in note for note in bert.found.notes)
    assert any(".mlm" in note for note in distilbert.found.notes)
    assert kobert.found.notes[0] == f"text rules: {dialect.DIFFERENCES['kobert']}"


@pytest.mark.parametrize(
    ("sentence", "left"),
    [
        (SentenceConfig(), None),
        (SentenceConfig(normalize=True), "linear maps and normalisation"),
        (SentenceConfig(pooling="cls+max"), "pooling (cls+max)"),
        (SentenceConfig(pooling="max", normalize=True), "pooling (max), linear maps and normalisation"),
    ],
)
def test_notes_name_what_is_left_of_a_sentence_vector(tmp_path, sentence, left):
    notes = [note for note in tfhub._notes(tiny_module(tmp_path, sentence=sentence)) if "sentence vector" in note]
    expected = f"the sentence vector's {left} stay behind: TF Hub's encoders have no such output"
    assert notes == ([expected] if left else [])


def test_outputs_of_bert(loaded):
    out = loaded(GOOGLE)
    assert out.keys() == DICT | {"default"}
    assert len(out["encoder_outputs"]) == L
    assert np.array_equal(out["encoder_outputs"][-1], out["sequence_output"])
    assert np.array_equal(out["default"], out["pooled_output"])
    assert loaded.mlm({**GOOGLE, "masked_lm_positions": tf.zeros([3, 2], tf.int32)}).keys() == DICT | {"mlm_logits"}


def test_variables_of_bert(bert, loaded):
    names = [variable.name for variable in loaded.trainable_variables]
    assert len(names) == 16 * L + 7
    assert names[:3] == [
        "word_embeddings/embeddings:0",
        "position_embedding/embeddings:0",
        "type_embeddings/embeddings:0",
    ]
    assert names[-1] == "pooler_transform/bias:0"
    assert len(loaded.mlm.trainable_variables) == 16 * L + 12
    shared = {id(v) for v in loaded.variables} & {id(v) for v in loaded.mlm.variables}
    assert len(shared) == 16 * L + 7
    assert list(loaded.regularization_losses) == []
    assert not loaded.do_lower_case.trainable
    assert bool(loaded.do_lower_case) is True
    assert loaded.vocab_file.asset_path.numpy().decode() == str(bert.encoder / "assets" / "vocab.txt")


def test_distilbert_takes_two_inputs_or_three(distilbert):
    encoder = hub.load(str(distilbert.encoder))
    out = encoder(DISTIL)
    assert out.keys() == DICT
    assert np.array_equal(out["pooled_output"], out["sequence_output"][:, 0])
    assert np.array_equal(encoder(GOOGLE)["sequence_output"], out["sequence_output"])
    assert len(encoder.trainable_variables) == 16 * L + 4
    assert not hasattr(encoder, "mlm")


@pytest.mark.parametrize(
    "inputs",
    [
        list(GOOGLE.values()),
        {name: tf.cast(x, tf.int64) for name, x in GOOGLE.items()},
        DISTIL,
        {**GOOGLE, "position_ids": GOOGLE["input_mask"]},
        {name: x[0] for name, x in GOOGLE.items()},
    ],
    ids=["a list", "int64", "a missing key", "a surplus key", "no batch"],
)
def test_other_structures_are_refused(loaded, inputs):
    with pytest.raises((ValueError, TypeError), match=r"Could not find matching|Binding inputs"):
        loaded(inputs)


def test_a_head_gives_its_logits_and_tells_its_labels(judge):
    encoder = hub.load(str(judge.encoder))
    out = encoder(GOOGLE)
    assert out.keys() == DICT | {"logits"}
    expected = judge.module.running("f32").run(tiny_inputs(), ["logits"])["logits"]
    assert np.allclose(out["logits"], expected, atol=1e-5)
    assert [label.decode() for label in encoder.labels.numpy()] == list(LABELS)
    assert not encoder.labels.trainable
    depth = judge.module.checkpoint.config.num_hidden_layers
    assert len(encoder.trainable_variables) == 16 * depth + 4 + 4
    assert [v.name for v in encoder.trainable_variables][-2:] == ["classifier/kernel:0", "classifier/bias:0"]
    served = encoder.signatures["serving_default"](**DISTIL)
    numbered = {"distil_bert_encoder", *(f"distil_bert_encoder_{i}" for i in range(1, depth + 2))}
    assert served.keys() == numbered | {"logits"}  # the others keep their numbers
    assert np.allclose(served[f"distil_bert_encoder_{depth + 1}"], out["sequence_output"], atol=1e-6)
    assert np.array_equal(served["logits"], encoder.signatures["named"](**DISTIL)["logits"])


def test_a_head_comes_back_from_a_saved_model(judge, tmp_path):
    shutil.copytree(judge.encoder, tmp_path / "copy")
    again = wellread.load(tmp_path / "copy", backend="numpy")
    assert again.checkpoint.head == judge.module.checkpoint.head
    assert again.checkpoint.tensors.keys() == judge.module.checkpoint.tensors.keys()
    for name, stored in judge.module.checkpoint.tensors.items():
        assert np.array_equal(again.checkpoint.tensors[name].read(), stored.read())
    assert again.checkpoint.ignored["labels"] == "1 variables: told by the variable wellread too"


# Half a minute each: the others are of the same code.
@pytest.mark.parametrize(
    ("task", "outputs"),
    [("pair", 5), *(pytest.param(*rest, marks=pytest.mark.slow) for rest in (("tag", 5), ("answer", 2)))],
)
def test_every_head_agrees_with_its_module(tmp_path, task, outputs):
    checkpoint = headed_checkpoint(task, mlm=task == "pair", sizes=SHALLOW)
    module = Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(tmp_path / "files"))
    found = export_tfhub(module, tmp_path / "encoder").encoder
    assert found.largest_difference <= 1e-5
    encoder = hub.load(str(tmp_path / "encoder"))
    assert encoder(GOOGLE)["logits"].shape == ((3, 5) if task == "pair" else (3, 7, outputs))
    assert hasattr(encoder, "labels") == (task != "answer")
    assert hasattr(encoder, "mlm") == (task == "pair")
    assert wellread.load(tmp_path / "encoder").checkpoint.head == checkpoint.head


def test_a_similarity_leaves_its_head_behind_and_says_so(tmp_path):
    checkpoint = headed(tiny_checkpoint(tiny_config(**SHALLOW), mlm=False), head_of("similarity"))
    module = Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(tmp_path / "files"))
    found = export_tfhub(module, tmp_path / "encoder")
    assert "the head for similarity stays behind: it compares sentence vectors" in found.notes
    assert wellread.load(tmp_path / "encoder").checkpoint.head is None
    assert hub.load(str(tmp_path / "encoder"))(GOOGLE).keys() == DICT | {"default"}


def test_training_switches_dropout_on(loaded):
    def spread(layer, inputs, **options):
        return np.std([layer(inputs, **options)["pooled_output"] for _ in range(20)], axis=0).max()

    with_positions = {**GOOGLE, "masked_lm_positions": tf.zeros([3, 2], tf.int32)}
    for layer, inputs in ((loaded, GOOGLE), (loaded.mlm, with_positions)):
        assert spread(layer, inputs, training=True) > 1e-3
        assert spread(layer, inputs, training=False) < 1e-6
        assert spread(layer, inputs) < 1e-6


def test_a_type_id_outside_the_table_adds_nothing(bert):
    encoder = hub.load(str(bert.encoder))  # of its own: it changes
    out = encoder({**GOOGLE, "input_type_ids": tf.fill([3, 7], 9)})["sequence_output"]
    table = next(v for v in encoder.variables if v.name.startswith("type_embeddings"))
    table.assign(tf.zeros_like(table))
    assert np.allclose(encoder(GOOGLE)["sequence_output"], out, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("bert", GOOGLE, ["bert_encoder", *(f"bert_encoder_{i}" for i in range(1, L + 3))]),
        ("distilbert", DISTIL, ["distil_bert_encoder", *(f"distil_bert_encoder_{i}" for i in range(1, L + 2))]),
    ],
)
def test_signatures(name, inputs, outputs, loaded, request):
    """`serving_default` numbers the outputs in the order of their keys: default, encoder_outputs, pooled, sequence."""
    encoder = loaded if name == "bert" else hub.load(str(request.getfixturevalue(name).encoder))
    served = encoder.signatures["serving_default"](**inputs)
    assert served.keys() == set(outputs)
    out = encoder(inputs)
    in_order = [*([out["default"]] if "default" in out else []), *out["encoder_outputs"], out["pooled_output"]]
    for key, expected in zip(outputs, [*in_order, out["sequence_output"]], strict=True):
        assert np.allclose(served[key], expected, atol=1e-6)
    named = encoder.signatures["named"](**inputs)
    layers = {f"encoder_outputs_{i}" for i in range(L)}
    assert named.keys() == (out.keys() - {"encoder_outputs"}) | layers


def test_keras_layer_trains_what_it_should(bert, loaded):
    layer = hub.KerasLayer(str(bert.encoder), trainable=True)
    assert len(layer.trainable_weights) == 16 * L + 7
    frozen = hub.KerasLayer(loaded)
    assert frozen.trainable_weights == []
    assert np.array_equal(frozen(GOOGLE, training=True)["pooled_output"], layer(GOOGLE)["pooled_output"])


def test_a_static_length_goes_through(loaded):
    @tf.function(input_signature=[{name: tf.TensorSpec([None, 9], tf.int32) for name in GOOGLE}])
    def call(inputs):
        out = loaded(inputs)
        assert out["sequence_output"].shape.as_list() == [None, 9, D]
        return out["pooled_output"]

    assert call.get_concrete_function().output_shapes.as_list() == [None, D]


def test_an_export_can_be_moved_and_saved_again(bert, tmp_path):
    texts = tf.constant(["A man is playing the guitar."])
    expected = hub.load(str(bert.preprocessor))(texts)["input_word_ids"].numpy()
    for name in ("encoder", "preprocessor"):
        shutil.copytree(getattr(bert, name), tmp_path / "first" / name)
    loaded = tf.train.Checkpoint(text=hub.load(str(tmp_path / "first" / "preprocessor")))
    loaded.encoder = hub.load(str(tmp_path / "first" / "encoder"))
    loaded.__call__ = tf.function(
        lambda texts: loaded.encoder(loaded.text.bert_pack_inputs([loaded.text.tokenize(texts)], seq_length=16)),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(loaded, str(tmp_path / "second"))
    shutil.rmtree(tmp_path / "first")
    (tmp_path / "second").rename(tmp_path / "third")
    again = hub.load(str(tmp_path / "third"))
    assert np.array_equal(again.text(texts)["input_word_ids"], expected)
    assert again(texts)["pooled_output"].shape == (1, D)
    assert (tmp_path / "third" / "assets" / "vocab.txt").is_file()


def test_no_file_names_the_place_where_it_was_made(bert):
    for directory in (bert.encoder, bert.preprocessor):
        for path in directory.rglob("*"):
            assert path.is_dir() or str(bert.encoder.parent).encode() not in path.read_bytes(), path


def test_what_does_not_agree_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(backend.ACTIVATIONS, "gelu", tf.nn.relu)
    module = tiny_module(tmp_path / "files", config=tiny_config(**SHALLOW), mlm=False)
    with pytest.raises(ExportError, match=r"must agree .*; found that 0/call/.* differs by .*; nothing was kept"):
        export_tfhub(module, tmp_path / "encoder")
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_a_preprocessor_that_does_not_agree_is_told(bert):
    """The preprocessor of BERT lower-cases; a tokenizer that does not is another."""
    rules = TokenizerConfig(dialect="tfhub", do_lower_case=False)
    cased = load_tokenizer(bert.encoder.parent / "files", rules)
    with pytest.raises(ExportError, match=r"must give the ids of the tfhub dialect .*; found \d+ faults: .*; nothing"):
        check_export(bert.module.checkpoint, cased, encoder=bert.encoder, preprocessor=bert.preprocessor)


def test_neither_is_kept_where_one_does_not_agree(tmp_path, monkeypatch):
    def check(*args, encoder, preprocessor, **kwargs):
        assert encoder.is_dir()
        assert preprocessor.is_dir()
        raise ExportError("the preprocessor does not agree")

    monkeypatch.setattr(tfhub, "_write", lambda module, tokenizer, *directories: None)
    monkeypatch.setattr(tfhub, "check_export", check)
    with pytest.raises(ExportError, match="the preprocessor does not agree"):
        export_tfhub(tiny_module(tmp_path / "files"), tmp_path / "encoder", preprocessor=tmp_path / "text")
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_who_imports_the_consumer_keeps_the_garbage_collector_as_it_is():
    code = """
import gc, sys, types
for name in ("tensorflow", "tensorflow_hub", "tensorflow_text"):
    sys.modules[name] = types.ModuleType(name)
gc.disable()
import wellread.export.consumer
print(gc.isenabled())
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_consumer_that_dies_is_quoted(tmp_path, monkeypatch):
    (tmp_path / "tensorflow.py").write_text("raise KeyError('of another release')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    module = tiny_module(tmp_path / "files")
    with pytest.raises(ExportError, match=r"loaded back with tensorflow-hub; its process ended with code 1: KeyError"):
        check_export(module.checkpoint, module.tokenizer, encoder=tmp_path)


def test_what_stands_there_is_kept(tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "mine").write_text("kept")
    with pytest.raises(CheckpointError, match="it exists"):
        export_tfhub(tiny_module(tmp_path / "files"), tmp_path / "encoder")
    assert (tmp_path / "encoder" / "mine").read_text() == "kept"


def test_a_saved_model_is_overwritten_once_the_new_one_agrees(tmp_path, monkeypatch):
    def write(module, tokenizer, encoder, preprocessor):
        (encoder / "variables").mkdir()
        (encoder / "variables" / "variables.index").touch()
        (encoder / "saved_model.pb").write_text("new")

    near = EncoderParity(batches=1, outputs=1, largest_difference=0.0, loss=(1.0, 0.5))
    agrees = True

    def check(*args, **kwargs):
        if not agrees:
            raise ExportError("it does not agree")
        return Exported(encoder=near)

    monkeypatch.setattr(tfhub, "_write", write)
    monkeypatch.setattr(tfhub, "check_export", check)
    module, directory = tiny_module(tmp_path / "files"), tmp_path / "encoder"
    export_tfhub(module, directory)
    with pytest.raises(CheckpointError, match="it exists; remove it or choose another name, or pass overwrite=True"):
        export_tfhub(module, directory)
    (directory / "saved_model.pb").write_text("old")
    (directory / "assets").mkdir()
    agrees = False
    with pytest.raises(ExportError, match="it does not agree"):
        export_tfhub(module, directory, overwrite=True)
    assert (directory / "saved_model.pb").read_text() == "old"
    agrees = True
    export_tfhub(module, directory, overwrite=True)
    assert sorted(path.name for path in directory.iterdir()) == ["saved_model.pb", "variables"]
    assert (directory / "saved_model.pb").read_text() == "new"
    (directory / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"was to be overwritten; found notes\.txt, which wellread did not write"):
        export_tfhub(module, directory, overwrite=True)


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(tfhub, "PACKAGES", ("a_package_that_is_not_there",))
    with pytest.raises(MissingExtra, match=r'pip install "wellread\[tf\]"'):
        export_tfhub(tiny_module(tmp_path / "files"), tmp_path / "encoder")
