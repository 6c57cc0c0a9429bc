"""The official clients of others, unchanged, at a running server: `make clients` fetches them and runs this."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import openai
import pytest

PLACE = Path(sys.prefix) / "clients"
JAVASCRIPT = PLACE / "node_modules" / "openai"
SDISTS = sorted(PLACE.glob("openai-*.tar.gz"))
HERE = Path(__file__).parent
TEXTS = ["a man is playing the guitar .", "the cat sleeps"]

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not (JAVASCRIPT.is_dir() and shutil.which("node")), reason="no openai of npm: make clients")
def test_openai_s_client_in_javascript(client, tiny):
    command = ["node", str(HERE / "openai_client.mjs"), str(client.base_url), str(PLACE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    for form in ("base64", "float"):
        np.testing.assert_allclose(said[form]["vectors"], tiny.encode(TEXTS), atol=1e-6)
        assert said[form]["indices"] == [0, 1]
        assert (said[form]["usage"]["total_tokens"], said[form]["model"]) == (14, "tiny")
    cut = tiny.encode(TEXTS[:1], truncate_dim=5, normalize_embeddings=True)
    np.testing.assert_allclose(said["one"]["vectors"], cut, atol=1e-6)
    assert said["models"] == ["tiny", "classify", "pair", "tag", "rank", "multilabel"]
    assert said["retrieved"] == "tiny"
    for name, message in {
        "ids": "check_embedding_ctx_length=False",
        "dimensions": "dimensions must be 1 to 12",
    }.items():
        assert (said[name]["kind"], said[name]["status"]) == ("BadRequestError", 400)
        assert said[name]["type"] == "invalid_request_error"
        assert message in said[name]["message"]
    assert said["unknown"] == "NotFoundError"


@pytest.mark.skipif(not SDISTS, reason="no sources of openai-python: make clients")
def test_openai_python_s_own_tests_of_embeddings(client, tmp_path):
    shutil.unpack_archive(SDISTS[-1], tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert source.name == f"openai-{openai.__version__}"
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-rA", "--tb=line"]
    done = subprocess.run(
        [*command, "tests/api_resources/test_embeddings.py"],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(PLACE / "python"), "TEST_API_BASE_URL": f"{client.base_url}/v1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    outcomes = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)\[(\w+)\]", done.stdout, re.MULTILINE)
    assert len(outcomes) == 20, done.stdout + done.stderr
    # The client asks for base64 where it is not told otherwise, and decodes it after its strict mode, which its aiohttp
    # takes too, has looked for a list of numbers: there, only the test that asks for floats can pass.
    decoding = {(test, mode) for _, test, mode in outcomes if mode != "loose" and not test.endswith("all_params")}
    assert {(test, mode) for outcome, test, mode in outcomes if outcome != "PASSED"} == decoding
    assert done.stdout.count("Data returned by API invalid for expected schema.") >= len(decoding)


@pytest.fixture
def langchain(client, monkeypatch):
    """LangChain's client of OpenAI, with the vocabulary of OpenAI's tokenizer that LlamaIndex carries."""
    if find_spec("langchain_openai") is None:
        pytest.skip("no langchain-openai: make clients")
    vocabularies = Path(find_spec("llama_index.core").origin).parent / "_static" / "tiktoken_cache"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(vocabularies))
    from langchain_openai import OpenAIEmbeddings

    with ExitStack() as opened:

        def make(**options):
            made = OpenAIEmbeddings(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0, **options)
            opened.enter_context(made.client._client)
            return made

        yield make


def test_langchain_s_client_sends_texts_where_it_does_not_count_tokens(langchain, tiny):
    embeddings = langchain(check_embedding_ctx_length=False)
    np.testing.assert_allclose(embeddings.embed_documents(TEXTS), tiny.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query(TEXTS[1]), tiny.encode(TEXTS[1]), atol=1e-6)
    cut = langchain(check_embedding_ctx_length=False, dimensions=5, model="tiny").embed_query(TEXTS[0])
    np.testing.assert_allclose(cut, tiny.encode(TEXTS[0], truncate_dim=5, normalize_embeddings=True), atol=1e-6)


def test_langchain_s_client_is_told_what_to_set_where_it_sends_ids_of_its_own_tokenizer(langchain):
    for ask in (lambda one: one.embed_documents(TEXTS), lambda one: one.embed_query(TEXTS[0])):
        with pytest.raises(
            openai.BadRequestError, match="LangChain's OpenAIEmbeddings does with check_embedding_ctx_l"
        ):
            ask(langchain())
