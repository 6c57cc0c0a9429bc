"""The documents' modules, revived under their handles."""

import pytest
from true_shapes import DOCUMENTS

from wellread.export.revive import revive
from wellread.module import Module


@pytest.fixture(scope="session")
def tfhub_cache(tmp_path_factory):
    """A cache of TF Hub in which the modules of the documents live again, each revived when it is first asked for."""
    cache = tmp_path_factory.mktemp("tfhub")
    patch = pytest.MonkeyPatch()
    patch.setenv("TFHUB_CACHE_DIR", str(cache))
    revived: dict[str, Module] = {}

    def get(name: str) -> Module:
        if name not in revived:
            module = DOCUMENTS[name].module()
            found = revive(DOCUMENTS[name].encoder, module)
            assert found.preprocessor == DOCUMENTS[name].preprocessor
            revived[name] = module
        return revived[name]

    yield get
    patch.undo()
