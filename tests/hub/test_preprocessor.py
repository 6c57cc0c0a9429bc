"""preprocessor: which encoders need the one of their page."""

import pytest
from tfhub_places import DISTILBERT, TEXT, installed

from wellread.hub.handles import locate
from wellread.hub.location import Fetched, Location
from wellread.hub.resolve import preprocessor_for


def fetched(handle, *names):
    return Fetched(location=locate(handle), directory=installed(handle, *names))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "tfhub"))


def test_an_encoder_without_a_vocabulary_needs_that_of_its_page():
    assert preprocessor_for(fetched(DISTILBERT, "saved_model.pb")) == TEXT


@pytest.mark.parametrize(
    ("handle", "names"),
    [
        (DISTILBERT, ("saved_model.pb", "assets/vocab.txt")),
        (DISTILBERT, ("config.json",)),
        ("https://example.org/unknown/1", ("saved_model.pb",)),
    ],
    ids=["it has a vocabulary", "it is no SavedModel", "nobody knows its page"],
)
def test_others_need_none(handle, names):
    assert preprocessor_for(fetched(handle, *names)) is None


def test_a_path_needs_none(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    location = Location(handle=str(tmp_path), kind="path", address=str(tmp_path))
    assert preprocessor_for(Fetched(location=location, directory=tmp_path)) is None
