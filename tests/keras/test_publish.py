"""push_to_hub and pull_from_hub: the real client against a small hub on this machine that keeps what it is given."""

import json
import os
import subprocess
import sys
import textwrap

import keras
import pytest
from hub_uploads import TOKEN, uploads

from wellread.errors import InputError
from wellread.keras import Preprocessor, push_to_hub

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="no framework matters: once is enough")


@pytest.fixture
def server():
    """A hub without repositories: its address, and what it was given."""
    with uploads() as (address, hub):
        yield address, hub.repositories


SCRIPT = """
    import json, sys
    import numpy as np
    import wellread, wellread.keras as hub
    from wellread.errors import WellreadError
    inputs = {name: np.array([[2, 7, 8, 3]], np.int32) % 2 if "word" not in name else np.array([[2, 7, 8, 3]], np.int32)
              for name in ("input_word_ids", "input_mask", "input_type_ids")}
    def vector(layer):
        return np.asarray(layer(inputs)["pooled_output"]).tolist()
    def work(arguments):
        if "folder_path" in arguments:
            source = hub.KerasLayer(arguments.pop("module")) if arguments.pop("layer") else None
            source = source or wellread.load(arguments.pop("module"))
            if arguments.pop("without_tensorflow", False):
                hub.layer.PACKAGES = ("a_package_that_is_not_there",)
            hub.push_to_hub(source, "owner/name", **arguments)
            return {}
        layer = hub.pull_from_hub("owner/name", trainable=True, **arguments)
        return {"vector": vector(layer), "trainable": len(layer.trainable_variables),
                "mlm": len(layer.mlm.trainable_variables)}
    def answer(arguments):
        try:
            return work(arguments)
        except WellreadError as error:
            return {"error": type(error).__name__, "message": str(error)}
    print(json.dumps([answer(arguments) for arguments in json.loads(sys.argv[1])]))
"""


@pytest.fixture
def run(tmp_path):
    """Do one thing after another in a process of its own: huggingface_hub reads its environment when it is imported."""

    def run(endpoint, *work, token=TOKEN):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        own = {
            "HF_HOME": str(tmp_path / "hf"),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "WELLREAD_CACHE": str(tmp_path / "wellread"),
            "NO_PROXY": "127.0.0.1",
            "KERAS_BACKEND": "jax",
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SCRIPT), json.dumps(work)],
            env={**kept, **own, **({"HF_TOKEN": token} if token else {})},
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_what_is_pushed_can_be_pulled(module, server, run, tmp_path):
    endpoint, repositories = server
    module.save(tmp_path / "native")
    folder = str(tmp_path / "exported")
    assert run(endpoint, {"module": str(tmp_path / "native"), "layer": True, "folder_path": folder}) == [{}]
    assert {"saved_model.pb", "variables/variables.index", "assets/vocab.txt"} <= repositories["owner/name"].keys()
    found, again = run(endpoint, {}, {"local_files_only": True})
    assert found["trainable"] == 16 * 3 + 7
    assert found["mlm"] == 16 * 3 + 12
    assert again == found


def test_without_tensorflow_a_native_directory_is_pushed(module, server, run, tmp_path):
    endpoint, repositories = server
    module.save(tmp_path / "native")
    where = {"module": str(tmp_path / "native"), "layer": False, "folder_path": str(tmp_path / "exported")}
    pushed, pulled = run(endpoint, {**where, "without_tensorflow": True}, {})
    assert pushed == {}
    assert pulled["mlm"] == 16 * 3 + 12
    assert {"model.safetensors", "wellread.json", "vocab.txt"} <= repositories["owner/name"].keys()
    assert b"\n# name\n" in repositories["owner/name"]["README.md"]


def test_without_a_login_nothing_is_written_and_a_hub_that_refuses_is_named(module, server, run, tmp_path):
    module.save(tmp_path / "native")
    where = {"module": str(tmp_path / "native"), "layer": False}
    wrong = {"folder_path": str(tmp_path / "exported"), "without_tensorflow": True, "token": "hf_wrong"}
    missing, refused = run(
        server[0], {**where, "folder_path": str(tmp_path / "unwritten")}, {**where, **wrong}, token=None
    )
    assert missing == {
        "error": "InputError",
        "message": "owner/name was to be filled; found no token of the Hugging Face hub; run hf auth login, set "
        "HF_TOKEN or pass token=",
    }
    assert not (tmp_path / "unwritten").exists()
    assert refused["error"] == "ExportError"
    assert "owner/name was to be filled; found that the hub answered 401" in refused["message"]
    assert (tmp_path / "exported" / "model.safetensors").is_file()


def test_only_encoders_are_pushed(module, tmp_path):
    for model in (keras.layers.Dense(1), Preprocessor(module), 3):
        with pytest.raises(
            InputError, match="a Module or an Encoder can be put on the hub; found .*; pass the encoder"
        ):
            push_to_hub(model, "owner/name", tmp_path / "exported", token=TOKEN)
