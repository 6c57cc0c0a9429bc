"""Chroma embeds by it, stores it with a collection and makes it anew. `make neighbours` installs Chroma."""

import numpy as np
import pytest

chromadb = pytest.importorskip("chromadb", reason="make neighbours installs it")

from wellread.errors import InputError  # noqa: E402
from wellread.integrations.chroma import WellreadEmbeddingFunction  # noqa: E402


@pytest.fixture
def client(tmp_path):
    settings = chromadb.Settings(anonymized_telemetry=False)
    return chromadb.PersistentClient(path=str(tmp_path / "chroma"), settings=settings)


def test_queries_and_documents_have_the_prompts_of_the_module(module):
    function = WellreadEmbeddingFunction(module, precision="f32")
    np.testing.assert_array_equal(function(["the cat"]), module.encode_document(["the cat"], precision="f32"))
    np.testing.assert_array_equal(function.embed_query(["the cat"]), module.encode_query(["the cat"], precision="f32"))


def test_a_collection_is_opened_without_the_function_and_finds(client, directory, module, another):
    function = WellreadEmbeddingFunction(directory, query_prompt="a cat ", truncate_dim=5)
    collection = client.create_collection("texts", embedding_function=function)
    assert collection.configuration["hnsw"]["space"] == "cosine"
    collection.add(ids=["0", "1"], documents=["the flute", "a cat sleeps"])
    opened = client.get_collection("texts")
    stored = {"model": directory, "query_prompt": "a cat ", "truncate_dim": 5, "fingerprint": module.fingerprint}
    assert opened.configuration["embedding_function"].get_config() == stored
    assert opened.query(query_texts=["a cat sleeps"], n_results=1)["documents"] == [["a cat sleeps"]]
    another.save(directory, overwrite=True)
    with pytest.raises(InputError, match="whose vectors are stored; found"):
        client.get_collection("texts").query(query_texts=["a cat sleeps"])


def test_a_collection_keeps_its_module_and_its_options(directory, module, another, tmp_path):
    function = WellreadEmbeddingFunction(directory, truncate_dim=5)
    module.save(tmp_path / "moved")
    moved = WellreadEmbeddingFunction(str(tmp_path / "moved"), truncate_dim=5, batch_size=3)
    function.validate_config_update(function.get_config(), moved.get_config())
    another.save(tmp_path / "other")
    other = WellreadEmbeddingFunction(str(tmp_path / "other"), truncate_dim=7)
    message = "keeps the function of its vectors; found another fingerprint, truncate_dim; make a new collection"
    with pytest.raises(InputError, match=message):
        function.validate_config_update(function.get_config(), other.get_config())


def test_a_module_in_memory_is_to_be_passed_again(client, module):
    collection = client.create_collection("texts", embedding_function=WellreadEmbeddingFunction(module))
    collection.add(ids=["0"], documents=["the flute"])
    message = rf"module of fingerprint {module.fingerprint} was stored as \(in memory\), which finds none here .*; pass"
    with pytest.raises(InputError, match=message):
        client.get_collection("texts").query(query_texts=["a cat"])
    opened = client.get_collection("texts", embedding_function=WellreadEmbeddingFunction(module))
    assert opened.query(query_texts=["a cat"])["ids"] == [["0"]]
