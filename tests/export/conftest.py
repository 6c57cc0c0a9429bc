"""Five tiny modules, exported once: each takes a while. The first two are deep enough to tell the layers apart."""

import pytest
from exports import Export, exported, kobert_module, own_ids_module, written
from headed import headed_checkpoint
from tiny import tiny_config, tiny_module, tiny_tokenizer

from wellread.module import Module


@pytest.fixture(scope="session")
def bert(tmp_path_factory) -> Export:
    """BERT with its head."""
    place = tmp_path_factory.mktemp("bert")
    return exported(tiny_module(place / "files"), place)


@pytest.fixture(scope="session")
def distilbert(tmp_path_factory) -> Export:
    """DistilBERT without its head, the encoder alone: KoBERT is one with its preprocessor."""
    place = tmp_path_factory.mktemp("distilbert")
    config = tiny_config(type_vocab_size=0, pooler="first_token")
    return exported(tiny_module(place / "files", config=config, mlm=False), place, bare=True)


@pytest.fixture(scope="session")
def kobert(tmp_path_factory) -> Export:
    """KoBERT's vocabulary, through vocab.txt."""
    return exported(kobert_module(num_hidden_layers=1), tmp_path_factory.mktemp("kobert"))


@pytest.fixture(scope="session")
def own_ids(tmp_path_factory) -> Export:
    """SentencePiece under its own ids: written, not compared."""
    place = tmp_path_factory.mktemp("own_ids")
    return written(own_ids_module(place, num_hidden_layers=1), place)


@pytest.fixture(scope="session")
def judge(tmp_path_factory) -> Export:
    """A DistilBERT that was fine-tuned to label a text; see `tests/headed.py`."""
    place = tmp_path_factory.mktemp("judge")
    checkpoint = headed_checkpoint("classify", "distilbert", sizes={"num_hidden_layers": 1})
    return exported(Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(place / "files")), place, bare=True)
