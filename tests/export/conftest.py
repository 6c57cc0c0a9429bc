"""Five tiny modules, exported once; see the fixtures of `tests/conftest.py` for the first two."""

import pytest
from exports import Export, exported, kobert_module, own_ids_module
from headed import headed_checkpoint
from tiny import tiny_tokenizer

from wellread.module import Module


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


@pytest.fixture(scope="session")
def judge(tmp_path_factory) -> Export:
    """A DistilBERT that was fine-tuned to label a text; see `tests/headed.py`."""
    place = tmp_path_factory.mktemp("judge")
    checkpoint = headed_checkpoint("classify", "distilbert")
    return exported(Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(place / "files")), place)
