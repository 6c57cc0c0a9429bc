"""Four tiny modules, exported once; see the fixtures of `tests/conftest.py` for the first two."""

import pytest
from exports import Export, exported, kobert_module, own_ids_module


@pytest.fixture(scope="session")
def bert(exported_bert) -> Export:
    return exported_bert


@pytest.fixture(scope="session")
def distilbert(exported_distilbert) -> Export:
    return exported_distilbert


@pytest.fixture(scope="session")
def kobert(tmp_path_factory) -> Export:
    """KoBERT's vocabulary, through vocab.txt."""
    return exported(kobert_module(), tmp_path_factory.mktemp("kobert"))


@pytest.fixture(scope="session")
def own_ids(tmp_path_factory) -> Export:
    """SentencePiece under its own ids."""
    place = tmp_path_factory.mktemp("own_ids")
    return exported(own_ids_module(place), place)
