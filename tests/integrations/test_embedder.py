"""What every adapter holds: loaded late, cheap to pickle, and never another module than it was."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import wellread
from wellread.errors import HandleError, InputError, MissingExtra, require_package
from wellread.integrations.embedder import TWO_KINDS, Embedder

TEXTS = ["the man runs", "a cat sleeps"]
ADAPTERS = sorted(
    path.stem
    for path in (Path(wellread.__file__).parent / "integrations").glob("*.py")
    if path.stem not in ("__init__", "embedder", "datasets")
)
# what pip calls the library of an adapter, where that is not its own name
PIP = {
    "langchain": ("langchain_core", "langchain-core"),
    "llama_index": ("llama_index", "llama-index-core"),
    "haystack": ("haystack", "haystack-ai"),
    "chroma": ("chromadb", "chromadb"),
    "sklearn": ("sklearn", "scikit-learn"),
}


def test_queries_documents_and_texts_are_encoded_as_the_module_does(module):
    embedder = Embedder(module, prompts=TWO_KINDS, precision="f32")
    np.testing.assert_array_equal(embedder.queries(TEXTS), module.encode_query(TEXTS, precision="f32"))
    np.testing.assert_array_equal(embedder.documents(TEXTS), module.encode_document(TEXTS, precision="f32"))
    np.testing.assert_array_equal(Embedder(module, precision="f32").texts(TEXTS), module.encode(TEXTS, precision="f32"))
    assert not np.allclose(embedder.queries(TEXTS), embedder.documents(TEXTS), atol=1e-3)


def test_prompts_and_options_are_those_of_encode(module):
    embedder = Embedder(module, prompts=TWO_KINDS, query_prompt="of ", document_prompt="", truncate_dim=5)
    np.testing.assert_array_equal(embedder.queries(TEXTS), module.encode(TEXTS, prompt="of ", truncate_dim=5))
    np.testing.assert_array_equal(embedder.documents(TEXTS), module.encode(TEXTS, prompt="", truncate_dim=5))
    named = Embedder(module, prompt_name="query", normalize_embeddings=True)
    expected = module.encode(TEXTS, prompt_name="query", normalize_embeddings=True)
    np.testing.assert_array_equal(named.texts(TEXTS), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalise_embeddings": True}, r"is no option here \(did you mean normalize_embeddings\?\); choose of"),
        ({"prompt": "a "}, r"prompt= is no option here .*choose of .*query_prompt"),
        ({"model": 5}, "a module or its handle was expected; found int; pass what wellread.load takes or returns"),
    ],
)
def test_what_is_no_option_is_refused_at_once(options, message):
    with pytest.raises(InputError, match=message):
        Embedder(prompts=TWO_KINDS, **options)


def test_a_handle_is_loaded_when_it_is_needed(directory):
    Embedder("no/such/module")
    with pytest.raises(HandleError):
        _ = Embedder("no/such/module").module
    embedder = Embedder(directory)
    assert embedder.module is embedder.module


def test_a_pickle_holds_the_handle_and_which_module_it_was(directory, module, another, tmp_path):
    embedder = Embedder(directory)
    before = len(pickle.dumps(embedder))
    vectors = embedder.texts(TEXTS)
    pickled = pickle.dumps(embedder)
    assert len(pickled) < before + 100 < 700
    np.testing.assert_array_equal(pickle.loads(pickled).texts(TEXTS), vectors)
    another.save(directory, overwrite=True)
    assert Embedder(directory).module.fingerprint == another.fingerprint
    expected = rf"module of fingerprint {module.fingerprint}, whose vectors are stored; found {another.fingerprint}; "
    with pytest.raises(InputError, match=expected):
        pickle.loads(pickled).texts(TEXTS)


def test_a_module_that_was_given_is_pickled_whole(module):
    again = pickle.loads(pickle.dumps(Embedder(module)))
    np.testing.assert_array_equal(again.texts(TEXTS), Embedder(module).texts(TEXTS))


def test_settings_make_it_anew(directory, module):
    embedder = Embedder(directory, prompts=TWO_KINDS, query_prompt="of ", truncate_dim=5)
    settings = json.loads(json.dumps(embedder.settings()))
    stored = {"model": directory, "query_prompt": "of ", "truncate_dim": 5, "fingerprint": module.fingerprint}
    assert settings == stored
    again = Embedder(prompts=TWO_KINDS, **settings)
    assert again.settings() == settings
    np.testing.assert_array_equal(again.queries(TEXTS), embedder.queries(TEXTS))


def test_settings_of_a_module_hold_the_handle_that_finds_it_again(module, directory, monkeypatch):
    default = wellread.load("default")
    stored = {"model": "default", "fingerprint": default.fingerprint}
    assert Embedder(default).settings(found_again=True) == Embedder(default).settings() == stored
    default.truncate_dim = 64
    with pytest.raises(InputError, match="default gave .*, and this module has the fingerprint .*; save it, and pass"):
        Embedder(default).settings(found_again=True)
    with pytest.raises(InputError, match="in memory.* gave an error .*; save it, and pass its directory"):
        Embedder(module).settings(found_again=True)
    loaded = wellread.load(directory)
    monkeypatch.chdir(Path(directory).parent)  # where the name of the directory leads to it
    assert Embedder(loaded).settings(found_again=True)["model"] == "module"


def test_a_stored_handle_that_finds_nothing_is_to_be_passed_again(module):
    with pytest.raises(InputError, match=r"fingerprint .* was stored as \(in memory\), .*; pass the module, or its"):
        Embedder(**Embedder(module).settings()).texts(TEXTS)


def test_another_module_than_the_stored_one_is_refused(directory, another):
    with pytest.raises(InputError, match="load the module of then, or embed the texts anew"):
        Embedder(directory, fingerprint=another.fingerprint).texts(TEXTS)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_without_its_library_names_the_command(adapter):
    package, install = PIP.get(adapter, (adapter, adapter))
    code = (
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {package!r} else find(name, *rest)\n"
        f"import wellread.integrations.{adapter}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    message = f"MissingExtra: this needs {package}, which is not installed; run: pip install {install}"
    assert done.stderr.splitlines()[-1].endswith(message)


def test_the_name_of_an_extra_is_quoted_for_a_shell():
    with pytest.raises(MissingExtra, match=r'run: pip install "no-such\[all\]"$'):
        require_package("no_such_package", install="no-such[all]")
