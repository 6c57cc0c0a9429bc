"""wellread push, run as a person runs it, against a hub on this machine."""

import json
import os
import subprocess
import sys

import pytest
from hub_uploads import TOKEN, uploads
from tiny import tiny_module

from wellread.files import sha256


@pytest.fixture
def run(tmp_path):
    tiny_module(tmp_path / "files").save(tmp_path / "module")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    own = {"HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_XET": "1"}

    def run(endpoint, *arguments, code=0):
        command = [sys.executable, "-m", "wellread.cli.main", "push", str(tmp_path / "module"), *arguments]
        environment = {**kept, **own, "HF_ENDPOINT": endpoint}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def test_push(run):
    with uploads() as (address, hub):
        said = run(address, "owner/name", "--private", "--revision", "v2", "--message", "Mine", "--dtype", "float16")
        files = len(hub.repositories["owner/name"]) - 1  # the hub's own .gitattributes
        assert said.startswith(f"{address}/owner/name/commit/")
        assert said.endswith(f": {files} files, each as it was sent\n")
        assert hub.commits == [{"message": "Mine", "branch": "v2", "files": files}]
        assert hub.private == {"owner/name"}


def test_a_module_that_needs_help_to_be_read(run, tmp_path):
    import tf_made

    config = json.loads((tmp_path / "module" / "config.json").read_text())
    (tmp_path / "module" / "wellread.json").unlink()
    (tmp_path / "module" / "config.json").write_text(json.dumps({**config, "odd_attention": 1}))
    words = tf_made.wordpiece(tmp_path / "words", lower_case=False)
    preprocessor = tf_made.write_preprocessor(tmp_path / "preprocessor", words)
    with uploads() as (address, hub):
        assert "odd_attention" in run(address, "owner/name", code=3)
        run(address, "owner/name", "--ignore", "odd_attention", "--tokenizer", str(preprocessor))
        assert b'"dialect": "tfhub"' in hub.repositories["owner/name"]["wellread.json"]


def test_json_and_files_of_others(run, tmp_path):
    with uploads() as (address, hub):
        hub.repositories["owner/name"] = {"old.txt": b"old"}
        assert "\nnote: old.txt were there before and stay\n" in run(address, "owner/name")
        found = json.loads(run(address, "owner/name", "--json"))
        assert found["others"] == ["old.txt"]
        assert found["files"]["vocab.txt"] == sha256(tmp_path / "module" / "vocab.txt")


def test_a_hub_that_refuses_is_one_line_and_exit_3(run):
    with uploads() as (address, hub):
        hub.faults = {"create": iter([403])}
        said = run(address, "owner/name", code=3)
    assert said.startswith("wellread: owner/name was to be filled; found that the hub answered 403")
    assert said.count("\n") == 1
