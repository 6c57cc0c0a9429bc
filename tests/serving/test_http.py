"""What stands before the routes: wrong, large and slow bodies, keys, unknown routes, full queues, and the end."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI
from served import serving

from wellread.errors import InputError, ServeError, WeightsError
from wellread.serving.app import app
from wellread.serving.faults import Unready
from wellread.serving.lanes import Vectors
from wellread.serving.modules import Modules
from wellread.serving.server import listen
from wellread.serving.settings import ServeSettings


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON was expected in UTF-8; found a fault: Input is a zero-length, empty document"),
        (b"{", "unexpected end of data"),
        (b'{"inputs": "\\ud800"}', "surrogate"),
        (b'{"inputs": "\xff"}', "not valid UTF-8"),
        (b'{"inputs": ' + b"[" * 10_000, "depth limit"),
        (b'{"inputs": "a"} x', "unexpected content after document"),
        (b'{"inputs": NaN}', "unexpected character"),
        (b'{"inputs": ["a", -Infinity]}', "no digit after sign"),
        (b'{"inputs": 1e999}', "infinity"),
        (b'{"inputs": [' + b"9" * 4000 + b"]}", "infinity"),
    ],
)
def test_what_is_no_json_is_400(client, body, message):
    answer = client.post("/embed", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_the_content_type_does_not_matter(client):
    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        answer = client.post("/embed", content=b'{"inputs": "a"}', headers={"content-type": kind})
        assert answer.status_code == 200


def test_numbers_beyond_64_bits_are_no_texts(client):
    answer = client.post("/embed", content=b'{"inputs": [' + b"9" * 40 + b"]}")
    assert answer.status_code == 422
    assert "inputs must be" in answer.json()["error"]


def test_unknown_routes_and_methods(client):
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"] == "/nothing was asked for; this server has no such route; see /openapi.json"
    assert client.get("/v1/nothing").json()["error"]["type"] == "not_found_error"
    answer = client.get("/embed")
    assert answer.status_code == 405
    assert answer.json()["error"].startswith("GET /embed was asked for; it takes another method")


def test_the_openapi_page_describes_the_bodies(client):
    page = client.get("/openapi.json").json()
    schema = page["paths"]["/v1/embeddings"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["input"]["anyOf"][1] == {"type": "array", "items": {"type": "string"}}
    top_k = page["paths"]["/fill-mask"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert top_k["top_k"] == {"type": "integer", "minimum": 1, "maximum": 1000}
    assert page["paths"]["/v1/models/{name}/metadata"]["get"]["parameters"][0]["name"] == "name"
    assert "/page/view.js" not in page["paths"]
    OpenAPI.model_validate(page)


def test_texts_that_utf_8_cannot_hold_or_that_are_strange_are_embedded(client, tiny):
    texts = ["", " ", "\x00", "é" * 5, "🙂 [SEP] [CLS]", "\u202e abc"]
    np.testing.assert_allclose(client.post("/embed", json={"inputs": texts}).json(), tiny.encode(texts), atol=1e-6)


def test_a_long_text_is_read_in_a_thread(client, tiny):
    text = "the cat " * 5000
    answer = client.post("/embed", json={"inputs": text})
    np.testing.assert_allclose(answer.json(), tiny.encode_counted([text])[0], atol=1e-6)
    assert answer.headers["x-truncated-texts"] == "1"


def test_caps(tiny):
    caps = {"max_body_bytes": 400, "max_texts": 3, "max_text_chars": 20, "max_numbers": 30}
    with serving({"tiny": tiny}, **caps) as client:
        answer = client.post("/embed", json={"inputs": "a" * 500})
        assert answer.status_code == 413
        assert "a body of at most 400 bytes was asked for; found one of 513" in answer.json()["error"]
        chunked = client.post("/embed", content=(b"x" * 100 for _ in range(9)))
        assert chunked.status_code == 413
        assert "found more" in chunked.json()["error"]
        for texts, message in {
            ("a",) * 4: "at most 3 texts a request were asked for; found 4",
            ("a", "b" * 21): "texts of at most 20 characters were asked for; found 21 at 1",
            ("a",) * 3: "an answer of at most 30 numbers was asked for; this one has 36",
        }.items():
            answer = client.post("/embed", json={"inputs": texts})
            assert answer.status_code == 422
            assert message in answer.json()["error"]
        answer = client.post("/embed_all", json={"inputs": ["a"] * 3})
        assert "this one has 108" in answer.json()["error"]
        assert client.post("/tokenize", json={"inputs": "a b c d"}).status_code == 422
        assert client.post("/embed", json={"inputs": ["a", "b"]}).status_code == 200
    with serving({"tiny": tiny}, max_texts=3) as client:
        inputs = {"source_sentence": "a", "sentences": ["b", "c", "d"]}
        assert client.post("/similarity", json={"inputs": inputs}).status_code == 200


def test_a_key_is_asked_for(tiny):
    with serving({"tiny": tiny}, api_key="sécret\n") as client:  # as it stands in a file
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic sécret".encode()}):
            answer = client.post("/v1/embeddings", json={"input": "a"}, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            for path in ("/v1/embeddings", "/embeddings"):
                answer = client.post(path, json={"input": "a"}, headers=headers)
                assert answer.json()["error"]["message"].startswith("the key of this server was asked for; found ")
        right = {"authorization": "Bearer sécret".encode()}
        assert client.post("/v1/embeddings", json={"input": "a"}, headers=right).status_code == 200
        assert client.get("/health").status_code == 200
        assert client.get("/info").status_code == 401


def test_web_pages_of_others_may_not_read_answers_unless_they_are_named(client, tiny):
    origin = {"origin": "https://a.example"}
    assert "access-control-allow-origin" not in client.get("/info", headers=origin).headers
    with serving({"tiny": tiny}, cors_origins="https://a.example, https://b.example") as open_client:
        headers = open_client.get("/info", headers=origin).headers
        assert headers["access-control-allow-origin"] == "https://a.example"


def raw(client, data):
    """Open a connection and send bytes."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    connection.sendall(data)
    return connection


def test_a_body_that_does_not_come_and_a_connection_that_asks_nothing(tiny):
    with serving({"tiny": tiny}, body_timeout=0.4) as client:
        with raw(client, b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{") as slow:
            answer = slow.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"a whole body within 0.4 s was asked for; found 1 bytes of it" in answer
        with raw(client, b"POST /embed HTT") as idle, raw(client, b"") as silent:
            assert idle.recv(4096) == silent.recv(4096) == b""
        assert client.get("/health").status_code == 200


def test_half_closed_connections_are_answered_or_ended(client):
    body = b'{"inputs": "a"}'
    head = f"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with raw(client, head + body) as connection:
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)
    with raw(client, head + body[:4]) as connection:
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)
    assert client.get("/health").status_code == 200


@pytest.fixture
def gate(monkeypatch):
    """Let vectors be computed when it is opened."""
    gate, compute = threading.Event(), Vectors.compute

    def gated(self, items):
        assert gate.wait(20)
        return compute(self, items)

    monkeypatch.setattr(Vectors, "compute", gated)
    return gate


def until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def test_a_full_queue_is_429_with_retry_after_and_a_client_that_goes_away_makes_room(tiny, gate):
    modules = {"tiny": tiny}
    with ThreadPoolExecutor(8) as pool, serving(modules, max_queue_tokens=6, max_batch_tokens=4) as client:
        busy = [pool.submit(client.post, "/embed", json={"inputs": text}) for text in ("a", "man")]
        batcher_full = {"inputs": ["cat"]}
        time.sleep(0.3)
        with raw(client, b"") as waits:
            body = json.dumps({"inputs": ["guitar", "flute"]}).encode()
            waits.sendall(b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            until(lambda: client.get("/metrics").text.count("te_queue_size 2.0") == 1)
            answer = client.post("/embed", json=batcher_full)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error_type"] == "overloaded"
            assert "room for 3 tokens was asked for; 6 wait, of at most 6" in answer.json()["error"]
            openai = client.post("/v1/embeddings", json={"input": "cat"})
            assert (openai.status_code, openai.json()["error"]["type"]) == (429, "rate_limit_error")
        until(lambda: "te_queue_size 0.0" in client.get("/metrics").text)
        again = pool.submit(client.post, "/embed", json=batcher_full)
        gate.set()
        assert [each.result().status_code for each in (*busy, again)] == [200, 200, 200]


def test_a_deadline_is_504(tiny, gate):
    with serving({"tiny": tiny}, deadline=0.2) as client:
        answer = client.post("/embed", json={"inputs": "a"})
        gate.set()
        assert answer.status_code == 504
        assert answer.json()["error_type"] == "timeout"
        assert "within 0.2 s was asked for; 1 of 1 texts" in answer.json()["error"]


def test_what_was_asked_is_answered_at_the_end(tiny, gate):
    with ThreadPoolExecutor(4) as pool:
        with serving({"tiny": tiny}) as client:
            url = str(client.base_url)
            asked = [pool.submit(httpx.post, f"{url}/embed", json={"inputs": f"{n}"}, verify=False) for n in range(4)]
            until(lambda: "te_request_input_length_count 4.0" in client.get("/metrics").text)
            threading.Timer(0.5, gate.set).start()
        assert [each.result().status_code for each in asked] == [200] * 4
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/health")


def test_a_module_that_is_damaged_is_424_and_a_fault_of_ours_500_without_its_words(tiny, monkeypatch, caplog):
    faults = [WeightsError("sentence_embedding must be finite; found NaN"), RuntimeError("the secret text")]

    def compute(self, items):
        raise faults[0]

    monkeypatch.setattr(Vectors, "compute", compute)
    with serving({"tiny": tiny}) as client, caplog.at_level(logging.ERROR):
        answer = client.post("/embed", json={"inputs": "a"})
        assert (answer.status_code, answer.json()["error_type"]) == (424, "backend")
        assert "found NaN" in answer.json()["error"]
        assert client.post("/v1/embeddings", json={"input": "a"}).status_code == 500
        faults.pop(0)
        answer = client.post("/embed", json={"inputs": "a"})
        assert answer.status_code == 500
        assert "wellread failed" in answer.json()["error"]
        assert client.get("/health").status_code == 200
    assert "secret" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text
    assert "test_http.py" in caplog.text


def test_modules_that_are_being_loaded_are_503(tiny):
    modules = Modules({"tiny": lambda: tiny})
    with pytest.raises(Unready, match="the modules tiny are being loaded") as refused:
        modules.named("tiny")
    assert refused.value.headers == {"retry-after": "1"}
    modules.load()
    assert modules.named("other").module is tiny


def test_an_application_can_be_mounted_in_one_of_starlette_or_fastapi(tiny):
    from starlette.testclient import TestClient

    whole = FastAPI()
    whole.mount("/vectors-of", app({"tiny": tiny}))
    with TestClient(whole) as client:
        assert client.post("/vectors-of/embed", json={"inputs": "a"}).status_code == 200
        refused = client.post("/vectors-of/v1/embeddings", json={"input": 3})
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
        assert client.get("/vectors-of/").text.startswith("<!")


def test_a_start_imports_no_framework_that_it_can_do_without():
    code = "import sys, wellread.serving.app, wellread.serving.connections; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"fastapi", "pydantic", "prometheus_client", "wellread.tasks", "wellread.data", "wellread.serving.openapi"}
    assert not slow & {*done.stdout.split()}


def test_an_address_that_is_taken(tiny):
    with listen(ServeSettings(port=0)) as first:
        assert first.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on
        port = first.getsockname()[1]
        with pytest.raises(ServeError, match=f"127.0.0.1:{port} was to be listened on; found: .*choose another"):
            listen(ServeSettings(port=port))
    with pytest.raises(ServeError, match="was to be listened on; found: .*choose another"):
        listen(ServeSettings(host="a" * 70 + ".example", port=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 70_000}, "port= must be 0 to 65535; found 70000"),
        ({"api_key": "\n"}, "api_key= is a key, or empty for none; found white space alone"),
        ({"workers": 0}, "workers= must be at least 1; found 0"),
        ({"max_batch_tokens": -1}, "max_batch_tokens= must be at least 0; found -1"),
        ({"deadline": float("nan")}, "deadline= is a number of seconds above 0; found nan"),
    ],
)
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(InputError, match=message):
        ServeSettings(**settings)


def test_more_requests_than_are_answered_at_once_are_429(tiny, gate):
    with ThreadPoolExecutor(4) as pool, serving({"tiny": tiny}, max_requests=2) as client:
        busy = [pool.submit(client.post, "/embed", json={"inputs": text}) for text in ("a", "man")]
        until(lambda: client.get("/info").status_code == 200 and client.post("/embed", content=b"").status_code == 429)
        answer = client.post("/v1/embeddings", json={"input": "cat"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert "2 requests are being answered, as many as may be" in answer.json()["error"]["message"]
        gate.set()
        assert [each.result().status_code for each in busy] == [200, 200]
        assert client.post("/embed", json={"inputs": "cat"}).status_code == 200


def test_an_answer_that_no_one_fetches_ends_its_connection(tiny):
    with serving({"tiny": tiny}, body_timeout=0.5, max_texts=20_000) as client:
        body = json.dumps({"inputs": ["the cat sleeps " * 4] * 20_000}).encode()  # 30 MB, more than a system buffers
        head = b"POST /embed_all HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        whole = len(client.post("/embed_all", content=body).content)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((client.base_url.host, client.base_url.port))
            slow.sendall(head + body)
            until(lambda: "te_request_failure 1.0" in httpx.get(f"{client.base_url}/metrics", verify=False).text)
            slow.settimeout(5)
            fetched = b"".join(iter(lambda: slow.recv(1 << 20), b""))
        assert len(fetched) < whole
