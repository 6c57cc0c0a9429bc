"""wellread pull and wellread verify, as programs."""

import json
import subprocess
import sys

import pytest
from hub_server import ReadableHub, serving

FILES = {"config.json": b"{}", "vocab.txt": b"[PAD]\n", "model.safetensors": bytes(2000)}


@pytest.fixture
def run(tmp_path):
    """Run a verb of the command line, with caches of its own."""
    own = {"WELLREAD_CACHE": str(tmp_path / "wellread"), "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}

    def run(*arguments, **environment):
        import os

        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "WELLREAD"))}
        command = [sys.executable, "-m", "wellread.cli.main", *arguments]
        return subprocess.run(
            command, env={**kept, **own, **environment}, capture_output=True, text=True, check=False, timeout=60
        )

    return run


@pytest.fixture
def endpoint():
    """A hub with one repository."""
    with serving(type("OwnHub", (ReadableHub,), {"repositories": {"owner/name": FILES}})) as address:
        yield address


def test_pull_prints_a_table_and_then_nothing_new(run, endpoint):
    first = run("pull", "owner/name", HF_ENDPOINT=endpoint)
    assert first.returncode == 0
    assert first.stderr == ""  # no bars where no person looks
    title, *lines, last = first.stdout.splitlines()
    assert title.startswith("owner/name  /")
    assert [line.split()[0] for line in lines] == sorted(FILES)
    assert lines[1].split()[1] == "2,000"
    assert all(line.split()[-1] == "ok" for line in lines)
    assert last == f"fetched at commit {'c' * 40}; 2,008 bytes"
    second = run("pull", "owner/name", HF_ENDPOINT=endpoint)
    assert second.stdout.splitlines()[-1].startswith("nothing new at commit c")
    assert run("pull", "owner/name", "--force", HF_ENDPOINT=endpoint).stdout.splitlines()[-1].startswith("fetched at")


def test_pull_in_json(run, endpoint):
    found = json.loads(run("pull", "owner/name", "--revision", "v1", "--json", HF_ENDPOINT=endpoint).stdout)
    assert (found["fetched"], found["ok"], found["size"]) == (True, True, 2008)
    assert {each["name"]: each["size"] for each in found["files"]} == {name: len(FILES[name]) for name in FILES}


def test_pull_of_what_is_not_there_is_an_error(run, endpoint):
    found = run("pull", "owner/other", HF_ENDPOINT=endpoint)
    assert found.returncode == 3
    assert "the hub knows no such repository" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_verify_exits_with_3_where_a_file_is_damaged(run, endpoint):
    assert run("verify").returncode == 0  # the default alone
    path = json.loads(run("pull", "owner/name", "--json", HF_ENDPOINT=endpoint).stdout)["directory"]
    fine = run("verify", "owner/name")
    assert fine.returncode == 0
    assert [line.split()[-1] for line in fine.stdout.splitlines()[1:]] == ["ok"] * 3
    with open(f"{path}/vocab.txt", "wb") as file:
        file.write(b"[BAD]\n")
    found = run("verify")
    assert found.returncode == 3
    assert found.stdout.splitlines()[0].startswith("default  ")
    assert found.stdout.splitlines()[-1].endswith("has another SHA-256")
    assert "vocab.txt has another SHA-256; run wellread pull" in found.stderr
    damaged = json.loads(run("verify", "owner/name", "--json").stdout)
    assert not damaged["ok"]
    assert [each["name"] for each in damaged["files"] if each["fault"]] == ["vocab.txt"]


def test_verify_says_what_nothing_is_recorded_of(run, tmp_path):
    found = run("verify", str(tmp_path))
    assert found.returncode == 3
    assert "nor a record of it" in found.stderr
