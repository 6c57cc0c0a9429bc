"""The routes of text-embeddings-inference, by huggingface_hub's client and by plain requests."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from huggingface_hub import InferenceClient
from served import serving

from wellread.serving import tei
from wellread.serving.settings import ServeSettings

TEXTS = ["a man is playing the guitar .", "the cat sleeps", "paris"]
LONG = "the cat sleeps " * 10  # 30 tokens, where 10 fit in beside the special ones


def post(client, path, status=200, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer


def test_the_hub_s_client_gets_the_vectors_of_encode(client, tiny):
    hub = InferenceClient(model=str(client.base_url))
    np.testing.assert_allclose(hub.feature_extraction("the cat sleeps"), [tiny.encode("the cat sleeps")], atol=1e-6)
    vectors = hub.feature_extraction("the cat", prompt_name="query", dimensions=5, normalize=True, truncate=True)
    expected = tiny.encode("the cat", prompt_name="query", truncate_dim=5, normalize_embeddings=True)
    np.testing.assert_allclose(vectors, [expected], atol=1e-6)


def test_the_hub_s_client_gets_labels_and_entities_of_modules_that_have_them(heads):
    with serving({"classify": heads["classify"]}) as client:
        for path in ("", "/predict"):
            best = InferenceClient(model=f"{client.base_url}{path}").text_classification("the cat")
            assert best.label == heads["classify"].predict("the cat").label  # one text's answer is a list, as TEI's is
        vectors = InferenceClient(model=f"{client.base_url}/embed").feature_extraction("the cat", normalize=False)
        np.testing.assert_allclose(vectors, [heads["classify"].encode("the cat")], atol=1e-6)
    with serving({"tag": heads["tag"]}) as client:
        found = InferenceClient(model=str(client.base_url)).token_classification(TEXTS[0])
        expected = heads["tag"].predict(TEXTS[0]).entities
        assert [(one.word, one.entity_group, one.start, one.end) for one in found] == [
            (entity.text, entity.entity, entity.start, entity.end) for entity in expected
        ]


def test_the_hub_s_client_fills_masks(client, tiny):
    hub = InferenceClient(model=f"{client.base_url}/fill-mask")
    for arguments in ({}, {"top_k": 2}):
        (guesses,) = hub.fill_mask("the [MASK] sleeps", **arguments)
        expected = tiny.fill_mask("the [MASK] sleeps", **arguments)[0]
        assert [(guess.token_str, guess.sequence) for guess in guesses] == [
            (guess.token_str, guess.sequence) for guess in expected
        ]
    body = {"inputs": "the [MASK] sleeps", "parameters": {"targets": ["cat"]}}
    assert client.post("/fill-mask", json=body).headers["x-ignored-fields"] == "parameters.targets"


def test_embed_scales_to_length_1_where_it_is_not_told_otherwise(client, heads):
    scaled = post(client, "/embed", inputs=TEXTS, model="classify").json()
    plain = post(client, "/embed", inputs=TEXTS, model="classify", normalize=False).json()
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(plain, heads["classify"].encode(TEXTS), atol=1e-6)


def test_one_text_is_a_list_of_one_vector_with_its_prompt_and_dimensions(client, tiny):
    vectors = post(client, "/embed", inputs="the cat", prompt_name="query", dimensions=5).json()
    expected = tiny.encode("the cat", prompt_name="query", truncate_dim=5, normalize_embeddings=True)
    np.testing.assert_allclose(vectors, [expected], atol=1e-6)


def test_what_was_cut_is_told_and_can_be_refused(client, tiny):
    answer = post(client, "/embed", inputs=[LONG, "the cat"])
    expected, lost = tiny.encode_counted([LONG])
    np.testing.assert_allclose(answer.json()[0], expected[0], atol=1e-6)
    assert answer.headers["x-truncated-texts"] == "1"
    assert int(answer.headers["x-truncated-tokens"]) == lost[0] == 10
    refused = post(client, "/embed", status=422, inputs=["the cat", LONG], truncate=False).json()
    assert refused["error_type"] == "validation"
    assert "of at most 12 tokens; text 1 has 10 more; shorten them" in refused["error"]
    both = post(client, "/embed", status=422, inputs=[LONG, LONG], truncate=False).json()
    assert "text 0 has 10 more and 1 others are too long" in both["error"]
    assert "x-truncated-texts" not in post(client, "/embed", inputs="the cat", truncate=False).headers
    left = post(client, "/embed", status=422, inputs="the cat", truncation_direction="left").json()
    assert "found truncation_direction: left" in left["error"]


def test_what_it_took_is_in_the_headers(client):
    headers = post(client, "/embed", inputs=TEXTS).headers
    assert headers["x-compute-tokens"] == "17"
    for name in ("total", "tokenization", "queue", "inference"):
        assert int(headers[f"x-{name}-time"]) >= 0


def test_embed_all_gives_every_token(client, tiny):
    states = post(client, "/embed_all", inputs=TEXTS).json()
    assert [len(rows) for rows in states] == [9, 5, 3]
    for rows, expected in zip(states, tiny.encode(TEXTS, output_value="token_embeddings"), strict=True):
        np.testing.assert_allclose(rows, expected, atol=1e-5)


@pytest.mark.parametrize("task", ["classify", "multilabel"])
def test_predict_gives_labels_the_best_first(client, heads, task):
    answers = post(client, "/predict", inputs=TEXTS, model=task).json()
    for answer, expected in zip(answers, heads[task].predict(TEXTS), strict=True):
        assert {row["label"]: pytest.approx(row["score"], abs=1e-6) for row in answer} == expected.scores
        assert [row["score"] for row in answer] == sorted((row["score"] for row in answer), reverse=True)


def test_predict_of_one_text_and_raw_scores(client, heads):
    (first, *_), raw = (
        post(client, "/predict", inputs="paris", model="classify", raw_scores=flag).json() for flag in (False, True)
    )
    assert first["label"] == raw[0]["label"] == heads["classify"].predict("paris").label
    scores = np.exp([row["score"] for row in raw])
    assert scores[0] / scores.sum() == pytest.approx(first["score"], abs=1e-6)


def test_predict_of_pairs(client, heads):
    one = post(client, "/predict", inputs=["the cat", "paris"], model="pair").json()
    many = post(client, "/predict", inputs=[["the cat", "paris"], ["a", "b"]], model="pair").json()
    expected = heads["pair"].predict(["the cat", "a"], ["paris", "b"])
    assert one[0]["label"] == many[0][0]["label"] == expected[0].label
    assert many[1][0]["score"] == pytest.approx(expected[1].score, abs=1e-6)
    assert post(client, "/predict", inputs=[["paris"]], model="classify").json()[0][0]["label"]


def test_predict_gives_the_entities_of_a_module_that_tags(client, heads):
    answers = post(client, "/predict", inputs=TEXTS, model="tag").json()
    expected = heads["tag"].predict(TEXTS)
    assert [[row["text"] for row in answer] for answer in answers] == [
        [entity.text for entity in tagged.entities] for tagged in expected
    ]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/predict", {"inputs": "a"}, "this module has no head of a task"),
        ("/predict", {"inputs": "a", "model": "pair"}, "which takes two texts a row; found one"),
        ("/predict", {"inputs": "a", "model": "tag", "raw_scores": True}, "a module for tag gives none"),
        ("/predict", {"inputs": 3, "model": "tag"}, "inputs must be a text, a pair or a list of these; found int"),
        ("/predict", {"inputs": [["a", "b"], "c"], "model": "classify"}, "found rows of [1, 2]"),
        ("/predict", {"inputs": [["a"], [3]], "model": "classify"}, "inputs must be texts; found int at 1"),
        ("/tokenize", {"inputs": [1, 2]}, "check_embedding_ctx_length=False"),
        ("/embed", {"inputs": "a", "prompt_name": "qery"}, "the prompt 'qery' was asked for"),
        ("/embed", {"inputs": "a", "normalize": "yes"}, "normalize must be true or false; found a string"),
        ("/similarity", {"inputs": {"source_sentence": "a"}}, "inputs.sentences is missing"),
        ("/decode", {"ids": ["a"]}, "ids must be a list of whole numbers"),
        ("/decode", {"ids": [[1], 2]}, "ids must be a list of whole numbers"),
        ("/decode", {"ids": [99]}, "99"),
        ("/rerank", {"query": "a"}, "found neither"),
        ("/rerank", {"query": "a", "texts": ["b"], "documents": ["b"]}, "found both"),
        ("/rerank", {"query": "a", "documents": "b"}, "documents must be a list of texts; found str"),
        ("/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, "a whole number of at least 1 or null; found 0"),
        ("/rerank", {"query": "a", "texts": ["b"], "model": "classify"}, None),
        ("/fill-mask", {"inputs": "the cat"}, "a text with [MASK] was asked for"),
        ("/fill-mask", {"inputs": "[MASK]", "model": "tag"}, "this module has no masked-language-model head"),
        ("/fill-mask", {"inputs": "[MASK]", "top_k": 0}, "top_k must be a whole number of 1 to 1000; found 0"),
        ("/fill-mask", {"inputs": "[MASK] " * 50}, "41"),
    ],
)
def test_what_is_wrong_is_said(client, path, body, message):
    if message is None:  # any module ranks by its vectors where its head does not
        assert post(client, path, **body).json()
        return
    answer = post(client, path, status=422, **body).json()
    assert message in answer["error"]
    assert answer["error_type"] == "validation"


def test_empty_lists_are_400(client):
    for path in ("/embed", "/embed_all", "/predict", "/tokenize"):
        answer = post(client, path, status=400, inputs=[]).json()
        assert answer["error_type"] == "empty"
        assert "found an empty list" in answer["error"]


def test_similarity(client, tiny):
    expected = tiny.similarity(tiny.encode(["the cat"]), tiny.encode(TEXTS))[0]
    for path in ("/similarity", ""):
        hub = InferenceClient(model=f"{client.base_url}{path}")
        np.testing.assert_allclose(hub.sentence_similarity("the cat", other_sentences=TEXTS), expected, atol=1e-6)
    body = {"source_sentence": "the cat", "sentences": [LONG]}
    answer = post(client, "/similarity", status=422, inputs=body, parameters={"truncate": False}).json()
    assert "whole texts were asked for" in answer["error"]


def test_the_root_does_what_the_module_is_for(client, heads):
    label = post(client, "/", inputs="paris", model="classify").json()[0]["label"]
    assert label == heads["classify"].predict("paris").label
    assert post(client, "/", query="a", texts=["b"]).json()[0]["index"] == 0
    asked = {"inputs": TEXTS, "model": "similarity"}
    assert post(client, "/", **asked).json() == post(client, "/embed", **asked).json()


def test_tokens_and_their_places_come_back(client, tiny):
    rows = post(client, "/tokenize", inputs=["The cat sleeps", "zzz"]).json()
    assert [token["text"] for token in rows[0]] == ["[CLS]", "The", "cat", "sleeps", "[SEP]"]
    assert [(token["start"], token["stop"]) for token in rows[0]] == [
        (None, None),
        (0, 3),
        (4, 7),
        (8, 14),
        (None, None),
    ]
    assert [token["special"] for token in rows[0]] == [True, False, False, False, True]
    plain = post(client, "/tokenize", inputs="The cat", add_special_tokens=False).json()[0]
    assert [token["id"] for token in plain] == tiny.tokenize(["the cat"])[0].tolist()
    ids = [token["id"] for token in rows[0]]
    assert post(client, "/decode", ids=ids).json() == ["the cat sleeps"]
    assert post(client, "/decode", ids=[ids], skip_special_tokens=False).json() == ["[CLS] the cat sleeps [SEP]"]


def test_long_texts_are_taken_apart_and_many_ids_decoded_in_a_thread(client, monkeypatch):
    threads, tokens_of = [], tei._tokens_of

    def watched(*arguments, **options):
        threads.append(threading.current_thread().name)
        return tokens_of(*arguments, **options)

    monkeypatch.setattr(tei, "_tokens_of", watched)
    post(client, "/tokenize", inputs="the cat")
    (tokens,) = post(client, "/tokenize", inputs="the cat " * 11_000, add_special_tokens=False).json()
    assert [name.startswith("wellread-read") for name in threads] == [False, True]
    ids = [token["id"] for token in tokens]
    assert post(client, "/decode", ids=ids).json() == [("the cat " * 11_000).strip()]


@pytest.mark.parametrize(
    ("ids", "settings", "message"),
    [
        ([[5], [6], [7], [8]], {"max_texts": 3}, "at most 3 texts a request were asked for; found 4"),
        ([5] * 9, {"max_text_chars": 8}, "texts of at most 8 ids were asked for; found 9 at 0"),
        ([5] * 9, {"max_numbers": 8}, "an answer of at most 8 numbers was asked for; this one has 9"),
    ],
)
def test_ids_over_the_caps_are_not_decoded(tiny, ids, settings, message):
    with serving({"tiny": tiny}, **settings) as client:
        assert message in post(client, "/decode", status=422, ids=ids).json()["error"]


def test_guesses_over_the_cap_are_refused(tiny):
    with serving({"tiny": tiny}, max_numbers=400) as client:
        assert len(post(client, "/fill-mask", inputs="the [MASK] is [MASK]", top_k=3).json()) == 2
        refused = post(client, "/fill-mask", status=422, inputs=["the [MASK] is [MASK]"] * 9, top_k=3).json()["error"]
        assert "an answer of at most 400 numbers was asked for" in refused
        assert "send fewer texts, or a smaller top_k" in refused


def test_the_windows_of_a_context_are_counted_and_none_of_it_is_cut(heads):
    context = "the man is playing the guitar . " * 20
    with serving({"answer": heads["answer"]}) as client:
        answer = post(client, "/predict", inputs=[["who plays", context]], truncate=False)
        assert int(answer.headers["x-compute-tokens"]) > 7 * 20
        assert "x-truncated-texts" not in answer.headers
        assert answer.json()[0][0]["text"] in context
        cut = post(client, "/predict", inputs=[["who plays " * 20, context]])
        assert cut.headers["x-truncated-texts"] == "1"
        whole = post(client, "/predict", status=422, inputs=[["who plays " * 20, context]], truncate=False)
        assert "whole texts were asked for" in whole.json()["error"]


def test_info_and_health_and_metrics(client, tiny):
    info = client.get("/info").json()
    assert info["max_input_length"] == 12
    assert info["max_concurrent_requests"] == ServeSettings().max_requests
    assert info["model_dtype"] == "float64"
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert info["fingerprint"] == tiny.fingerprint
    assert info["models"][:2] == ["tiny", "classify"]
    assert client.get("/health").status_code == client.get("/ping").status_code == 200
    before = client.get("/metrics").text
    post(client, "/embed", inputs="the cat")
    post(client, "/embed", status=422, inputs=3)
    client.get("/info")
    after = client.get("/metrics").text
    name = "te_request_queue_duration_count"
    counts = [re.search(rf"^{name} (\S+)", page, re.MULTILINE)[1] for page in (before, after)]
    assert float(counts[1]) - float(counts[0]) == 1  # of what was computed, and not of what GET asks
    for name in ("count", "success", "failure"):
        value, earlier = (
            float(next(line.split()[1] for line in page.splitlines() if line.startswith(f"te_request_{name} ")))
            for page in (after, before)
        )
        assert value - earlier == {"count": 2}.get(name, 1)
    for name in ("te_request_duration", "te_request_tokenization_duration", "te_request_queue_duration",
                 "te_request_inference_duration", "te_request_input_length", "te_batch_next_size",
                 "te_batch_next_tokens", "te_queue_size"):  # fmt: skip
        assert f"# TYPE {name} " in after


def test_rerank_by_vectors(client, tiny):
    rows = post(client, "/rerank", query="the cat", texts=TEXTS, return_text=True).json()
    expected = tiny.rank("the cat", TEXTS, return_documents=True)
    assert [row["index"] for row in rows] == [hit["corpus_id"] for hit in expected]
    assert [row["text"] for row in rows] == [hit["text"] for hit in expected]
    np.testing.assert_allclose([row["score"] for row in rows], [hit["score"] for hit in expected], atol=1e-6)


def test_rerank_by_a_cross_encoder(client, heads):
    raw = post(client, "/rerank", query="the cat", texts=TEXTS, raw_scores=True, model="rank").json()
    rows = post(client, "/rerank", query="the cat", texts=TEXTS, model="rank").json()
    expected = heads["rank"].rank("the cat", TEXTS)
    assert [row["index"] for row in rows] == [row["index"] for row in raw] == [hit["corpus_id"] for hit in expected]
    np.testing.assert_allclose([row["score"] for row in raw], [hit["score"] for hit in expected], atol=1e-6)
    np.testing.assert_allclose([row["score"] for row in rows], 1 / (1 + np.exp([-row["score"] for row in raw])))


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_rerank_as_cohere_and_jina(client, path):
    documents = [TEXTS[0], {"text": TEXTS[1]}, TEXTS[2]]
    answer = post(client, path, query="the cat", documents=documents, top_n=2, return_documents=True, model="x").json()
    assert len(answer["results"]) == 2
    first = answer["results"][0]
    assert first["document"]["text"] == TEXTS[first["index"]]
    assert first["relevance_score"] >= answer["results"][1]["relevance_score"]
    assert answer["model"] == "tiny"
    assert answer["usage"]["total_tokens"] > 0
    assert "document" not in post(client, path, query="the cat", documents=TEXTS).json()["results"][0]


def test_errors_of_rerank_are_those_of_cohere_and_jina(client):
    answer = post(client, "/v1/rerank", status=422, query="a", documents=3).json()
    assert answer["message"] == answer["detail"]
    assert "documents must be a list" in answer["message"]


def test_masks_are_filled(client, tiny):
    rows = post(client, "/fill-mask", inputs="the [MASK] is [MASK]", top_k=3).json()
    expected = tiny.fill_mask("the [MASK] is [MASK]", top_k=3)
    assert [[guess["token_str"] for guess in mask] for mask in rows] == [
        [guess.token_str for guess in mask] for mask in expected
    ]
    assert post(client, "/fill-mask", inputs=["the [MASK] is [MASK]"], top_k=3).json() == [rows]


def test_ids_of_the_module_itself_are_taken_as_tokenize_gives_them(client, tiny):
    expected = tiny.encode(TEXTS)
    for special in (True, False):
        tokens = post(client, "/tokenize", inputs=TEXTS, add_special_tokens=special).json()
        rows = [[token["id"] for token in row] for row in tokens]
        np.testing.assert_allclose(post(client, "/embed", inputs=rows).json(), expected, atol=1e-6)
        np.testing.assert_allclose(post(client, "/embed", inputs=rows[1]).json(), expected[1:2], atol=1e-6)
        assert [len(states) for states in post(client, "/embed_all", inputs=rows).json()] == [9, 5, 3]
    cut = post(client, "/embed", inputs=[[5] * 30])
    assert cut.headers["x-truncated-tokens"] == "20"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": [[1, 99]]}, "ids of tiny were asked for, 0 to 98; found 99; send what /tokenize says, or texts"),
        ({"inputs": [-1, 5]}, "found -1"),
        ({"inputs": [[5], []]}, "inputs must be texts, or rows of ids; found others, or empty rows"),
        ({"inputs": [[5], "a"]}, "inputs must be texts, or rows of ids; found others"),
        ({"inputs": [[5, True]]}, "found others"),
        ({"inputs": ["a", [5]]}, "inputs must be texts; found list at 1"),
        ({"inputs": [5], "prompt_name": "query"}, "a prompt before ids was asked for"),
        ({"inputs": [[5]] * 2049}, "at most 2048 texts a request were asked for; found 2049"),
        ({"inputs": [[5] * 30], "truncate": False}, "text 0 has 20 more"),
    ],
)
def test_ids_of_others_are_refused(client, body, message):
    assert message in post(client, "/embed", status=422, **body).json()["error"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/tokenize", "check_embedding_ctx_length=False"),
        ("/fill-mask", "check_embedding_ctx_length=False"),
        ("/predict", "inputs must have one text a row"),
    ],
)
def test_ids_are_refused_where_tei_takes_none(client, path, message):
    assert message in post(client, path, status=422, inputs=[5, 6], model="classify").json()["error"]
