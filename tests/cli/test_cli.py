"""The command line, run as a person runs it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import tiny_module

import wellread
from wellread.cli.help import VERBS

TEXTS = ["A man is playing the guitar.", "", "A cat sleeps!"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cli")
    tiny_module(directory / "files").save(directory / "module")
    return directory / "module"


def run(*arguments, given=b"", code=0):
    command = [sys.executable, "-m", "wellread.cli.main", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode() if code == 0 else done.stderr.decode()


def numbers(printed):
    return np.array([[float(value) for value in line.split()] for line in printed.splitlines()])


def test_embed_arguments_stdin_and_a_file_agree(saved, tmp_path):
    expected = wellread.load(saved).encode(TEXTS, precision="f32")
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS), "utf-8")
    for arguments, given in (
        (TEXTS, b""),
        ([], "\r\n".join(TEXTS).encode()),
        ([tmp_path / "texts.txt"], b""),
    ):
        printed = run("embed", "-m", saved, "--precision", "f32", *arguments, given=given)
        assert np.allclose(numbers(printed), expected, atol=1e-4)


def test_embed_prints_json(saved):
    printed = run("embed", "-m", saved, "--json", "--precision", "f32", *TEXTS)
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["text"] for line in lines] == TEXTS
    expected = wellread.load(saved).encode(TEXTS, precision="f32")
    assert np.allclose([line["embedding"] for line in lines], expected, atol=1e-6)


def test_embed_writes_files(saved, tmp_path):
    expected = wellread.load(saved).encode(TEXTS, normalize_embeddings=True, precision="f32")
    for name in ("v.npy", "v.parquet", "v.jsonl", "v.csv"):
        run("embed", "-m", saved, "--normalize", "--precision", "f32", "-o", tmp_path / name, *TEXTS)
    assert np.allclose(np.load(tmp_path / "v.npy"), expected, atol=1e-6)
    table = pq.read_table(tmp_path / "v.parquet")
    assert table["text"].to_pylist() == TEXTS
    assert np.allclose(table["embedding"].to_pylist(), expected, atol=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert np.allclose([line["embedding"] for line in lines], expected, atol=1e-6)
    rows = list(csv.reader((tmp_path / "v.csv").read_text().splitlines()))
    assert rows[0] == ["text", *map(str, range(expected.shape[1]))]
    assert [row[0] for row in rows[1:]] == TEXTS
    assert np.allclose(np.array([row[1:] for row in rows[1:]], float), expected, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.csv", "v.jsonl", "v.npy", "v.parquet"]


def test_embed_refuses_an_unknown_kind_of_file_before_it_works(tmp_path):
    message = run("embed", "-m", "/no/such", "-o", tmp_path / "v.parqet", "a", code=3)
    assert "wellread writes .npy, .parquet, .jsonl, .csv, .lance and folders" in message
    assert "name such a file (did you mean .parquet?)" in message
    assert message.count("\n") == 1


def test_embed_reports_what_it_cut_and_chunks_it_away(saved):
    long = "the cat runs . " * 20
    command = [sys.executable, "-m", "wellread.cli.main", "embed", "-m", str(saved), long]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 of 1 texts were too long and lost at least 30 tokens" in done.stderr
    done = subprocess.run([*command, "--on-long", "chunk"], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_embed_refuses_bytes_that_are_no_utf8(saved):
    message = run("embed", "-m", saved, given=b"caf\xe9\n", code=3)
    assert "UTF-8 was asked of standard input; line 1 is not UTF-8 (byte 3: " in message


def test_embed_an_empty_input_gives_nothing(saved):
    assert run("embed", "-m", saved, given=b"") == ""


@pytest.mark.parametrize("name", ["v.npy", "v.parquet", "v.jsonl", "v.csv"])
def test_a_full_disk_leaves_nothing(saved, tmp_path, name):
    """The disk is full after some vectors; what stood there stays."""
    (tmp_path / name).write_bytes(b"old")
    limited = f"ulimit -f 16; {sys.executable} -m wellread.cli.main embed -m {saved} --overwrite -o {tmp_path / name}"
    lines = "".join(f"a word{i % 71} word{i % 61}\n" for i in range(4000)).encode()
    done = subprocess.run(["bash", "-c", limited], input=lines, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    assert re.search(r"results were to be written to .*; found that File too large; make room", done.stderr.decode())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        ("missing/v.npy", "found that there is no directory "),
        ("folder.npy", "found that it is a directory; choose another place"),
        (
            "v.txt",
            "wellread writes .npy, .parquet, .jsonl, .csv, .lance and folders without an ending; name such a file",
        ),
    ],
)
def test_the_place_of_the_output_is_checked_before_any_work(tmp_path, output, fault):
    (tmp_path / "folder.npy").mkdir()
    assert fault in run("embed", "-m", "/no/such", "-o", tmp_path / output, "a man", code=3)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npy"]


def test_what_a_npy_cannot_hold_is_refused_before_any_work(tmp_path):
    found = run("embed", "-m", "/no/such", "-o", tmp_path / "v.npy", "--dtype", "int8", "a man", code=3)
    assert "pass --dtype float16, or name a .parquet file" in found
    assert not list(tmp_path.iterdir())


def test_json_beside_an_output_says_what_was_written(saved, tmp_path):
    said = json.loads(run("embed", "-m", saved, "--json", "-o", tmp_path / "v.JSONL", "a man"))
    assert (said["rows"], said["nulls"], said["output"]) == (1, 0, str(tmp_path / "v.JSONL"))
    assert json.loads((tmp_path / "v.JSONL").read_text())["text"] == "a man"


def test_embed_writes_windows_as_it_goes(saved, tmp_path, monkeypatch):
    """Files of several windows are those of one, and the header of .npy gets the number of rows."""
    from click.testing import CliRunner

    from wellread.cli import embed
    from wellread.corpus import embed as corpus

    texts = [f"a man {word}" for word in ("runs", "sleeps", "is playing", "of france", ".")]
    expected = wellread.load(saved).encode(texts, precision="f32")
    monkeypatch.setattr(corpus, "WINDOW", 2)
    for name in ("v.npy", "v.parquet", "v.jsonl", "v.csv"):
        arguments = ["-m", str(saved), "--precision", "f32", "-o", str(tmp_path / name), *texts]
        assert CliRunner().invoke(embed.command, arguments, catch_exceptions=False).exit_code == 0
    vectors = np.load(tmp_path / "v.npy")
    assert (vectors.dtype, vectors.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    table = pq.ParquetFile(tmp_path / "v.parquet")
    assert table.num_row_groups == 3
    assert table.read()["text"].to_pylist() == texts
    np.testing.assert_allclose(table.read()["embedding"].to_pylist(), expected, atol=1e-5)
    assert len((tmp_path / "v.jsonl").read_text().splitlines()) == 5
    assert len((tmp_path / "v.csv").read_text().splitlines()) == 6  # one header


def test_no_texts_make_a_file_of_no_rows(saved, tmp_path):
    run("embed", "-m", saved, "--truncate-dim", "5", "-o", tmp_path / "v.npy", given=b"")
    assert np.load(tmp_path / "v.npy").shape == (0, 5)


def test_embed_takes_columns_and_its_own_output(saved, tmp_path):
    (tmp_path / "a.csv").write_text('id,title,review\n1,A,"a man, who\nruns"\n2,B,the cat\n')
    texts = ["a man, who\nruns", "the cat"]
    printed = run("embed", "-m", saved, "--column", "review", tmp_path / "a.csv")
    assert (
        printed
        == run("embed", "-m", saved, *texts)
        == run("embed", "-m", saved, "--text", "review", tmp_path / "a.csv")
    )
    said = run("embed", "-m", saved, tmp_path / "a.csv", code=3)
    assert "found 2 among id, title, review; name one with --text" in said
    said = run("embed", "-m", saved, "--text", "reveiw", tmp_path / "a.csv", code=3)
    assert "it has id, title, review; name one of them with --text (did you mean review?)" in said
    run("embed", "-m", saved, "--text", "review", "-o", tmp_path / "v.parquet", tmp_path / "a.csv")
    assert run("embed", "-m", saved, tmp_path / "v.parquet") == printed


def test_a_reader_that_goes_away_is_no_error(saved):
    command = f"{sys.executable} -m wellread.cli.main embed -m {saved} | head -n 1"
    lines = b"a man\n" * 5000
    done = subprocess.run(["bash", "-c", command], input=lines, capture_output=True, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert b"Traceback" not in done.stderr


def test_tokenize_reads_files(saved, tmp_path):
    (tmp_path / "a.tsv").write_text("n\ttext\n1\tA man!\n")
    assert (
        run("tokenize", "-m", saved, tmp_path / "a.tsv", tmp_path / "a.tsv")
        == run("tokenize", "-m", saved, "A man!") * 2
    )


def test_tokenize(saved):
    assert run("tokenize", "-m", saved, "A man!").split() == ["a=5", "man=6", "!=18"]
    line = json.loads(run("tokenize", "-m", saved, "--json", "A  man!"))
    assert (line["starts"], line["limits"]) == ([0, 3, 6], [1, 6, 7])


def test_fill_mask(saved):
    lines = run("fill-mask", "-m", saved, "-k", "2", "A [MASK] sleeps.").splitlines()
    assert len(lines) == 2
    guesses = [json.loads(line) for line in run("fill-mask", "-m", saved, "--json", "A [MASK].").splitlines()]
    assert len(guesses) == 5
    assert {"mask", "score", "token", "token_str", "sequence"} == set(guesses[0])


def test_info(saved):
    printed = run("info", saved)
    assert printed.startswith("family                   bert, with a masked-language-model head\n")
    assert re.search(r"^config\.hidden_size +12$", printed, re.MULTILINE)
    assert "None" not in printed
    facts = json.loads(run("info", saved, "--json"))
    assert facts["embedding_size"] == 12
    assert facts["mlm_logits"] is True
    assert "found tiny and --model default; name one of them" in run("info", "tiny", "-m", "default", code=2)


def test_info_of_a_saved_model_says_what_was_inferred_and_takes_a_preprocessor(tmp_path):
    import tf_made
    from tiny import tiny_checkpoint

    from wellread.checkpoints.tf_variables import TFHUB

    tf_made.write_saved_model(tmp_path / "encoder", tf_made.variables(TFHUB, tiny_checkpoint(tf_made.DISTILBERT)))
    words = tf_made.wordpiece(tmp_path / "words", lower_case=False)
    preprocessor = tf_made.write_preprocessor(tmp_path / "preprocessor", words)
    assert "pass the directory or handle of its preprocessor" in run("info", tmp_path / "encoder", code=3)
    printed = run("info", tmp_path / "encoder", "--tokenizer", preprocessor)
    assert re.search(r"^inferred\.hidden_act +gelu, as TF Hub's distilbert modules have it$", printed, re.MULTILINE)
    assert "=5" in run("tokenize", "-m", tmp_path / "encoder", "--tokenizer", preprocessor, "a")


def test_evaluate(saved, tmp_path):
    pairs = [("5.0", "A man runs.", "A man runs."), ("1.0", "A cat sleeps.", "The guitar !"), ("3", "a cat", "a man")]
    lines = [f"genre\tfile\tyear\t{i}\t" + "\t".join(pair) for i, pair in enumerate(pairs * 4)]
    (tmp_path / "sts.csv").write_text("\n".join(lines) + "\n", "utf-8")
    score = json.loads(run("evaluate", "stsb", tmp_path / "sts.csv", "-m", saved, "--json"))
    assert score["pairs"] == 12
    assert -1 <= score["low"] <= score["spearman"] <= score["high"] <= 1
    assert "spearman" in run("evaluate", "stsb", tmp_path / "sts.csv", "-m", saved)


def test_a_known_error_is_one_line_and_exit_3():
    message = run("embed", "-m", "/no/such/directory", "a", code=3)
    assert message.startswith("wellread: the handle '/no/such/directory' was given")
    assert message.count("\n") == 1


def test_wrong_usage_is_exit_2():
    assert "No such command" in run("embde", code=2)
    assert "No such option" in run("embed", "--modl", "x", code=2)


def test_a_bug_is_exit_1_with_its_traceback():
    code = "import wellread.cli.main as m, wellread.cli.options as o, sys\n"
    code += "import wellread.cli.embed as e\n"
    code += "def broken(**k): raise RuntimeError('a bug')\ne.load_module = broken\n"
    code += "sys.argv = ['wellread', 'embed', 'a']\nm.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: a bug" in done.stderr


def test_version():
    assert wellread.__version__ in run("--version")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_in_the_list_and_of_its_own(verb):
    assert verb in run("--help")
    answers = verb not in ("serve", "mcp")  # they speak to clients
    assert ("--json" in run(verb, "--help")) == answers


def test_export_refuses_what_stands_there(saved, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    said = run("export", saved, "--to", "tfhub", "-o", tmp_path / "mine", code=3)
    assert "mine was to be written; found that it exists; remove it" in said
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]
    assert "Invalid value for '--to'" in run("export", saved, "--to", "tfjs", "-o", tmp_path / "other", code=2)
