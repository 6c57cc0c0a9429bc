"""Pages that are written from the code say what the code says today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import wellread
from wellread.cli.help import VERBS

ROOT = Path(__file__).parent.parent.parent


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["api", "cli", "encoders", "handles", "settings"])
def test_a_page_is_that_of_the_code(name):
    assert (ROOT / "docs" / f"{name}.md").read_text("utf-8") == tool(f"{name}_page").page(), (
        f"run python tools/{name}_page.py"
    )


def test_every_verb_and_every_public_name_has_its_section():
    cli, api = ((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("cli", "api"))
    assert re.findall(r"^## ([a-z-]+)$", cli, re.MULTILINE) == sorted(VERBS)
    assert set(re.findall(r"^### (\w+)$", api, re.MULTILINE)) == {n for n in wellread.__all__ if n[0] != "_"}


def test_every_option_is_explained():
    cli = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert cli.count("| `-") > 150
    assert not [line for line in cli.splitlines() if line.startswith("| `-") and line.endswith("|  |")]


def test_every_setting_is_explained():
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page.count("| `") > 50
    assert not [line for line in page.splitlines() if line.endswith("|  |")]
    assert "Its loop begins with `per_device_train_batch_size = 32`, `learning_rate = 5e-05`" in page
    assert '| `teacher_layers` | `"0, 2, 4, 7, 9, 11"` |' in page


def test_every_handle_of_the_documents_resolves_or_names_a_living_one():
    handles = tool("handles_page")
    lines = list(handles._documents())[2:]
    assert len(lines) == sum(map(len, handles.DOCUMENTS.values()))
    assert not [line for line in lines if "unknown to the catalog" in line]
    assert "`tensorflow/bert_en_uncased_L-12_H-768_A-12/1-4`" in handles.page()
    assert "~~`google/bert_uncased_L-12_H-768_A-12/1`~~" in handles.page()


def test_the_readme_counts_the_encoders_that_are_read():
    rows = tool("encoders_page").ROWS.values()
    assert f"[{sum('refused' not in row for row in rows)} encoders of the hub](docs/encoders.md)" in (
        ROOT / "README.md"
    ).read_text("utf-8")
