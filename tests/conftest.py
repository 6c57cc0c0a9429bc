"""What tests of several rooms use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from exports import Export

settings.register_profile("gate", deadline=None)  # a slow machine is no failure
settings.load_profile("gate")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the tests out of the cache of whoever runs them, and that out of the tests; measure nothing on the side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WELLREAD_CHOICE", "off")
        patch.setenv("WELLREAD_CACHE", str(tmp_path_factory.mktemp("wellread-cache")))
        yield


@pytest.fixture(scope="session")
def exported_bert(tmp_path_factory) -> Export:
    """A tiny BERT with its head, written for TF Hub; it takes a while, so it is made once."""
    from exports import exported
    from tiny import tiny_module

    place = tmp_path_factory.mktemp("bert")
    return exported(tiny_module(place / "files"), place)


@pytest.fixture(scope="session")
def exported_distilbert(tmp_path_factory) -> Export:
    """A tiny DistilBERT without its head, written for TF Hub."""
    from exports import exported
    from tiny import tiny_config, tiny_module

    place = tmp_path_factory.mktemp("distilbert")
    config = tiny_config(type_vocab_size=0, pooler="first_token")
    return exported(tiny_module(place / "files", config=config, mlm=False), place)
