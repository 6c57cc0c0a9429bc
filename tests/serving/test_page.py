"""The page: its files and its routes; and, in a browser, what a person does there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from headed import headed_checkpoint
from tiny import tiny_module, tiny_tokenizer

import wellread
from wellread.module import Module

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from wellread.serving.app import app
from wellread.serving.page import FILES, FOLDER, plane_of
from wellread.serving.settings import ServeSettings

TEXTS = ["a man is playing the guitar .", "the cat sleeps", "paris , france !"]
AXE = Path(__file__).parents[2] / ".venv" / "page" / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = (390, 844), (1200, 900)


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    tags = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    headed = {
        task: Module(checkpoint=headed_checkpoint(task, **head), tokenizer=tiny_tokenizer(place), backend="numpy")
        for task, head in (("tag", {"labels": tags}), ("classify", {}), ("pair", {}))
    }
    return {"default": wellread.load("default"), "tiny": tiny_module(place, backend="numpy"), **headed}


@pytest.fixture(scope="module")
def client(modules):
    with TestClient(app(modules)) as client:
        yield client


def test_the_files_are_served_under_a_strict_policy(client):
    assert set(FILES) == {"/", *(f"/page/{path.name}" for path in FOLDER.iterdir() if path.name != "index.html")}
    for path, file in FILES.items():
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (200, file.content)
        assert answer.headers["content-type"] == file.kind
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(
    "path", ["/page/../page.py", "/page/%2e%2e/page.py", "/page/index.html", "/page/", "/page/x.js"]
)
def test_nothing_else_is_a_file(client, path):
    assert client.get(path).status_code == 404


def test_the_files_ask_no_one_else_and_hold_no_code_in_the_markup():
    for path in FOLDER.iterdir():
        content = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn", content), path
        assert "innerHTML" not in content
    html = (FOLDER / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=", html)


def test_every_module_is_described(client, modules):
    answer = client.get("/page/modules").json()
    rows = {row["name"]: row for row in answer["modules"]}
    assert list(rows) == list(modules)
    assert (rows["default"]["embedding_size"], rows["default"]["mask"], rows["default"]["task"]) == (384, None, None)
    assert (rows["tiny"]["mask"], rows["tag"]["task"], rows["tag"]["labels"][1]) == ("[MASK]", "tag", "B-PER")
    assert (rows["pair"]["takes_pairs"], rows["classify"]["takes_pairs"]) == (True, False)
    assert answer["max_texts"] == ServeSettings().max_texts


def test_a_map_is_the_projection_on_the_principal_components(client, modules):
    answer = client.post("/page/map", json={"inputs": TEXTS, "model": "tiny"}).json()
    vectors = modules["tiny"].encode(TEXTS, normalize_embeddings=True)
    expected = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    points = np.array(answer["points"])
    np.testing.assert_allclose(np.abs(points), np.abs(expected[0] * expected[1])[:, :2], atol=1e-4)
    np.testing.assert_allclose(answer["variance"], (expected[1] ** 2 / (expected[1] ** 2).sum())[:2], atol=1e-4)


def test_a_plane_of_few_texts_and_of_equal_ones():
    points, shares = plane_of(np.ones((4, 3), np.float32))
    assert (points.tolist(), shares.tolist()) == ([[0, 0]] * 4, [0, 0])
    assert plane_of(np.ones((1, 5), np.float32))[0].shape == (1, 2)
    points, shares = plane_of(np.array([[1.0], [2.0]], np.float32))
    assert (points.tolist(), shares.tolist()) == ([[-0.5, 0], [0.5, 0]], [1, 0])


def test_faults_of_a_map_are_told(client):
    assert client.post("/page/map", json={"inputs": []}).status_code == 400
    answer = client.post("/page/map", json={"inputs": ["a"] * (ServeSettings().max_texts + 1)})
    assert answer.status_code == 422
    assert "send them in parts" in json.dumps(answer.json())


def test_the_files_need_no_key_and_the_routes_do(modules):
    with TestClient(app({"tiny": modules["tiny"]}, ServeSettings(api_key="secret"))) as client:
        assert {client.get(path).status_code for path in FILES} == {200}
        assert client.get("/page/modules").status_code == 401
        assert {client.post(path, json={"inputs": "the cat"}).status_code for path in FILES} == {401}  # / is TEI's too
        assert client.get("/page/modules", headers={"authorization": "Bearer secret"}).status_code == 200
