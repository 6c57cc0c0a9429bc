"""README and guide, executed: every Python block and every wellread command, each page in a directory of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from exports import kobert_module
from headed import headed_checkpoint
from hub_uploads import TOKEN, uploads
from tiny import tiny_module
from true_shapes import ON_HUGGING_FACE

ROOT = Path(__file__).parent.parent.parent
CHAPTERS = (
    *("load", "embed", "corpus", "search", "train", "distil", "shrink", "ship", "onnx"),
    *("neighbours", "mcp", "serve"),
)
PAGES = ("README.md", *(f"docs/guide/{name}.md" for name in CHAPTERS))
# What of a command would take long here, though it does not on a machine of one's own, or wants a larger teacher.
ABRIDGED = {
    "--layers 0,2,4,5": "--layers 0,1",
    "--student start": "--student start --max-seq-length 32",
    "--baseline fasttext": "--baseline fasttext --no-tune --quantised-megabytes 0.1",
    "--budget 2h": "--max-steps 4 --candidates 2 --dtypes float16",
}
STSB = "genre\tfile\tyear\t{}\t{}\tA man runs.\tThe {} sleeps.\n"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Make what the pages take for granted: directories of models, texts, labelled rows, pairs."""
    files = tmp_path_factory.mktemp("pages")
    tiny = tiny_module(files / "files")
    tiny.save(files / "path" / "to" / "directory")
    replace(tiny, checkpoint=headed_checkpoint("rank")).save(files / "path" / "to" / "reranker")
    small = replace(ON_HUGGING_FACE, layers=2, hidden=128, heads=2, vocabulary="uncased").module()
    small.save(files / "path" / "to" / "small-bert")
    kobert_module().save(files / "kobert")
    (files / "path" / "to" / "teacher").symlink_to(files / "path" / "to" / "directory")
    (files / "path" / "to" / "other-teacher").symlink_to(files / "path" / "to" / "small-bert")
    lines = ["The man is playing the guitar.", "A woman runs to the cat."] * 20
    (files / "texts.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (files / "texts.csv").write_text("id,title,body\n" + "".join(f"{i},no,{line}\n" for i, line in enumerate(lines)))
    (files / "held-out.txt").write_text("The woman is playing the guitar.\n" * 5, "utf-8")
    for name, rounds in (("reviews", 12), ("reviews-dev", 4)):
        rows = [f"The {word} film {i}.\t{label}\n" for i in range(rounds) for word, label in (("fine", 1), ("sad", 0))]
        (files / f"{name}.tsv").write_text("".join(["text\tlabel\n", *rows]), "utf-8")
    words = ["cat", "man", "woman", "guitar"]
    (files / "sts-dev.csv").write_text("".join(STSB.format(i, i, word) for i, word in enumerate(words)), "utf-8")
    return files


@pytest.fixture(scope="module")
def directory(files, tmp_path_factory):
    """Return the directory in which a page runs, the same for all blocks of that page."""
    directories: dict[str, Path] = {}

    def of(page: str) -> Path:
        if page not in directories:
            directories[page] = tmp_path_factory.mktemp("page")
            for path in files.iterdir():
                (directories[page] / path.name).symlink_to(path)
        return directories[page]

    return of


@pytest.fixture(scope="module")
def hub(files):
    """Serve a hub with a small DistilKoBERT and room for what the guide pushes; return the environment for it."""
    kobert = files / "kobert"
    content = {path.relative_to(kobert).as_posix(): path.read_bytes() for path in kobert.rglob("*") if path.is_file()}
    with uploads() as (address, state):
        state.repositories["monologg/distilkobert"] = content
        yield {"HF_ENDPOINT": address, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}


def run(command, directory, hub):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    caches = {name: str(directory / name.lower()) for name in ("HF_HOME", "TFHUB_CACHE_DIR", "WELLREAD_CACHE")}
    environment = {**os.environ, **hub, **caches, "PATH": path, "NO_PROXY": "127.0.0.1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=environment)
    assert finished.returncode == 0, f"{command}\n{finished.stderr}"
    return finished.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_in_their_order(page, directory, hub):
    tiny = "texts.txt --num-hidden-layers 1 --hidden-size 8 --num-attention-heads 2 --num-train-epochs 1"
    assert commands(page)
    for command in commands(page):
        for words, shorter in ABRIDGED.items():
            command = command.replace(words, shorter)
        run(["bash", "-c", command.replace("TEXTS...", tiny)], directory(page), hub)


@pytest.mark.parametrize(("page", "block"), [(page, block) for page in PAGES for block in blocks(page, "python")])
def test_a_python_block_runs_twice_and_prints_what_it_says(page, block, directory, hub):
    if "chromadb" in block:
        pytest.importorskip("chromadb", reason="make neighbours installs it")
    again = "overwrite=True" in block and "quantise(" not in block  # half a minute, for what other blocks save again
    for _ in range(2 if again else 1):
        printed = run([sys.executable, "-c", block], directory(page), hub)
    for shown in re.findall(r"# (\(\d.*?\)|\[\d.*?\])$", block, re.MULTILINE):
        assert shown in printed


def clusters_blocks():
    """Give the blocks of the page of clusters: those whose engine takes long to start are slow."""
    for block in blocks("docs/guide/ray.md", "python"):
        (engine,) = {"ray", "pyspark", "dask", "daft"} & set(re.findall(r"^(?:import|from) (\w+)", block, re.MULTILINE))
        yield pytest.param(engine, block, marks=[pytest.mark.slow] if engine in ("ray", "pyspark") else [])


@pytest.mark.parametrize(("engine", "block"), [*clusters_blocks()])
def test_a_block_of_the_page_of_clusters_runs(engine, block, directory, hub):
    pytest.importorskip(engine)
    printed = run([sys.executable, "-c", block], directory("docs/guide/ray.md"), hub)
    for shown in {"ray": r"40|True", "dask": r"\(40, 4\)"}.get(engine, "").split("\n"):
        assert re.search(shown, printed)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= 900


def test_every_verb_stands_in_the_readme_or_the_guide():
    from wellread.cli.help import VERBS

    text = "\n".join(line for page in PAGES for line in commands(page))
    assert [verb for verb in VERBS if f"wellread {verb}" not in text] == []


def test_every_file_that_the_documents_name_is_there():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
            assert "://" in target or (document.parent / target).exists(), f"{document.name} names {target}"
