"""docs/settings.md is what the code says today, and leaves no setting without a word."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("settings_page", ROOT / "tools" / "settings_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.page()


def test_the_page_is_that_of_the_code(page):
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == page, "run python tools/settings_page.py"


def test_every_setting_is_explained(page):
    assert page.count("| `") > 50
    assert not [line for line in page.splitlines() if line.endswith("|  |")]


def test_what_a_verb_begins_with_stands_there(page):
    assert "Its loop begins with `per_device_train_batch_size = 32`, `learning_rate = 5e-05`" in page
    assert '| `teacher_layers` | `"0, 2, 4, 7, 9, 11"` |' in page
