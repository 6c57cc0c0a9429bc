"""docs/handles.md is what the catalog says today."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("handles_page", ROOT / "tools" / "handles_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_catalog(tool):
    found = (ROOT / "docs" / "handles.md").read_text("utf-8")
    assert found == tool.page(), "run python tools/handles_page.py"


def test_every_handle_of_the_documents_resolves_or_names_a_living_one(tool):
    lines = list(tool._documents())[2:]
    assert len(lines) == sum(map(len, tool.DOCUMENTS.values()))
    assert not [line for line in lines if "unknown to the catalog" in line]


def test_versions_are_drawn_together_and_the_dead_struck_out(tool):
    page = tool.page()
    assert "`tensorflow/bert_en_uncased_L-12_H-768_A-12/1-4`" in page
    assert "~~`google/bert_uncased_L-12_H-768_A-12/1`~~" in page
