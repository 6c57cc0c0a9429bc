"""Haystack runs the embedders, stores them in a pipeline and makes them anew."""

import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

import wellread
from wellread.errors import InputError
from wellread.integrations.haystack import WellreadDocumentEmbedder, WellreadTextEmbedder


def test_queries_and_documents_have_the_prompts_of_the_module(module):
    query = WellreadTextEmbedder(module, precision="f32").run("the cat")["embedding"]
    assert query == module.encode_query("the cat", precision="f32").tolist()
    documents = [Document(content="the cat"), Document(content=None, meta={"title": "a man"})]
    embedder = WellreadDocumentEmbedder(module, precision="f32", meta_fields_to_embed=["title", "year"])
    found = embedder.run(documents)["documents"]
    expected = module.encode_document(["the cat", "a man\n"], precision="f32").tolist()
    assert [document.embedding for document in found] == expected
    assert [document.embedding for document in documents] == [None, None]
    assert [document.id for document in found] == [document.id for document in documents]
    assert embedder.run([])["documents"] == []


def test_a_pipeline_is_stored_and_searches_as_before():
    store = InMemoryDocumentStore()
    writer = Pipeline()
    writer.add_component("embedder", WellreadDocumentEmbedder("default", embedding_separator=" "))
    writer = Pipeline.loads(writer.dumps())
    documents = [Document(content="It rains a lot in Bergen."), Document(content="The cat sleeps on the sofa.")]
    store.write_documents(writer.run({"documents": documents})["embedder"]["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embedder", WellreadTextEmbedder("default"))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    stored = pipeline.dumps()
    assert wellread.load("default").fingerprint in stored
    assert "type: wellread.integrations.haystack.WellreadTextEmbedder" in stored
    found = Pipeline.loads(stored).run({"embedder": {"text": "where is the cat?"}})
    assert [document.content for document in found["retriever"]["documents"]] == ["The cat sleeps on the sofa."]


@pytest.mark.parametrize("kind", [WellreadTextEmbedder, WellreadDocumentEmbedder])
def test_another_module_than_the_stored_one_is_refused(kind, directory, another):
    stored = kind(directory, truncate_dim=5).to_dict()
    assert kind.from_dict(stored).to_dict() == stored
    kind.from_dict(stored).warm_up()
    another.save(directory, overwrite=True)
    with pytest.raises(InputError, match="load the module of then, or embed the texts anew"):
        kind.from_dict(stored).warm_up()


def test_a_module_that_no_handle_finds_again_is_not_stored(module):
    with pytest.raises(InputError, match="save it, and pass its directory"):
        WellreadTextEmbedder(module).to_dict()


def test_texts_and_documents_are_not_mixed_up():
    with pytest.raises(
        InputError, match="one str was expected; found list; pass documents to WellreadDocumentEmbedder"
    ):
        WellreadTextEmbedder().run([Document(content="a")])
    with pytest.raises(InputError, match="a list of Documents was expected; .*; pass a query to WellreadTextEmbedder"):
        WellreadDocumentEmbedder().run("a cat")
    with pytest.raises(InputError, match="query_prompt= is no option here"):
        WellreadDocumentEmbedder(query_prompt="a ")
