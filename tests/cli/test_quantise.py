"""wellread quantise, run as a person runs it."""

import json

import pytest
from click.testing import CliRunner
from tiny import tiny_module
from trims import corpus

import wellread
from wellread.cli.main import group

pytestmark = pytest.mark.filterwarnings("ignore::wellread.errors.TruncationWarning")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_module(tmp_path / "files").save(tmp_path / "module")
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in corpus()[:40]), "utf-8")
    pairs = [f"main\tf\t2012\t{i}\t{i % 6}\ta man runs{' .' * i}\tthe cat {'sleeps ' * i}\n" for i in range(12)]
    (tmp_path / "pairs.csv").write_text("".join(pairs), "utf-8")

    def run(*arguments):
        return CliRunner().invoke(group, ["quantise", *arguments])

    return run


def test_quantise(run, tmp_path):
    done = run("module", "texts.txt", "-o", "small", "--budget", "0.9", "--evaluate", "pairs.csv")
    assert done.exit_code == 0, done.output
    small = wellread.load(tmp_path / "small")
    report = small.provenance["quantise"]
    said = done.output.splitlines()
    assert said[0] == "module: small"
    assert said[1] == f"megabytes: {report['megabytes_before']} -> {report['megabytes_after']}"
    assert said[2].startswith(f"cosine to float32: {report['mean_cosine']:.6f} on average, ")
    assert said[4].startswith("similarity: spearman: ")
    assert said[5] == "texts: 20 to calibrate, 20 held out, texts.txt"
    assert said[6] == "int8 matrices: 20"
    assert small.checkpoint.has_int8


def test_the_module_may_be_named_by_an_option_and_all_arguments_are_texts(run, tmp_path):
    (tmp_path / "more.txt").write_text("paris\n" * 4)
    done = run("texts.txt", "more.txt", "-m", "module", "-o", "small", "--budget", "0.9")
    assert done.exit_code == 0, done.output
    assert wellread.load(tmp_path / "small").provenance["quantise"]["texts"] == "texts.txt, more.txt"


def test_json_and_overwriting(run, tmp_path):
    arguments = ("module", "texts.txt", "-o", "small", "--budget", "0.9", "--json", "--dtype", "float16")
    report = json.loads(run(*arguments).output)
    assert report["output"] == "small"
    assert report["mean_cosine"] > 0.9
    again = run(*arguments)
    assert again.exit_code == 3
    assert "exists; remove it or choose another name, or overwrite it (--overwrite)" in again.output
    assert run(*arguments, "--overwrite").exit_code == 0
    assert set(wellread.load(tmp_path / "small").info()["stored_as"]) == {"float16", "float32", "int8"} - {"float32"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("module", "texts.txt", "--budget", "1.0"), 3, "above 0 and below 1; found 1.0"),
        (
            ("module", "texts.txt", "--budget", "0.9999999999999"),
            3,
            "at best with any matrix in int8; lower the budget",
        ),
        (("module", "none.txt"), 3, "No such file"),
        (("texts.txt",), 2, "found the file of texts texts.txt; name the module first, then the texts"),
        (("module", "texts.txt", "-m", "files"), 2, "found module and --model files; name one of them"),
        (("module", "--evaluate-format", "stsb"), 2, "says what the FILE of --evaluate is; found none"),
        (("module", "texts.txt", "--evaluate", "texts.txt"), 3, "texts.txt"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(run, tmp_path, arguments, code, message):
    done = run(*arguments, "-o", "small")
    assert (done.exit_code, message in done.output) == (code, True), done.output
    assert not (tmp_path / "small").exists()


def test_a_module_of_int8_is_refused(run):
    assert run("module", "texts.txt", "-o", "small", "--budget", "0.9").exit_code == 0
    done = run("small", "texts.txt", "-o", "smaller")
    assert (done.exit_code, "found one of int8; quantise the one that it was made of" in done.output) == (3, True)
