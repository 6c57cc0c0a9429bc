"""wellread trim, run as a person runs it."""

import json

import pytest
from click.testing import CliRunner
from tiny import tiny_module
from verbs import run_verb

import wellread
from wellread.cli.trim import command


@pytest.fixture
def run(tmp_path, monkeypatch):
    tiny_module(tmp_path / "files").save(tmp_path / "module")
    (tmp_path / "texts.txt").write_text("a man is playing the guitar\n" * 25)
    (tmp_path / "pieces.txt").write_text("paris\n")

    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0, given=""):
        return run_verb("trim", tmp_path / "module", *arguments, code=code, given=given)

    return run


def test_trim(run, tmp_path):
    said = run("--texts", "texts.txt", "--keep", "pieces.txt", "-o", "small")
    small = wellread.load(tmp_path / "small")
    rows = small.tokenizer.vocab_size
    assert f"module: small\nrows: 99 -> {rows}\nparameters: " in said
    assert said.endswith("held out: of 1 texts 100.00% keep all their pieces, of 6 tokens 100.00%\n")
    assert "paris" in small.tokenizer.vocabulary.pieces
    assert "exists; remove it or choose another name, or overwrite it (--overwrite)" in run(
        "--texts", "texts.txt", "-o", "small", code=3
    )
    assert "counted" not in run("--texts", "-", "-o", "piped", given="paris\n" * 3)
    assert wellread.load(tmp_path / "piped").tokenizer.vocab_size < 40
    found = json.loads(run("--language", "English", "-o", "small", "--overwrite", "--json"))
    assert (found["output"], found["rows_before"], found["held_out_texts"]) == ("small", 99, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        ((), 3, "found nothing that says what to keep; pass texts, --keep, --language or --layers"),
        (("--texts", "missing.txt"), 3, "found no missing.txt; check the paths"),
        (("--layers", "0,x"), 2, "--layers takes numbers with commas, as 0,4,8; found '0,x'; correct them"),
        (("--layers", "0,7"), 3, "the layers 0, 7 were to be kept; found an encoder of the layers 0 to 2"),
        (("--language", "kr"), 3, "--language must name one whose letters wellread knows: af, am"),
    ],
)
def test_what_cannot_be_trimmed_is_said(run, tmp_path, arguments, code, found):
    assert found in run(*arguments, "-o", "small", code=code)
    assert not (tmp_path / "small").exists()


def test_texts_in_the_place_of_the_module_are_said(tmp_path):
    (tmp_path / "texts.txt").write_text("paris\n")
    done = CliRunner().invoke(command, [str(tmp_path / "texts.txt"), "-o", str(tmp_path / "small")])
    assert done.exit_code == 2
    assert "HANDLE names the module; found the file of texts" in done.output
