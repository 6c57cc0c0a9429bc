"""push: the real client of the hub against a hub on this machine that keeps what it is given, and its faults."""

import hashlib
import json
import math
import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import replace
from itertools import repeat

import huggingface_hub
import numpy as np
import pytest
from hub_server import ReadableHub, serving
from hub_uploads import TOKEN, fresh, uploads
from tiny import tiny_module

import wellread
from wellread.files import CARD_MARK
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_json import text_differences

TEXTS = ["A man is playing the guitar.", "", "A cat sleeps!"]
SCRIPT = """
    import dataclasses, json, socket, sys, time
    if sys.argv[1] == "offline":
        def refuse(*args, **kwargs):
            raise SystemExit("a socket was opened")
        socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
    time.sleep = lambda seconds: None  # the client waits before it tries again
    import wellread
    from wellread.errors import WellreadError
    for line in sys.stdin:
        arguments = json.loads(line)
        vectors = arguments.pop("vectors", None)
        module = wellread.load(arguments.pop("module"))
        try:
            if vectors is not None:
                answer = module.encode(vectors, precision="f32").tolist()
            else:
                answer = dataclasses.asdict(module.push_to_hub(**arguments))
        except WellreadError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("push")
    tiny_module(directory / "files").save(directory / "module")
    return directory / "module"


@pytest.fixture(scope="module")
def start(saved, tmp_path_factory):
    """Push in a process of its own: huggingface_hub reads its environment when it is imported."""

    @contextmanager
    def start(endpoint, *, token=TOKEN, environment=(), offline=False):
        place = tmp_path_factory.mktemp("home")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        own = {"HF_HOME": str(place / "hf"), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"}
        own |= {"HF_HUB_DISABLE_XET": "1", "WELLREAD_CACHE": str(place / "wellread")}
        own |= {"HF_TOKEN": token} if token else {}
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), "offline" if offline else ""]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        said = []
        with subprocess.Popen(command, env={**kept, **own, **dict(environment)}, text=True, **pipes) as process:

            def run(*, module=saved, **arguments):
                given = {"module": str(module), **arguments}
                given = given if "vectors" in given else {"repo_id": "owner/name", **given}
                process.stdin.write(json.dumps(given) + "\n")
                process.stdin.flush()
                said.append(process.stdout.readline())
                return json.loads(said[-1])

            yield run
            process.stdin.close()
            errors = process.stderr.read()
        assert process.returncode == 0, errors
        assert "Upload" not in errors  # no progress bar where there is no terminal
        assert not [each for each in ("hf_right", "hf_wrong") if each in "".join(said) + errors]

    return start


@pytest.fixture(scope="module")
def server():
    with uploads() as (address, kept):
        yield address, kept


@pytest.fixture(scope="module")
def process(start, server):
    with start(server[0]) as run:
        yield run


@pytest.fixture
def hub(server):
    """The hub, without repositories and faults."""
    address, kept = server
    for name, value in fresh().items():
        setattr(kept, name, value)
    kept.address = address
    return kept


@pytest.fixture
def run(process, hub):
    return process


def test_what_is_pushed_is_what_is_loaded(hub, run, saved):
    found = run(commit_message="The first")
    held = hub.repositories["owner/name"]
    assert found["repo_id"] == "owner/name"
    assert found["url"] == f"{hub.address}/owner/name/commit/{found['commit']}"
    assert found["files"] == {p: hashlib.sha256(c).hexdigest() for p, c in held.items() if p != ".gitattributes"}
    assert {"model.safetensors", "vocab.txt", "wellread.json", "1_Pooling/config.json"} <= held.keys()
    assert found["others"] == []
    assert hub.commits == [{"message": "The first", "branch": "main", "files": len(found["files"])}]
    assert "visibility" not in hub.created[0]  # the owner's default, which may be private
    assert huggingface_hub.ModelCard(held["README.md"].decode()).data.library_name == "wellread"
    vectors = run(module="owner/name", vectors=TEXTS)
    assert np.array_equal(vectors, wellread.load(saved).encode(TEXTS, precision="f32"))


def test_nothing_names_a_path_of_this_machine(hub, run, saved):
    run()
    for content in hub.repositories["owner/name"].values():
        assert str(saved.parent).encode() not in content
        assert b"wellread." not in content.replace(b"wellread.load", b"").replace(b"wellread.json", b"")
        assert TOKEN.encode() not in content


def test_what_has_not_changed_is_not_sent_twice(hub, run):
    first = run()
    asked = len(hub.asked)
    assert run()["commit"] == first["commit"]
    assert not {"put", "commit"} & {route for route, _ in hub.asked[asked:]}


def test_a_branch_is_made_and_half_the_bytes_are_sent(hub, run):
    found = run(revision="half", dtype="float16")
    assert hub.branches == {"main", "half"}
    assert hub.commits[0]["branch"] == "half"
    assert hub.commits[0]["message"] == f"Push with wellread {wellread.__version__}"
    whole = run()
    assert whole["files"]["model.safetensors"] != found["files"]["model.safetensors"]


def test_a_name_alone_is_of_the_account(hub, run):
    assert run(repo_id="name")["repo_id"] == "owner/name"
    assert b'"owner/name"' in hub.repositories["owner/name"]["README.md"]


def test_a_private_repository(hub, run):
    run(private=True)
    assert hub.private == {"owner/name"}
    hub.private.clear()
    asked = len(hub.asked)
    assert run(private=True) == {
        "error": "ExportError",
        "message": "a private owner/name was to be filled; found that it is public; make it private in its settings, "
        "or leave private out",
    }
    assert {route for route, _ in hub.asked[asked:]} == {"create", "about"}


def test_files_and_cards_of_others_stay_and_are_named(hub, run):
    hub.repositories["owner/name"] = {"README.md": b"My own words.", "notes/old.txt": b"old"}
    found = run()
    assert found["others"] == ["README.md", "notes/old.txt"]
    assert hub.repositories["owner/name"]["README.md"] == b"My own words."
    assert run(card="# New words")["others"] == ["notes/old.txt"]
    assert hub.repositories["owner/name"]["README.md"] == b"# New words"
    hub.repositories["owner/name"]["README.md"] = f"An older one\n\n{CARD_MARK}\n".encode()
    run()
    assert b"## How to use it" in hub.repositories["owner/name"]["README.md"]


@pytest.mark.parametrize("fault", ["cut", 500, 429])
@pytest.mark.parametrize("part", [None, 5000])
def test_one_fault_in_an_upload_does_no_harm(hub, run, fault, part):
    hub.faults = {"put": iter([fault])}
    hub.part = part
    found = run()
    held = hub.repositories["owner/name"]["model.safetensors"]
    assert found["files"]["model.safetensors"] == hashlib.sha256(held).hexdigest()
    parts = 1 if part is None else math.ceil(len(held) / part)
    assert [route for route, _ in hub.asked].count("put") == parts + 1


UNREACHED = "the hub was not reached, or answered what its client does not know ("


@pytest.mark.parametrize(
    ("route", "faults", "found", "advice"),
    [
        ("put", repeat(500), "the hub answered 500, it failed", "run it again later; what arrived is not sent twice"),
        ("put", repeat("cut"), UNREACHED, "run it again later; what arrived is not sent twice"),
        ("put", [403], "the hub answered 403, this token may not write there: as the test asked", "check the owner's "),
        ("create", [403], "the hub answered 403, this token may not write there", "check the owner's name"),
        ("create", [500], "the hub answered 500, it failed", "run it again later"),
        ("create", ["cut"], UNREACHED, "run it again later"),
        ("batch", [413], "the hub answered 413, this is too large for it", "save as float16"),
        ("preupload", repeat(429), "the hub answered 429, it takes no more requests for now", "wait some minutes"),
        ("commit", [402], "the hub answered 402, it asks for payment", "make room there"),
        ("commit", [404], "the hub answered 404, it knows no such repository or branch", "check the spelling"),
        ("commit", [409], "the hub answered 409, something else changes the repository", "wait until that"),
        ("commit", [412], "the hub answered 412, something else changed the branch meanwhile", "run it again"),
        ("commit", [400], "the hub answered 400, it cannot take this: as the test asked", "correct what it names"),
        ("commit", ["cut"], UNREACHED, "run it again later"),
    ],
)
def test_a_hub_that_refuses_or_fails_is_an_error_that_says_what_to_do(hub, run, route, faults, found, advice):
    hub.faults = {route: iter(faults)}
    said = run()
    assert said["error"] == "ExportError"
    assert said["message"].startswith(f"owner/name was to be filled; found that {found}")
    assert f"; {advice}" in said["message"]
    assert "\n" not in said["message"]
    assert hub.commits == []
    hub.faults = {}
    assert run()["others"] == []


def test_what_the_hub_says_is_one_line_of_bounded_length(hub, run):
    hub.faults = {"create": iter([403])}
    hub.says = "No\nmore\troom. " * 100
    said = run()["message"]
    assert "may not write there: No more room. No more room." in said
    assert len(said) < 600
    assert "\n" not in said


def test_the_card_says_what_differs_elsewhere(hub, run, saved, tmp_path):
    module = wellread.load(saved)
    config = replace(module.tokenizer.config, dialect="tfhub")
    tokenizer = load_tokenizer(saved, config)
    replace(module, tokenizer=tokenizer).save(tmp_path / "tfhub")
    run(module=tmp_path / "tfhub")
    card = hub.repositories["owner/name"]["README.md"].decode()
    assert "## What differs elsewhere" in card
    assert all(f"\n- {line}\n" in card for line in text_differences(tokenizer))


def test_a_refused_token(run):
    said = run(token="hf_wrong")
    assert said["error"] == "ExportError"
    assert "the hub answered 401, it does not accept this token there" in said["message"]
    assert said["message"].endswith("; log in with hf auth login, or set HF_TOKEN")


@pytest.mark.parametrize("route", ["put", "commit"])
def test_other_bytes_of_the_same_length_are_found_out(hub, run, route):
    hub.faults = {route: iter(["other"])}
    said = run()
    assert said["error"] == "ExportError"
    assert "owner/name was to hold " in said["message"]
    assert "model.safetensors" in said["message"]
    assert said["message"].endswith("missing or other than what was sent; run it again")
    assert ("vocab.txt" in said["message"]) == (route == "commit")


def test_a_file_that_the_hub_ignores_is_found_out(hub, run):
    hub.ignored = {"vocab.txt"}
    assert "; found that vocab.txt is missing or other than what was sent; " in run()["message"]


def test_a_commit_that_could_not_be_compared_is_not_called_done(hub, run):
    hub.faults = {"tree": repeat(500)}
    said = run()["message"]
    assert said.startswith("owner/name was filled, and its commit ")
    assert " to be compared; found that the hub answered 500, it failed" in said
    assert len(hub.commits) == 1


@pytest.mark.parametrize("route", ["create", "put", "commit"])
def test_the_token_does_not_follow_to_another_host(hub, run, route):
    seen = []

    class Elsewhere(ReadableHub):
        def read(self):
            seen.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send(500, b"{}")

        do_POST = do_PUT = read  # noqa: N815

    with serving(Elsewhere) as hub.elsewhere:
        hub.faults = {route: repeat("redirect")}
        assert run()["error"] == "ExportError"
    assert seen
    assert not [headers for headers in seen if "authorization" in {name.lower() for name in headers}]


def test_offline_no_socket_is_opened(start):
    with start("http://127.0.0.1:9", offline=True, environment={"HF_HUB_OFFLINE": "1"}) as run:
        assert run() == {
            "error": "ExportError",
            "message": "owner/name was to be filled; found that HF_HUB_OFFLINE is set; unset it and run it again",
        }


def test_without_a_login(start):
    with start("http://127.0.0.1:9", offline=True, token=None) as run:
        assert run() == {
            "error": "InputError",
            "message": "owner/name was to be filled; found no token of the Hugging Face hub; run hf auth login, set "
            "HF_TOKEN or pass token=",
        }


@pytest.mark.parametrize("token", ["hf_right b", "hf_right\n", "hf_right\u00e9"])
def test_a_token_that_can_be_none_is_not_repeated(run, token):
    said = run(token=token)
    assert said["error"] == "InputError"
    assert said["message"].endswith("found a token with white space or signs that no token has; copy it again")


def test_a_hub_without_xet_storage(start, hub):
    with start(hub.address, environment={"HF_HUB_DISABLE_XET": ""}) as run:
        said = run()["message"]
    assert f"owner/name was to be filled; found that {UNREACHED}" in said
    assert said.endswith(
        "; set HF_HUB_DISABLE_XET=1 where the hub has no Xet storage, or run it again later; what "
        "arrived is not sent twice"
    )
    assert hub.commits == []


def test_what_is_no_id(hub, run):
    said = run(repo_id="a/b/c", dtype="int3")  # nothing is saved before
    assert said["error"] == "HandleError"
    assert said["message"].startswith(
        "the Hugging Face id 'a/b/c' was given; found that it is none, such as owner/name"
    )
    assert hub.asked == []


def test_what_cannot_be_saved_is_not_sent(hub, run):
    assert run(dtype="int3")["error"] == "CheckpointError"
    assert hub.asked == []
