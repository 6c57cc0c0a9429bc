"""OpenAI's routes, by its own client and by plain requests."""

from __future__ import annotations

import base64

import numpy as np
import openai
import pytest

TEXTS = ["a man is playing the guitar .", "the cat sleeps", "paris"]


@pytest.fixture(scope="module")
def official(client):
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as official:
        yield official


def test_the_official_client_gets_the_vectors_of_encode(official, tiny):
    answer = official.embeddings.create(input=TEXTS, model="text-embedding-3-small")
    vectors = np.array([row.embedding for row in answer.data])
    np.testing.assert_allclose(vectors, tiny.encode(TEXTS), atol=1e-6)
    assert [row.index for row in answer.data] == [0, 1, 2]
    assert answer.model == "tiny"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 9 + 5 + 3


def test_dimensions_are_cut_and_scaled(official, tiny):
    answer = official.embeddings.create(input="the cat sleeps", model="text-embedding-3-small", dimensions=1)
    assert len(answer.data[0].embedding) == 1
    assert abs(answer.data[0].embedding[0]) == pytest.approx(1)
    floats = official.embeddings.create(input="the cat", model="tiny", dimensions=5, encoding_format="float")
    expected = tiny.encode("the cat", truncate_dim=5, normalize_embeddings=True)
    np.testing.assert_allclose(floats.data[0].embedding, expected, atol=1e-6)


def test_base64_is_little_endian_float32_and_floats_are_the_default(client, tiny):
    body = {"input": "the cat", "encoding_format": "base64"}
    row = client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(row), "<f4"), tiny.encode("the cat"), atol=1e-6)
    assert len(client.post("/v1/embeddings", json={"input": "the cat"}).json()["data"][0]["embedding"]) == 12


def test_a_model_is_taken_by_its_name(official, heads):
    answer = official.embeddings.create(input="the cat", model="classify", encoding_format="float")
    np.testing.assert_allclose(answer.data[0].embedding, heads["classify"].encode("the cat"), atol=1e-6)
    assert answer.model == "classify"


def test_models_are_listed(official, heads):
    assert [model.id for model in official.models.list()] == ["tiny", *heads]


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3]]])
def test_token_ids_are_refused_with_a_hint(official, ids):
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False") as refused:
        official.embeddings.create(input=ids, model="tiny")
    assert refused.value.type == "invalid_request_error"
    assert refused.value.code == "validation"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": []}, "found an empty list"),
        ({}, "input is missing; 1 at fault"),
        ({"input": None}, "input must be a text or a list of texts; found nothing"),
        ({"input": 3}, "found int"),
        ({"input": ["a", None]}, "found NoneType at 1"),
        ({"input": ["a", ["b"]]}, "found list at 1"),
        ({"input": "a", "dimensions": 13}, "dimensions must be 1 to 12, those of tiny; found 13"),
        ({"input": "a", "dimensions": 0}, "found 0"),
        ({"input": "a", "dimensions": "3"}, "dimensions must be a whole number or null; found a string"),
        (
            {"input": "a", "encoding_format": "int8"},
            "must be 'float' or 'base64' or null; found a string",
        ),
        ([], "the body must be an object; found a list"),
    ],
)
def test_what_is_wrong_is_said(client, body, message):
    answer = client.post("/v1/embeddings", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_fields_whose_names_no_header_holds_are_told_without_them(client):
    answer = client.post("/v1/embeddings", json={"input": "a", "x\r\nset-cookie: é\x7f": 1})
    assert (answer.status_code, answer.headers["x-ignored-fields"]) == (200, "x??set-cookie: ??")


def test_fields_that_are_unknown_are_told(client):
    answer = client.post("/v1/embeddings", json={"input": "a", "dimension": 3, "user": "x"})
    assert answer.status_code == 200
    assert answer.headers["x-ignored-fields"] == "dimension"
