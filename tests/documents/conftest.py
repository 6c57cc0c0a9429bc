"""The documents' modules, revived under their handles."""

from contextlib import contextmanager

import pytest
from hub_server import ReadableHub, serving
from true_shapes import DOCUMENTS, Document

from wellread.export.revive import revive
from wellread.export.tfhub import export_tfhub
from wellread.module import Module

collect_ignore = ["blocks.py", "package_blocks.py"]  # programs, run in processes of their own


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


@pytest.fixture
def hugging_face(tmp_path):
    """A hub that holds the two repositories of document 004: its address, for an encoder of the shape asked for."""

    @contextmanager
    def serve(document: Document):
        encoder, preprocessor = tmp_path / "encoder", tmp_path / "preprocessor"
        export_tfhub(document.module(), encoder, preprocessor=preprocessor)
        made = {document.encoder: encoder, document.preprocessor: preprocessor}
        repositories = {
            name: {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
            for name, place in made.items()
        }
        with serving(type("OwnHub", (ReadableHub,), {"repositories": repositories})) as address:
            yield {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1"}

    return serve
