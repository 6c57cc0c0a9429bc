"""revive: a dead handle of TF Hub loads again, in the real tensorflow-hub, offline, as the documents write it."""

import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import click
import numpy as np
import pytest
from tiny import tiny_checkpoint, tiny_config, tiny_module
from verbs import run_verb

from wellread.cli import revive as cli
from wellread.config import SentenceConfig, TokenizerConfig
from wellread.errors import ExportError, HandleError
from wellread.export import tfhub
from wellread.export.parity import EncoderParity, Exported, PreprocessorParity
from wellread.export.revive import revive
from wellread.hub.tfhub_cache import find, installed
from wellread.module import Module
from wellread.text.tokenizer import load_tokenizer

GOOGLE = "https://tfhub.dev/tensorflow/"
SMALL = f"{GOOGLE}small_bert/bert_en_uncased_L-2_H-128_A-2/1"
OTHER = f"{GOOGLE}small_bert/bert_en_uncased_L-2_H-128_A-2/2"
TEXT = f"{GOOGLE}bert_en_uncased_preprocess/3"
NEW = ("https://example.org/encoder/1", "https://example.org/preprocess/1")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"a man is playing the guitar . ##s ##ing , ! ?".split()]
SHAPE = {
    **{"vocab_size": 30522, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"intermediate_size": 512, "max_position_embeddings": 512},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "modules"))
    return tmp_path / "modules"


def tokenizer_in(directory, *, count=30522, last="word", **options):
    directory.mkdir(parents=True, exist_ok=True)
    pieces = [*WORDS, *(f"word{i}" for i in range(count - len(WORDS) - 1)), last]
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
    return load_tokenizer(directory, TokenizerConfig(**{"dialect": "tfhub", "do_lower_case": True, **options}))


def module_in(directory, *, mlm=True, tokenizer=None, **changes):
    config = tiny_config(**{**SHAPE, **changes})
    checkpoint = tiny_checkpoint(config, SentenceConfig(max_seq_length=32), mlm=mlm)
    return Module(checkpoint=checkpoint, tokenizer=tokenizer or tokenizer_in(directory), backend="numpy")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A module of small BERT's shape, whose config says erf gelu, as the copies at Hugging Face do."""
    return module_in(tmp_path_factory.mktemp("small"))


@pytest.fixture
def exports(monkeypatch):
    """Stand in for the exporter, where the question is what happens before and after it. Gives what it was asked."""
    asked = []

    def export(module, directory, *, preprocessor=None):
        asked.append({"module": module, "preprocessor": preprocessor})
        for place in filter(None, (directory, preprocessor)):
            place.mkdir()
            (place / "saved_model.pb").write_bytes(f"{len(asked)}".encode())
        encoder = EncoderParity(batches=2, outputs=7, largest_difference=1e-7, loss=(2.0, 1.0))
        text = PreprocessorParity(texts=20_000, ties=0) if preprocessor else None
        return Exported(encoder=encoder, preprocessor=text, notes=("of the exporter",))

    monkeypatch.setattr(tfhub, "export_tfhub", export)
    return asked


def content(handle):
    return (find(handle) / "saved_model.pb").read_text()


# -- the whole way, with the real exporter and the real tensorflow-hub -------------------------------------------------

LOADED = """
    import json, sys, warnings
    warnings.simplefilter("ignore")
    import socket
    import numpy as np
    import tensorflow as tf
    import tensorflow_hub as hub
    import tensorflow_text

    socket.socket = None
    preprocessor = hub.KerasLayer("https://tfhub.dev/tensorflow/bert_en_uncased_preprocess/3")
    encoder = hub.KerasLayer("https://tfhub.dev/tensorflow/small_bert/bert_en_uncased_L-2_H-128_A-2/1", trainable=True)
    inputs = preprocessor(tf.constant(["A man is playing the guitar.", "Guitars!"]))
    outputs = encoder(inputs)
    inputs["masked_lm_positions"] = tf.constant([[1, 2], [1, 3]])
    logits = encoder.resolved_object.mlm(inputs)["mlm_logits"]
    np.savez(sys.argv[1], ids=inputs["input_word_ids"], pooled=outputs["pooled_output"], logits=logits)
"""


@pytest.fixture(scope="module")
def alive(tmp_path_factory, small):
    """Revive with the real exporter, and load as document 003 does."""
    place = tmp_path_factory.mktemp("alive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFHUB_CACHE_DIR", str(place / "modules"))
        found = revive(SMALL, small)
        command = [sys.executable, "-c", textwrap.dedent(LOADED), str(place / "outputs.npz")]
        environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return found, dict(np.load(place / "outputs.npz"))


def test_the_documents_code_loads_the_module_offline_with_the_pages_arithmetic(alive, small):
    found, outputs = alive
    config = replace(small.checkpoint.config, hidden_act="gelu_pytorch_tanh")
    expected = Module(checkpoint=replace(small.checkpoint, config=config), tokenizer=small.tokenizer, backend="numpy")
    inputs = expected.bert_pack_inputs([expected.tokenize(["A man is playing the guitar.", "Guitars!"])])
    assert np.array_equal(outputs["ids"], inputs.input_word_ids)
    pooled = expected(dict(inputs))["pooled_output"]
    assert np.abs(outputs["pooled"] - pooled).max() < 1e-5
    assert np.abs(outputs["pooled"] - small(dict(inputs))["pooled_output"]).max() > 1e-4  # erf gelu would differ
    logits = expected.mlm({**inputs, "masked_lm_positions": [[1, 2], [1, 3]]})["mlm_logits"]
    assert np.abs(outputs["logits"] - logits).max() < 1e-5 * max(1, np.abs(logits).max())
    assert found.exported.preprocessor.texts > 0


# -- what is decided before and after the exporter ---------------------------------------------------------------------


def test_both_are_installed_under_the_handles_of_the_page(here, small, exports):
    found = revive(SMALL, small)
    assert [module.handle for module in installed()] == [TEXT, SMALL]
    assert (found.handle, found.preprocessor) == (SMALL, TEXT)
    assert (found.directory, found.preprocessor_directory) == (find(SMALL), find(TEXT))
    assert content(SMALL) == content(TEXT) == "1"
    assert len(list(here.iterdir())) == 4  # and nothing of the work


def test_the_activation_is_the_pages(small, exports):
    before = small.running("f64")
    found = revive(SMALL, small)
    made = exports[0]["module"]
    assert made.checkpoint.config.hidden_act == "gelu_pytorch_tanh"
    assert small.checkpoint.config.hidden_act == "gelu"
    assert made.running("f64") is not before
    assert found.notes == (
        "hidden_act gelu became gelu_pytorch_tanh, which the module of that page computes",
        "of the exporter",
    )


def test_nothing_is_said_of_an_activation_of_the_same_arithmetic(tmp_path, exports):
    assert revive(SMALL, module_in(tmp_path / "m", hidden_act="gelu_new")).notes == ("of the exporter",)
    assert exports[0]["module"].checkpoint.config.hidden_act == "gelu_new"


def test_a_module_without_the_head_is_allowed_and_said(tmp_path, exports):
    notes = revive(SMALL, module_in(tmp_path / "m", mlm=False)).notes
    assert "the module lacks a masked-language-model head; the page's .mlm: True" in notes


def test_a_page_note_is_passed_on_and_distilbert_has_its_own_arithmetic(tmp_path, exports):
    handle = "https://tfhub.dev/jeongukjae/distilbert_en_uncased_L-6_H-768_A-12/1"
    shape = {"hidden_size": 768, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 3072}
    config = tiny_config(**{**SHAPE, **shape, "type_vocab_size": 0, "pooler": "first_token", "hidden_act": "gelu_new"})
    checkpoint = replace(tiny_checkpoint(tiny_config(type_vocab_size=0)), config=config)
    found = revive(handle, Module(checkpoint=checkpoint, tokenizer=tokenizer_in(tmp_path / "m")))
    assert found.preprocessor == "https://tfhub.dev/jeongukjae/distilbert_en_uncased_preprocess/1"
    assert found.notes[:2] == (
        "hidden_act gelu_new became gelu, which the module of that page computes",
        "the module has a masked-language-model head; the page's .mlm: False",
    )
    assert "version 2 is the corrected one" in found.notes[2]


def test_every_difference_to_the_page_is_listed(tmp_path, exports):
    with pytest.raises(ExportError) as error:
        revive(SMALL, tiny_module(tmp_path / "m", config=tiny_config(hidden_act="relu", layer_norm_eps=1e-5)))
    assert str(error.value) == (
        f"{SMALL} was to be revived; found a module whose num_hidden_layers is 3, not 2; hidden_size is 12, not 128; "
        "num_attention_heads is 4, not 2; intermediate_size is 37, not 512; vocab_size is 99, not 30522; "
        "max_position_embeddings is 41, not 512; layer_norm_eps is 1e-05, not 1e-12; hidden_act is relu, not "
        "gelu_pytorch_tanh; tokenizer has 99 pieces, not 30522; choose the module of that page, or the page "
        "of that module"
    )
    assert not exports
    assert not installed()


def test_family_pooler_and_case_are_differences(tmp_path, exports):
    cased = tokenizer_in(tmp_path / "cased", do_lower_case=False)
    distil = module_in(tmp_path / "m", tokenizer=cased, type_vocab_size=0, pooler="first_token")
    with pytest.raises(
        ExportError, match=r"family is distilbert, not bert; pooler is first_token, not dense_tanh; do_lower"
    ):
        revive(SMALL, distil)
    with pytest.raises(ExportError, match=r"whose do_lower_case is False, not True; choose the module"):
        revive(SMALL, module_in(tmp_path / "m", tokenizer=cased))


def test_sentencepiece_is_no_wordpiece(small, exports):
    spm = TokenizerConfig(dialect="spm", model_file="a.model", do_lower_case=True)
    with pytest.raises(ExportError, match=r"whose dialect is spm, not tfhub; choose the module"):
        revive(SMALL, replace(small, tokenizer=replace(small.tokenizer, config=spm)))


def test_what_is_installed_stays_unless_it_is_to_be_replaced(small, exports):
    revive(SMALL, small)
    with pytest.raises(ExportError, match=rf"found that {re.escape(SMALL)} is there; pass overwrite=True"):
        revive(SMALL, small)
    assert len(exports) == 1
    assert len(revive(SMALL, small, overwrite=True).notes) == 2
    assert content(SMALL) == content(TEXT) == "2"


def test_a_second_encoder_shares_the_preprocessor_of_the_first(small, exports):
    revive(SMALL, small)
    found = revive(OTHER, small)
    assert found.notes[0] == f"{TEXT} is installed, and stays as it is"
    assert found.preprocessor_directory == find(TEXT)
    assert exports[1]["preprocessor"] is None
    assert (content(SMALL), content(OTHER), content(TEXT)) == ("1", "2", "1")


def test_a_preprocessor_that_tensorflow_hub_downloaded_stays(here, small, exports):
    place = here / hashlib.sha1(TEXT.encode()).hexdigest()
    place.mkdir(parents=True)
    (place / "saved_model.pb").write_text("the page's own")
    assert f"{TEXT} is installed, and stays as it is" in revive(SMALL, small).notes
    assert content(TEXT) == "the page's own"


def test_a_preprocessor_of_another_vocabulary_is_not_shared(tmp_path, small, exports):
    revive(SMALL, small)
    other = module_in(tmp_path / "m", tokenizer=tokenizer_in(tmp_path / "other", last="another"))
    with pytest.raises(ExportError) as error:
        revive(OTHER, other)
    assert str(error.value) == (
        f"the preprocessor {TEXT} was to be installed; found it in {find(TEXT)} with another vocabulary, case "
        "or number of outputs; remove it first (wellread revive --remove), or pass overwrite=True (--overwrite)"
    )
    assert find(OTHER) is None
    revive(OTHER, other, preprocessor=NEW[1])
    assert (content(TEXT), content(NEW[1])) == ("1", "2")


def test_a_preprocessor_without_type_ids_is_not_shared_with_bert(tmp_path, small, exports):
    distil = module_in(tmp_path / "m", tokenizer=small.tokenizer, type_vocab_size=0, pooler="first_token")
    revive(NEW[0], distil, preprocessor=TEXT)
    with pytest.raises(ExportError, match="case or number of outputs; remove it first"):
        revive(SMALL, small)


def test_an_unknown_handle_needs_the_handle_of_its_preprocessor(tmp_path, exports):
    module = tiny_module(tmp_path / "m")
    with pytest.raises(HandleError, match="the page of 'https://example.org/encoder/1' was asked for"):
        revive(NEW[0], module)
    found = revive(NEW[0], module, preprocessor=NEW[1])
    assert [each.handle for each in installed()] == list(NEW)
    assert found.notes[0] == "the catalog has 69 encoders, and not this one: the module was compared with no page"
    assert exports[0]["module"] is module


def test_a_refused_handle_is_refused_with_a_preprocessor_too(small, exports):
    with pytest.raises(HandleError, match="versions 1 and 2 take a list and return a tuple"):
        revive(f"{GOOGLE}bert_en_uncased_L-12_H-768_A-12/2", small, preprocessor=NEW[1])


@pytest.mark.parametrize(
    ("handle", "preprocessor"),
    [
        ("Dimitre/bert_en_cased_L-12_H-768_A-12", None),
        (NEW[0], NEW[0]),
        (NEW[0], "owner/preprocess"),
        (NEW[0], f"{NEW[1]}\nModule: x"),
    ],
)
def test_handles_that_tensorflow_hub_looks_for_elsewhere_are_refused(small, exports, handle, preprocessor):
    with pytest.raises(HandleError) as error:
        revive(handle, small, preprocessor=preprocessor)
    assert str(error.value) == (
        f"{handle!r} and {preprocessor or 'Dimitre/bert_en_cased_preprocess'!r} were to be revived; tensorflow-hub "
        "looks in its cache for addresses that begin with https://, one for each, and for anything else elsewhere; "
        "name two such, or write directories with wellread export --to tfhub"
    )


def test_a_failed_export_leaves_nothing(here, small, monkeypatch):
    def fail(module, directory, *, preprocessor=None):
        directory.mkdir()
        (directory / "half").touch()
        raise ExportError("the difference is too large")

    monkeypatch.setattr(tfhub, "export_tfhub", fail)
    with pytest.raises(ExportError, match="too large"):
        revive(SMALL, small)
    assert not list(here.iterdir())


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(small, monkeypatch, capsys):
    monkeypatch.setattr(cli, "load_module", lambda source, **loading: small)

    def run(*arguments):
        cli.command.main(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_the_command_revives_lists_and_removes(run, here, exports, monkeypatch):
    lines = run(SMALL, "--from", "module").splitlines()
    assert lines[:2] == [f"encoder: {SMALL}", f"preprocessor: {TEXT}"]
    assert lines[2].startswith(f"{find(SMALL)}: ")
    assert lines[3].startswith(f"{find(TEXT)}: ")
    assert lines[4].startswith("note: hidden_act gelu became")
    assert lines[-4:] == [
        "tensorflow-hub finds these where this is set, as it is here:",
        f"export TFHUB_CACHE_DIR={here}",
        "hub.KerasLayer refuses Keras 3, which is here; with tf_keras it runs where this is set too:",
        "export TF_USE_LEGACY_KERAS=1",
    ]
    listed = run("--list").splitlines()
    assert listed[:4] == [TEXT, f"  {find(TEXT)}  0.0 MB", SMALL, f"  {find(SMALL)}  0.0 MB"]
    assert run("--remove", SMALL).splitlines()[0] == SMALL
    assert [module.handle for module in installed()] == [TEXT]


@pytest.mark.parametrize(("variable", "keras"), [("1", "3.15.0"), ("True", "3.15.0"), ("0", "2.15.0"), ("", None)])
def test_legacy_keras_is_asked_for_where_it_is_needed_alone(run, monkeypatch, variable, keras):
    def version(name):
        if keras is None:
            raise PackageNotFoundError(name)
        return keras

    monkeypatch.setattr(cli, "version", version)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", variable)
    assert "KERAS" not in run("--list")


def test_the_command_says_clearly_that_the_variable_is_not_set(run, exports, monkeypatch, tmp_path):
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "own"))
    assert run(SMALL, "--from", "module").splitlines()[-4:-2] == [
        "TFHUB_CACHE_DIR is not set: tensorflow-hub would look in a temporary directory and find none; set it "
        "before Python starts:",
        f"export TFHUB_CACHE_DIR={tmp_path}/own/tfhub_modules",
    ]


def test_the_command_prints_json(run, here, exports):
    made = json.loads(run(SMALL, "--from", "module", "--preprocessor", NEW[1], "--json"))
    assert (made["handle"], made["preprocessor"]) == (SMALL, NEW[1])
    assert made["directory"] == str(find(SMALL))
    assert made["exported"]["encoder"]["outputs"] == 7
    assert made["setting"] == f"export TFHUB_CACHE_DIR={here}"
    assert made["keras_setting"] == "export TF_USE_LEGACY_KERAS=1"
    listed = [json.loads(line) for line in run("--list", "--json").splitlines()]
    assert [row["handle"] for row in listed] == [NEW[1], SMALL]
    assert json.loads(run("--remove", SMALL, "--json"))["handle"] == SMALL


@pytest.mark.parametrize(
    "arguments", [[], [SMALL], ["--from", "x"], ["--list", "--remove", SMALL], [SMALL, "--from", "x", "--list"]]
)
def test_the_command_takes_one_of_three_forms(arguments):
    said = run_verb("revive", *arguments, code=2)
    assert "give HANDLE --from MODULE, or --list, or --remove HANDLE" in said
    assert ("google/bert_uncased_L-2_H-128_A-2" in said) == (arguments == [SMALL])


@pytest.mark.parametrize("handle", [SMALL, SMALL.removeprefix("https://tfhub.dev/")])
def test_the_command_names_the_living_modules_of_a_dead_handle(run, handle):
    with pytest.raises(click.UsageError) as refused:
        run(handle)
    words, _, named = refused.value.message.partition("; the same weights are those of --from ")
    assert words == "give HANDLE --from MODULE, or --list, or --remove HANDLE"
    assert "google/bert_uncased_L-2_H-128_A-2" in named.split(" or ")
    assert "tfhub.dev" not in named
    with pytest.raises(click.UsageError, match="or --remove HANDLE$"):
        run("https://tfhub.dev/nobody/nothing/1")


def test_listing_imports_no_tensorflow():
    code = "import sys; from wellread.cli.revive import command; command.main(['--list'], standalone_mode=False); "
    code += "print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
