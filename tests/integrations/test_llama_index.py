"""LlamaIndex calls it, an index searches with it, and its cache knows the module."""

import asyncio
import pickle

import numpy as np
import pytest
from llama_index.core.indices.vector_store import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode
from pydantic import ValidationError

from wellread.errors import InputError
from wellread.integrations.llama_index import WellreadEmbedding

TEXTS = ["It rains a lot in Bergen.", "The cat sleeps on the sofa."]


def test_queries_and_texts_have_the_prompts_of_the_module(module):
    model = WellreadEmbedding(module, precision="f32", truncate_dim=5)
    expected = module.encode_query("the cat", precision="f32", truncate_dim=5).tolist()
    assert model.get_query_embedding("the cat") == expected
    documents = module.encode_document(["the cat", "a man"], precision="f32", truncate_dim=5).tolist()
    assert model.get_text_embedding_batch(["the cat", "a man"]) == documents
    np.testing.assert_allclose(model.get_text_embedding("a man"), documents[1], atol=1e-5)
    assert type(expected[0]) is float


def test_asynchronous_calls_give_the_same(module):
    model = WellreadEmbedding(module)

    async def calls():
        query = await model.aget_query_embedding("the cat")
        return query, await model.aget_text_embedding("a man"), await model.aget_text_embedding_batch(["a man", "cat"])

    query, text, texts = asyncio.run(calls())
    assert query == model.get_query_embedding("the cat")
    assert text == model.get_text_embedding("a man")
    assert texts == model.get_text_embedding_batch(["a man", "cat"])


def test_an_index_finds_by_it():
    index = VectorStoreIndex([TextNode(text=text) for text in TEXTS], embed_model=WellreadEmbedding("default"))
    found = index.as_retriever(similarity_top_k=1).retrieve("where is the cat?")
    assert [each.node.get_content() for each in found] == TEXTS[1:]


def test_a_pipeline_with_a_cache_computes_anew_for_another_module(directory, another):
    nodes = [TextNode(text="the cat", id_="0")]
    pipeline = IngestionPipeline(transformations=[WellreadEmbedding(directory)])
    first = pipeline.run(nodes=nodes)[0].embedding
    another.save(directory, overwrite=True)
    pipeline.transformations = [WellreadEmbedding(directory)]
    second = pipeline.run(nodes=nodes)[0].embedding
    assert second == another.encode_document(["the cat"])[0].tolist() != first


def test_it_is_made_anew_of_what_it_stores(directory, module, another):
    model = WellreadEmbedding(directory, query_prompt="of ", normalize_embeddings=True, embed_batch_size=7)
    stored = model.to_dict()
    expected = {"class_name": "WellreadEmbedding", "model": directory, "fingerprint": module.fingerprint}
    assert expected.items() <= stored.items()
    again = WellreadEmbedding.from_dict(stored)
    assert again.embed_batch_size == 7
    assert again.get_query_embedding("the cat") == model.get_query_embedding("the cat")
    another.save(directory, overwrite=True)
    with pytest.raises(InputError, match="whose vectors are stored; found"):
        WellreadEmbedding.from_dict(stored).get_query_embedding("the cat")


def test_it_pickles_by_its_handle(directory):
    model = WellreadEmbedding(directory, truncate_dim=5)
    pickled = pickle.dumps(model)
    assert len(pickled) < 3000
    assert pickle.loads(pickled).get_query_embedding("the cat") == model.get_query_embedding("the cat")


def test_what_is_no_option_is_refused():
    with pytest.raises(ValidationError, match="normalise"):
        WellreadEmbedding("default", normalise=True)
