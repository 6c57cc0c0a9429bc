"""Modules as tools of the Model Context Protocol, asked by the protocol's own client."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import subprocess
import sys
import threading

import mcp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from headed import headed_checkpoint
from tiny import tiny_module, tiny_tokenizer

import wellread
from wellread.cli.main import group
from wellread.errors import InputError
from wellread.module import Module
from wellread.searching.vectors_file import open_vectors
from wellread.serving.mcp import LONGEST, MOST, mcp_server, skills_of
from wellread.serving.mcp_protocol import ToolServer, run, tool_of

REVISION = b"io.modelcontextprotocol/protocolVersion"
TEXTS = ["a man is playing the guitar .", "the cat sleeps", "paris , france !"]


def headed_module(place, task, **head):
    return Module(checkpoint=headed_checkpoint(task, **head), tokenizer=tiny_tokenizer(place), backend="numpy")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("mcp")
    tiny_module(place / "files", backend="numpy").save(place / "module")
    module = wellread.load(place / "module", backend="numpy")
    columns = {"text": TEXTS, "day": [datetime.date(2026, 1, 2)] * 3, "embedding": list(module.encode(TEXTS))}
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata({"wellread.fingerprint": module.fingerprint}), place / "own.parquet")
    pq.write_table(table.replace_schema_metadata({"wellread.fingerprint": "ab"}), place / "other.parquet")
    for task in ("classify", "rank", "pair", "multilabel", "tag"):
        headed_module(place / "files", task).save(place / task)
    return place


@pytest.fixture
def module(place):
    return wellread.load(place / "module", backend="numpy")


def ask(server, *calls, mode="auto"):
    """Return the names of the tools that a server offers, and its answers to some calls."""

    async def talk():
        async with mcp.Client(server, mode=mode) as client:
            tools = await client.list_tools()
            return [tool.name for tool in tools.tools], [await client.call_tool(*call) for call in calls]

    return asyncio.run(talk())


def call(server, name, **arguments):
    """Return the answer of a tool in this process: whether it is an error, and its content or its words."""
    result = server.result("tools/call", {"name": name, "arguments": arguments})
    return result["isError"], result.get("structuredContent", result["content"][0]["text"])


def command(place, *arguments):
    """Return how the client starts the verb, with the sources that run here."""
    environment = {name: os.environ[name] for name in ("PYTHONPATH", "HOME", "PATH") if name in os.environ}
    options = ["-m", "wellread", "mcp", *map(str, arguments), "--backend", "numpy"]
    return mcp.StdioServerParameters(command=sys.executable, args=options, env=environment, cwd=place)


def test_the_verb_answers_the_official_client(place, module):
    vectors = module.encode(TEXTS)
    names, (embedded, compared, found, labelled, ranked, wrong) = ask(
        command(place, "module", "classify", "--vectors", "own.parquet"),
        ("embed", {"texts": TEXTS}),
        ("similarity", {"texts": TEXTS[:2], "others": TEXTS[2:]}),
        ("search", {"query": TEXTS[1], "top_k": 1}),
        ("classify", {"texts": TEXTS[:1]}),
        ("rerank", {"query": "a cat", "documents": TEXTS, "top_k": 2}),
        ("embed", {"texts": "not a list"}),
    )
    assert sorted(names) == ["classify", "embed", "rerank", "search", "similarity"]
    np.testing.assert_allclose(embedded.structured_content["vectors"], vectors, atol=1e-5)
    assert embedded.structured_content["lost_tokens"] == [0, 0, 0]
    expected = module.similarity(vectors[:2], vectors[2:])
    np.testing.assert_allclose(compared.structured_content["scores"], expected, atol=1e-5)
    (hit,) = found.structured_content["hits"]
    assert (hit["corpus_id"], hit["text"], hit["day"]) == (1, TEXTS[1], "2026-01-02")
    answer = wellread.load(place / "classify", backend="numpy").predict(TEXTS[:1])[0]
    assert labelled.structured_content["predictions"][0]["label"] == answer.label
    hits = module.rank("a cat", TEXTS, 2)
    assert [result["index"] for result in ranked.structured_content["results"]] == [hit["corpus_id"] for hit in hits]
    assert wrong.is_error


def test_standard_output_is_the_protocol_s_alone(place):
    started = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    requests = [
        {"id": 1, "method": "initialize", "params": started},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "embed", "arguments": {"texts": ["a cat " * 400]}}},
        {
            "id": 3,
            "method": "tools/call",
            "params": {"name": "embed", "arguments": {"texts": ["a"], "prompt_name": "x"}},
        },
    ]
    lines = "".join(json.dumps({"jsonrpc": "2.0", **request}) + "\n" for request in requests)
    arguments = [sys.executable, "-m", "wellread", "mcp", "module", "--backend", "numpy"]
    with subprocess.Popen(arguments, cwd=place, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        process.stdin.write(lines)
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(3)]
        rest, errors = process.communicate(timeout=60)
    assert [answer["id"] for answer in answers] == [1, 2, 3]
    assert answers[1]["result"]["structuredContent"]["lost_tokens"][0] > 0
    assert (rest, errors, process.returncode) == ("", "", 0)


def test_clients_of_the_revisions_with_a_handshake_are_answered(place, module):
    names, (answer, wrong) = ask(
        command(place, "module"), ("embed", {"texts": TEXTS}), ("embed", {"texts": []}), mode="legacy"
    )
    assert names == ["embed", "similarity", "rerank"]
    np.testing.assert_allclose(answer.structured_content["vectors"], module.encode(TEXTS), atol=1e-5)
    assert json.loads(answer.content[0].text) == answer.structured_content
    assert wrong.is_error


def test_tools_are_those_that_the_modules_can_do(place, module):
    load = lambda name: wellread.load(place / name, backend="numpy")  # noqa: E731
    assert [*mcp_server([module]).tools] == ["embed", "similarity", "rerank"]
    assert [*mcp_server([load("classify")]).tools] == ["classify"]
    assert [*mcp_server([load("rank")]).tools] == ["rerank"]
    assert skills_of([module, load("rank")]).ranker.checkpoint.head.task == "rank"
    assert [*mcp_server([module], vectors=open_vectors(np.eye(3, 12))).tools][2] == "search"
    with pytest.raises(InputError, match="modules that embed, classify or rank were expected; found tag"):
        mcp_server([load("tag")])
    with pytest.raises(InputError, match="a search asks for a module that embeds; found none"):
        mcp_server([load("classify")], vectors=open_vectors(np.eye(3)))


def test_labels_of_pairs_and_of_several_at_once(place):
    load = lambda name: wellread.load(place / name, backend="numpy")  # noqa: E731
    pair = mcp_server([load("pair")])
    _, answer = call(pair, "classify", texts=TEXTS[:1], pairs=TEXTS[1:2])
    assert sum(answer["predictions"][0]["scores"].values()) == pytest.approx(1)
    wrong, said = call(pair, "classify", texts=TEXTS[:1], pairs=None)
    assert wrong
    assert "takes two texts a row; found one" in said
    _, answer = call(mcp_server([load("multilabel")]), "classify", texts=TEXTS[:1])
    assert isinstance(answer["predictions"][0]["labels"], list)


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("embed", {"texts": TEXTS, "prompt_name": "x"}, "the prompt 'x' was asked for; this module has none"),
        ("embed", {"texts": []}, "texts is 0 items and may be 1 to 1000"),
        ("embed", {"texts": ["a"] * (MOST + 1)}, "texts is 1001 items and may be 1 to 1000"),
        ("embed", {"texts": ["a" * (LONGEST + 1)]}, "texts[0] is 1000001 characters and may be 0 to 1000000"),
        ("embed", {"texts": ["a", 3]}, "texts[1] must be a text and is of type int"),
        ("embed", {"texts": None}, "texts must be a list and is of type NoneType"),
        ("embed", {"prompt_nam": "a"}, "texts is missing; prompt_nam is unknown (did you mean prompt_name?)"),
        ("embed", {"texts": [1] * 9}, "texts[4] must be a text and is of type int; and 4 more; correct them"),
        ("rerank", {"query": "a", "documents": ["a"], "top_k": 0}, "top_k is 0 and may be 1 to 1000"),
        ("rerank", {"query": "a", "documents": ["a"], "top_k": True}, "must be a whole number and is of type bool"),
        ("nothing", {}, "the tool 'nothing' was asked for; there are embed, similarity, rerank"),
    ],
)
def test_what_is_wrong_with_a_call_is_its_answer(module, tool, arguments, message):
    wrong, said = call(mcp_server([module]), tool, **arguments)
    assert wrong
    assert message in said


def test_a_fault_of_ours_is_said_to_have_happened_and_no_more(module, monkeypatch, capsys):
    def fail(_, texts, **__):
        raise ZeroDivisionError(texts)

    monkeypatch.setattr(Module, "encode_counted", fail)
    wrong, said = call(mcp_server([module]), "embed", texts=["a secret"])
    log = capsys.readouterr().err
    assert wrong
    assert said == "embed was asked for; wellread failed; its log says where; please report it"
    assert "ZeroDivisionError at" in log
    assert "test_mcp.py" in log
    assert "secret" not in said + log


@pytest.mark.parametrize("text", ["/etc/passwd", "file:///etc/passwd", "texts.txt", "-"])
def test_what_looks_like_a_path_is_a_text(module, text):
    _, answer = call(mcp_server([module]), "embed", texts=[text])
    np.testing.assert_allclose(answer["vectors"][0], module.encode(text), atol=1e-6)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (b"x", -32700, "a line of JSON was expected"),
        (b'{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}', -32700, "stands twice"),
        (b"[]", -32600, "a request of JSON-RPC 2.0 was expected"),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600, "a request"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}', -32602, "params must be an object"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "resources/list"}', -32601, "'resources/list' is unknown"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": {"' + REVISION + b'": "1999"}}}', -32022,
         "the revision 1999 was asked for; this server has 2026-07-28"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_an_error_of_the_protocol(module, line, code, message):
    (answer,) = answers_to(mcp_server([module]), [line])
    assert answer["error"]["code"] == code
    assert message in answer["error"]["message"]


def test_a_batch_is_answered_by_one():
    server = ToolServer([tool_of(twice, {str: {"type": "string"}})], name="s", version="1")
    call = {
        "jsonrpc": "2.0",
        "id": "a",
        "method": "tools/call",
        "params": {"name": "twice", "arguments": {"text": "b"}},
    }
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    line = json.dumps([call, told, 3, {"jsonrpc": "2.0", "id": 2, "method": "ping"}]).encode()
    ((called, refused, pinged),) = answers_to(server, [line, json.dumps([told]).encode()])
    assert (called["id"], called["result"]["structuredContent"]) == ("a", {"text": "bb"})
    assert (refused["id"], refused["error"]["code"]) == (None, -32600)
    assert pinged == {"jsonrpc": "2.0", "id": 2, "result": {}}


def twice(text: str) -> dict[str, str]:
    return {"text": 2 * text}


def answers_to(server, lines):
    written = []
    run(server, lines, written.append)
    return [json.loads(line) for line in written]


def request(number, method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def test_the_revision_is_the_client_s_where_it_is_known(module):
    server = mcp_server([module])
    for asked, given in {"2024-11-05": "2024-11-05", "2025-11-25": "2025-11-25", "2031-01-01": "2025-11-25"}.items():
        assert server.result("initialize", {"protocolVersion": asked})["protocolVersion"] == given


def test_calls_wait_for_each_other_and_nothing_else_does_and_one_that_waits_is_cancelled():
    begun, go_on = threading.Event(), threading.Event()

    def slow(text: str) -> dict[str, str]:
        begun.set()
        assert go_on.wait(20)
        return {"text": text}

    def lines():
        for number in (1, 2, 3):
            yield request(number, "tools/call", name="slow", arguments={"text": str(number)})
        assert begun.wait(20)
        yield request("a", "ping")
        yield json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}).encode()
        yield b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": []}}'
        go_on.set()

    server = ToolServer([tool_of(slow, {str: {"type": "string"}})], name="s", version="1")
    assert [answer["id"] for answer in answers_to(server, lines())] == ["a", 1, 3]


def test_faults_are_said_before_the_server_starts(place, monkeypatch):
    monkeypatch.chdir(place)
    for arguments, message in (
        (["module", "--vectors", "nothing.parquet"], "there is no such file"),
        (["module", "--vectors", "other.parquet"], "or pass --ignore-fingerprint"),
        (["no/such/module"], "no/such/module"),
    ):
        done = CliRunner().invoke(group, ["mcp", *arguments])
        assert done.exit_code == 3
        assert message in done.output
