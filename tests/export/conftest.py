"""Three tiny modules, exported once: BERT with its head, DistilBERT without, KoBERT's vocabulary through vocab.txt."""

import pytest
from exports import Export, exported, kobert_module, own_ids_module
from tiny import tiny_config, tiny_module


@pytest.fixture(scope="session")
def bert(tmp_path_factory) -> Export:
    place = tmp_path_factory.mktemp("bert")
    return exported(tiny_module(place / "files"), place)


@pytest.fixture(scope="session")
def distilbert(tmp_path_factory) -> Export:
    place = tmp_path_factory.mktemp("distilbert")
    config = tiny_config(type_vocab_size=0, pooler="first_token")
    return exported(tiny_module(place / "files", config=config, mlm=False), place)


@pytest.fixture(scope="session")
def kobert(tmp_path_factory) -> Export:
    return exported(kobert_module(), tmp_path_factory.mktemp("kobert"))


@pytest.fixture(scope="session")
def own_ids(tmp_path_factory) -> Export:
    place = tmp_path_factory.mktemp("own_ids")
    return exported(own_ids_module(place), place)
