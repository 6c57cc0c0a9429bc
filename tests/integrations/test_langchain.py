"""LangChain's own suite for embeddings, and what it does not ask."""

import pickle

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests.embeddings import EmbeddingsIntegrationTests
from langchain_tests.unit_tests.embeddings import EmbeddingsUnitTests

from wellread.errors import InputError
from wellread.integrations.langchain import WellreadEmbeddings


class Adapter:
    @property
    def embeddings_class(self):
        return WellreadEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": "default", "normalize_embeddings": True}


class TestUnit(Adapter, EmbeddingsUnitTests):
    """The suite for what needs no network."""


@pytest.mark.anyio  # runs its asynchronous tests
class TestIntegration(Adapter, EmbeddingsIntegrationTests):
    """The suite for models that compute."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_queries_and_documents_have_the_prompts_of_the_module(module):
    embeddings = WellreadEmbeddings(module, precision="f32")
    expected = module.encode_query("the cat", precision="f32")
    assert embeddings.embed_query("the cat") == expected.tolist()
    assert embeddings.embed_documents(["the cat"]) == module.encode_document(["the cat"], precision="f32").tolist()
    assert type(embeddings.embed_query("the cat")[0]) is float


def test_a_vector_store_finds_by_it():
    store = InMemoryVectorStore(WellreadEmbeddings("default"))
    store.add_documents([Document(page_content=text) for text in ("It rains a lot in Bergen.", "The cat sleeps.")])
    assert store.similarity_search("where is the cat?", k=1)[0].page_content == "The cat sleeps."


def test_it_pickles_by_its_handle(directory):
    embeddings = WellreadEmbeddings(directory)
    vector = embeddings.embed_query("the cat")
    pickled = pickle.dumps(embeddings)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).embed_query("the cat"), vector)


def test_what_is_no_option_is_refused():
    with pytest.raises(InputError, match="model_kwargs= is no option here"):
        WellreadEmbeddings("default", model_kwargs={"device": "cpu"})
