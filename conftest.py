"""How pytest runs here: what it leaves out, how it collects, and in which order the files come."""

import gc
from importlib.util import find_spec

# Adapters whose import refuses where their library is not installed: `make neighbours` installs these, `make test` the
# others.
LIBRARIES = {"chroma": "chromadb"}
collect_ignore = [
    f"src/wellread/integrations/{adapter}.py" for adapter, library in LIBRARIES.items() if find_spec(library) is None
]

# The files that take longest, longest first: of two workers, neither ends alone with one of these. The others come as
# they are collected.
LONGEST = (
    *("docs/test_pages.py", "export/test_tfhub.py", "documents/test_documents.py", "export/test_revive.py"),
    *("benchmarks/test_encode.py", "keras/test_frameworks.py", "docs/test_examples.py", "benchmarks/test_learn.py"),
)


def pytest_collection():
    """Look for no garbage while hundreds of modules are imported, which all stay: that takes a fifth of the time."""
    gc.disable()


def pytest_collection_modifyitems(config, items):
    """Put the longest files first."""
    places = {config.rootpath / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish():
    """Look for garbage again, among what the tests make."""
    gc.freeze()
    gc.enable()
