"""The README, executed: every Python block and every wellread command, in a directory of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from exports import kobert_module
from hub_uploads import TOKEN, uploads
from tiny import tiny_module
from true_shapes import ON_HUGGING_FACE

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if "wellread " in line
]
STSB = "genre\tfile\tyear\t{}\t{}\tA man runs.\tThe {} sleeps.\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Make what the README takes for granted: a directory of a model, texts, pairs."""
    place = tmp_path_factory.mktemp("readme")
    tiny_module(place / "files").save(place / "model")
    replace(ON_HUGGING_FACE, layers=2, hidden=128, heads=2, vocabulary="uncased").module().save(place / "small-bert")
    (place / "texts.txt").write_text("The man is playing the guitar.\nA woman runs to the cat.\n" * 20, "utf-8")
    (place / "held-out.txt").write_text("The woman is playing the guitar.\n" * 5, "utf-8")
    for name, rounds in (("reviews", 12), ("reviews-dev", 4)):
        rows = [f"The {word} film {i}.\t{label}\n" for i in range(rounds) for word, label in (("fine", 1), ("sad", 0))]
        (place / f"{name}.tsv").write_text("".join(["text\tlabel\n", *rows]), "utf-8")
    words = ["cat", "man", "woman", "guitar"]
    (place / "sts-dev.csv").write_text("".join(STSB.format(i, i, word) for i, word in enumerate(words)), "utf-8")
    return place


@pytest.fixture(scope="module")
def hub(place):
    """A hub with a small DistilKoBERT, and room for what the README pushes: the environment that leads there."""
    folder = place / "kobert"
    kobert_module().save(folder)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with uploads() as (address, state):
        state.repositories["monologg/distilkobert"] = files
        yield {"HF_ENDPOINT": address, "HF_TOKEN": TOKEN, "HF_HOME": str(place / "hf"), "HF_HUB_DISABLE_XET": "1"}


def stands_in(text, place):
    """Put the tiny model where the README names one that is not at hand."""
    for name in ("sentence-transformers/all-MiniLM-L6-v2", "path/to/directory", "path/to/teacher"):
        text = text.replace(name, str(place / "model"))
    text = text.replace("path/to/small-bert", str(place / "small-bert"))
    tiny = "--num-hidden-layers 1 --hidden-size 8 --num-attention-heads 2 --num-train-epochs 1"
    return text.replace("TEXTS...", f"texts.txt {tiny}")


def run(command, place, hub):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    caches = {"TFHUB_CACHE_DIR": str(place / "tfhub"), "WELLREAD_CACHE": str(place / "cache")}
    environment = {**os.environ, **hub, **caches, "PATH": path, "NO_PROXY": "127.0.0.1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_has_examples_and_nothing_unfilled():
    assert len(PYTHON) >= 4
    assert len(COMMANDS) >= 8
    assert "_TABLE" not in README


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_a_python_block_runs_and_prints_what_it_says(block, place, hub):
    printed = run([sys.executable, "-c", stands_in(block, place)], place, hub)
    for shown in re.findall(r"# (\(\d.*?\)|\[\d.*?\])$", block, re.MULTILINE):
        assert shown in printed


def test_the_commands_run_in_their_order(place, hub):
    for command in COMMANDS:
        run(["bash", "-c", stands_in(command, place)], place, hub)


def test_every_file_that_the_documents_name_is_there():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8")):
            assert "://" in target or (document.parent / target).exists(), f"{document.name} names {target}"


def test_every_verb_stands_in_the_readme():
    from wellread.cli.main import VERBS

    for verb in VERBS:
        assert f"wellread {verb}" in README, verb
