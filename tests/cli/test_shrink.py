"""wellread shrink, as a person runs it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from learn.made_lessons import made_rows
from shrinking.searches import TEXTS, base

import wellread
from wellread.cli.main import group
from wellread.learn import log
from wellread.shrinking import reporting

FLAGS = (
    *(
        "--layers",
        "1",
        "--widths",
        "8, 16",
        "--vocabularies",
        "trimmed",
        "--dtypes",
        "float16",
        "--max-seq-length",
        "32",
    ),
    *("--candidates", "2", "--max-steps", "8", "--bf16", "false", "--distill-learning-rate", "5e-3"),
    *("--backend", "torch", "--speed-texts", "16"),
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "draw_runs", lambda *given, **named: None)
    monkeypatch.setattr(reporting, "find_spec", lambda name: None)
    base(tmp_path / "files").save(tmp_path / "base")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    rows = [f"{row['text']}\t{row['label']}\n" for row in made_rows("classify", 60)]
    (tmp_path / "rows.tsv").write_text("".join(["text\tlabel\n", *rows]))
    return tmp_path


def run(*arguments, code=0):
    done = CliRunner().invoke(group, ["shrink", *map(str, arguments)], prog_name="wellread")
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def test_a_module_is_found_and_a_search_is_not_lost(files):
    arguments = ("vectors", files / "texts.txt", "-m", files / "base", "-o", files / "out", *FLAGS, "--max-size", "1MB")
    found = json.loads(run(*arguments, "--json"))
    assert found["output"] == str(files / "out" / "module")
    assert "chosen" in [row["fate"] for row in found["rows"]]
    assert found["plan"]["sizes"] == [2, 1]
    assert wellread.load(files / "out" / "module").embedding_size == 24
    assert "found another; go on with --resume" in run(*arguments, code=3)
    again = run(*arguments, "--resume")
    assert again.startswith("| name ")
    assert f"module: {files / 'out' / 'module'}\nreport: {files / 'out' / 'report.md'}" in again
    assert "found that settings.max_size is '2MB' and was '1MB'" in run(
        *arguments, "--resume", "--max-size", "2MB", code=3
    )


def test_a_dry_run_prints_the_plan(files):
    arguments = ("classify", "--train", files / "rows.tsv", "-m", files / "base", "-o", files / "out", *FLAGS)
    said = run(*arguments, "--dry-run")
    assert "in rungs: 2 for 2 steps, then 1 for 6 steps; 54 texts; expected to take" in said
    assert not (files / "out").exists()


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--max-size", "10mb"), 3, "max_size is a number above 0 with a unit of B, kB, MB"),
        (
            ("--max-size", "1kB"),
            3,
            "a module of at most 0.001 MB was asked for; of 2 shapes none is: the smallest, L-1_H-8",
        ),
        (("--label", "lable"), 3, "a column lable was asked of "),
        (("--keep", "much"), 2, "'much' is not a valid float"),
    ],
)
def test_what_cannot_be_is_one_line(flags, code, message, files):
    arguments = ("classify", "--train", files / "rows.tsv", "-m", files / "base", "-o", files / "out", *FLAGS, *flags)
    assert message in run(*arguments, code=code)
