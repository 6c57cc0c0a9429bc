"""TensorFlow Serving's routes and Weaviate's."""

from __future__ import annotations

import base64

import numpy as np
import pytest

TEXTS = ["a man is playing the guitar .", "the cat sleeps"]


def post(client, path, status=200, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_strings_in_rows_give_the_outputs_of_tf_hub(client, tiny):
    rows = post(client, "/v1/models/tiny:predict", instances=TEXTS)["predictions"]
    expected = tiny(TEXTS)
    for number, row in enumerate(rows):
        assert list(row) == ["pooled_output", "sequence_output", "encoder_outputs"]
        np.testing.assert_allclose(row["pooled_output"], expected.pooled_output[number], atol=1e-5)
        np.testing.assert_allclose(row["sequence_output"], expected.sequence_output[number], atol=1e-5)
        for layer, values in zip(row["encoder_outputs"], expected.encoder_outputs, strict=True):
            np.testing.assert_allclose(layer, values[number], atol=1e-5)


def test_columns_and_a_single_output_that_drops_its_name(client, tiny):
    named = {"text": TEXTS}
    outputs = post(client, "/v1/models/tiny/versions/1:predict", inputs=named)["outputs"]
    np.testing.assert_allclose(outputs["encoder_outputs"], np.stack(tiny(TEXTS).encoder_outputs), atol=1e-5)
    pooled = tiny(TEXTS).pooled_output
    for body, key in (
        ({"inputs": TEXTS}, "outputs"),
        ({"instances": [{"text": text} for text in TEXTS]}, "predictions"),
    ):
        answer = post(client, "/v1/models/tiny:predict", signature_name="pooled_output", **body)
        np.testing.assert_allclose(answer[key], pooled, atol=1e-5)


def test_texts_in_base64_are_texts(client, heads):
    asked = {"signature_name": "pooled_output"}
    given = {"b64": base64.b64encode("the cät".encode()).decode()}
    for form in (
        {"instances": [given]},
        {"instances": [{"text": given}]},
        {"inputs": given},
        {"inputs": [given]},
        {"inputs": {"text": [given]}},
    ):
        ((key, values),) = form.items()
        assert values
        plain = post(client, "/v1/models/tiny:predict", instances=["the cät"], **asked)["predictions"]
        answer = post(client, "/v1/models/tiny:predict", **form, **asked)
        assert answer["predictions" if key == "instances" else "outputs"] == plain
    labels = [post(client, "/v1/models/classify:classify", examples=[{"text": text}]) for text in (given, "the cät")]
    assert labels[0] == labels[1]
    for wrong in ("!", "/w==", 5):
        error = post(client, "/v1/models/tiny:predict", status=400, instances=[{"b64": wrong}])["error"]
        assert "b64 must be the base64 of a text in UTF-8" in error


def test_packed_inputs_and_mlm_logits(client, tiny):
    packed = tiny.bert_pack_inputs([tiny.tokenize(TEXTS)], seq_length=11)
    inputs = {name: array.tolist() for name, array in packed.items()}
    outputs = post(client, "/v1/models/tiny:predict", inputs=inputs, signature_name="serving_default")["outputs"]
    np.testing.assert_allclose(outputs["sequence_output"], tiny(dict(packed)).sequence_output, atol=1e-5)
    positions = np.array([[1, 2], [3, 1]])
    inputs["masked_lm_positions"] = positions.tolist()
    rows = [{name: column[number] for name, column in inputs.items()} for number in range(2)]
    logits = post(client, "/v1/models/tiny:predict", instances=rows, signature_name="mlm_logits")["predictions"]
    expected = tiny.mlm({**packed, "masked_lm_positions": positions}).mlm_logits
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert "mlm_logits" in post(client, "/v1/models/tiny:predict", inputs=inputs)["outputs"]


def test_classify(client, heads):
    expected = heads["classify"].predict(TEXTS)
    examples = [{"text": text} for text in TEXTS]
    rows = post(client, "/v1/models/classify:classify", examples=examples)["result"]
    assert [row[0][0] for row in rows] == [each.label for each in expected]
    assert rows[0][0][1] == pytest.approx(expected[0].score, abs=1e-6)
    pairs = post(client, "/v1/models/pair:classify", examples=[{"a": "the cat", "b": "paris"}])["result"]
    assert pairs[0][0][0] == heads["pair"].predict(["the cat"], ["paris"])[0].label


def test_status_is_that_of_both_protocols_and_metadata_describes_signatures(client):
    for path in ("/v1/models/tiny", "/v1/models/tiny/versions/1"):
        status = client.get(path).json()
        assert status["id"] == "tiny"
        assert status["model_version_status"] == [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    metadata = client.get("/v1/models/tiny/metadata").json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    sizes = [dim["size"] for dim in signature["outputs"]["pooled_output"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "12"]
    assert metadata["model_spec"]["name"] == "tiny"


PACKED = {"input_word_ids": [[2, 3]], "input_mask": [[1, 1]], "input_type_ids": [[0, 0]]}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("other:predict", {"instances": ["a"]}, 404, "the module 'other' was asked for; this server has tiny,"),
        ("tiny/versions/2:predict", {"instances": ["a"]}, 404, "version of tiny '2' was asked for"),
        ("tiny:predict", {}, 400, "found neither"),
        ("tiny:predict", {"instances": ["a"], "inputs": ["a"]}, 400, "found both"),
        ("tiny:predict", {"instances": []}, 400, "instances must be a list of texts or of rows of inputs; found none"),
        ("tiny:predict", {"instances": [{"a": "b"}, {"c": "d"}]}, 400, "found others than a"),
        ("tiny:predict", {"inputs": {"a": ["b"], "c": ["d"]}}, 400, "found a, c"),
        ("tiny:predict", {"instances": ["a"], "signature_name": "x"}, 400, "the signature 'x' was asked for"),
        ("tiny:predict", {"instances": ["a"], "signature_name": "mlm_logits"}, 400, "found no masked_lm_positions"),
        ("tiny:predict", {"inputs": {"input_word_ids": [[1, 2], [3]]}}, 400, "rows of one length"),
        ("tiny:predict", {"inputs": {"input_word_ids": [[1, 2]]}}, 400, "add input_mask"),
        ("tiny:predict", {"inputs": {**PACKED, "input_word_ids": [[2, 99]]}}, 400, "must lie in 0 to 98"),
        ("tiny:predict", {"inputs": {**PACKED, "input_word_ids": [[2, 3.5]]}}, 400, "must be whole numbers"),
        ("tag:predict", {"inputs": {**PACKED, "masked_lm_positions": [[0]]}}, 400, "no masked-language-model head"),
        ("tiny:classify", {"examples": ["a"]}, 400, "this module has no head of a task"),
        ("classify:classify", {"examples": []}, 400, "an example has one text, or two; found none"),
        ("tag:classify", {"examples": ["the cat sleeps"] * 8}, 400, "labels of whole texts were asked for"),
    ],
)
def test_what_is_wrong_is_said(client, path, body, status, message):
    answer = post(client, f"/v1/models/{path}", status=status, **body)
    assert list(answer) == ["error"]
    assert message in answer["error"]


def test_rows_over_the_caps(tiny):
    from served import serving

    with serving({"tiny": tiny}, max_texts=1, max_numbers=100) as client:
        inputs = {name: rows * 2 for name, rows in PACKED.items()}
        answer = post(client, "/v1/models/tiny:predict", status=400, inputs=inputs)
        assert "at most 1 rows a request were asked for; found 2" in answer["error"]
        answer = post(client, "/v1/models/tiny:predict", status=400, inputs=PACKED)
        assert "an answer of at most 100 numbers was asked for; this one has 108" in answer["error"]
        assert post(client, "/v1/models/tiny:predict", inputs=PACKED, signature_name="pooled_output")
        longer = {name: [rows[0] * 5] for name, rows in PACKED.items()}
        assert post(client, "/v1/models/tiny:predict", inputs=longer, signature_name="sentence_embedding")


def test_weaviate(client, tiny):
    answer = post(client, "/vectors/", text="the cat", config={"pooling_strategy": "masked_mean"})
    assert answer["text"] == "the cat"
    assert answer["dim"] == 12
    np.testing.assert_allclose(answer["vector"], tiny.encode("the cat"), atol=1e-6)
    query = post(client, "/vectors", text="cat", config={"task_type": "query"})["vector"]
    np.testing.assert_allclose(query, tiny.encode_query("cat"), atol=1e-6)
    assert client.get("/meta").json()["model"]
    assert client.get("/.well-known/ready").status_code == client.get("/.well-known/live").status_code == 204
    wrong = post(client, "/vectors", status=422, text="cat", config={"task_type": "x"})
    assert "task_type 'x' was asked for; there are query, passage" in wrong["error"][0]["message"]
    for task in (["query"], {}):
        assert "was asked for" in str(post(client, "/vectors", status=422, text="cat", config={"task_type": task}))
