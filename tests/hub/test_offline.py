"""Offline is no socket: everything that was pulled loads and encodes in a process where making one ends it."""

import hashlib
import io
import os
import tarfile

import pytest
from hub_process import answer, start
from hub_server import COMMIT, ReadableHub, serving
from huggingface_hub import constants
from tiny import tiny_module

from wellread.hub.http_errors import VARIABLES, is_offline


@pytest.fixture(scope="module")
def pulled(tmp_path_factory):
    """A directory, and a repository and an archive that were pulled: where their caches are, and the handles."""
    place = tmp_path_factory.mktemp("offline")
    tiny_module(place / "files").save(place / "native")
    paths = [path for path in (place / "native").rglob("*") if path.is_file()]
    files = {path.relative_to(place / "native").as_posix(): path for path in paths}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.add(place / "native", "module")
    (place / "sha256").write_text(hashlib.sha256(made.getvalue()).hexdigest())
    state = {"repositories": {"owner/name": files}, "plain": {"/module.tar.gz": made.getvalue()}}
    with serving(type("OwnHub", (ReadableHub,), state)) as address:
        handles = ["owner/name", f"{address}/module.tar.gz"]
        for handle in handles:
            assert answer(start(place, address, do="pull", handle=handle))["fetched"]
    (place / "home").mkdir()
    return place, [str(place / "native"), *handles]


@pytest.mark.parametrize("environment", [[("HF_HUB_OFFLINE", "1")], []], ids=["offline", "no word of it"])
def test_what_was_pulled_encodes_without_a_socket(pulled, environment):
    place, handles = pulled
    environment = [*environment, ("HOME", str(place / "home"))]
    found = answer(
        start(
            place,
            "http://127.0.0.1:9",
            do="encode",
            handles=["default", *handles],
            offline=True,
            environment=environment,
        )
    )
    assert len(set(found["sums"])) == 2  # the default's, and that of the tiny module, thrice
    assert found["without_hub"]
    of_default, of_path, of_hub, of_archive = found["provenance"]
    assert of_hub["commit"] == COMMIT
    assert of_archive["archive"] == (place / "sha256").read_text()
    assert {"commit", "archive"}.isdisjoint({*of_default, *of_path})


def test_what_is_not_there_is_refused_without_a_socket(pulled):
    place, _ = pulled
    handles = ["owner/other", "https://tfhub.dev/owner/name/1", "https://host.example/module.zip"]
    environment = [("HF_HUB_OFFLINE", "1"), ("HOME", str(place / "home"))]
    found = answer(
        start(place, "http://127.0.0.1:9", do="refused", handles=handles, offline=True, environment=environment)
    )
    assert [kind for kind, _ in found["errors"]] == ["DownloadError"] * 3


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", ["1", "on", "Yes", "TRUE", "0", "", "no", "2"])
def test_the_variables_are_read_as_huggingface_hub_reads_them(monkeypatch, name, value):
    for each in VARIABLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    assert is_offline() == constants._is_true(
        os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE")
    )
