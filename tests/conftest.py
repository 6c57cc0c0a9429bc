"""What tests of several rooms use."""

import pytest
from hypothesis import settings

settings.register_profile("gate", deadline=None)  # a slow machine is no failure
settings.load_profile("gate")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the tests out of the cache of whoever runs them, and that out of the tests; measure nothing on the side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WELLREAD_CHOICE", "off")
        patch.setenv("WELLREAD_CACHE", str(tmp_path_factory.mktemp("wellread-cache")))
        yield
