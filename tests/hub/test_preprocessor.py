"""preprocessor: which encoders need the one of their page."""

import pytest
from tfhub_places import DISTILBERT, TEXT, installed

from wellread.hub.handles import preprocessor_for


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "tfhub"))


def test_an_encoder_without_a_vocabulary_needs_that_of_its_page():
    assert preprocessor_for(DISTILBERT, installed(DISTILBERT, "saved_model.pb")) == TEXT


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
    assert preprocessor_for(handle, installed(handle, *names)) is None


def test_a_path_needs_none(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    assert preprocessor_for(tmp_path, tmp_path) is None
