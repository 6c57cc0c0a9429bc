"""Against the last transformers 4, in a process of its own: what wellread saves opens in it and gives the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import opened as opened_by
import pytest
from neighbours import FAMILIES, TOKENIZERS, assert_same, neighbour, texts

import wellread

PLACE = Path(sys.prefix) / "transformers4"
CASES = [(family, name) for family in FAMILIES for name in TOKENIZERS]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Every family with every tokenizer, saved by wellread, opened by transformers 4: directory -> what it made."""
    assert PLACE.is_dir(), f"transformers 4 must lie in {PLACE}; found nothing there; run: make .venv/{PLACE.name}"
    place = tmp_path_factory.mktemp("modules")
    saved = {}
    for number, (family, name) in enumerate(CASES):
        saved[family, name] = place / str(number)
        neighbour(place / f"files {number}", name, family=family).save(saved[family, name])
    (place / "texts.json").write_text(json.dumps(texts()))
    pairs = [str(path) for directory in saved.values() for path in (directory, f"{directory}.npz")]
    command = [sys.executable, opened_by.__file__, str(place / "texts.json"), *pairs]
    # TensorFlow would be imported by transformers 4 where it is installed, and takes long
    environment = {**os.environ, "PYTHONPATH": str(PLACE), "USE_TF": "0", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return saved


@pytest.mark.parametrize(("family", "name"), CASES)
def test_what_wellread_saves_gives_the_same_in_it(opened, family, name):
    directory = opened[family, name]
    with np.load(f"{directory}.npz") as file:
        found = dict(file)
    assert str(found.pop("version")).startswith("4.")
    assert_same(wellread.load(directory), found)
