"""What people know of a module: read from a file, kept in its provenance, told in its card."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from click.testing import CliRunner
from tiny import tiny_module

import wellread
from wellread.about import About, Measured, TextSource, about_of, read_about
from wellread.card import _stages
from wellread.cli.main import group
from wellread.errors import ConfigError

KNOWN = """
title = "default-ko"
licence = "Apache-2.0"
languages = ["ko", "en"]
notes = "It knows the Korean of *reviews*."

[[texts]]
name = "ratings.txt"
what = "film reviews"
licence = "CC0-1.0"

[[scores]]
name = "NSMC dev, accuracy"
value = 0.884
low = 0.881
high = 0.887

[[scores]]
name = "texts a second"
value = 5200
"""


@pytest.fixture
def about(tmp_path):
    (tmp_path / "about.toml").write_text(KNOWN, "utf-8")
    return tmp_path / "about.toml"


def run(*arguments, code=0):
    done = CliRunner().invoke(group, ["card", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def test_a_file_is_read(about):
    known = read_about(about)
    assert known.texts == (TextSource(name="ratings.txt", what="film reviews", licence="CC0-1.0"),)
    assert [str(score) for score in known.scores] == ["0.884 [0.881, 0.887]", "5200"]
    assert str(Measured(name="a", value=0.5, low=0.1)) == "0.5"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("title = ", "is no TOML file"),
        ("license = 'mit'", "license"),
        ("[[texts]]\nname = 'a'", "licence"),
        ("[[scores]]\nname = 'a'\nvalue = 'b'", "value"),
    ],
)
def test_what_is_not_known_is_refused(about, text, found):
    about.write_text(text)
    with pytest.raises(ConfigError, match=found):
        read_about(about)


def test_the_card_tells_it_and_the_module_keeps_it(about, tmp_path):
    tiny_module(tmp_path / "files").save(tmp_path / "module", dtype="float16")
    before = {path.name: path.read_bytes() for path in (tmp_path / "module").glob("*.*")}
    printed = run(tmp_path / "module", "--about", about)
    assert json.loads(run(tmp_path / "module", "--about", about, "--json")) == {"card": printed, "written": None}
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "module").glob("*.*")}
    assert printed.startswith("---\nlanguage:\n- ko\n- en\nlicense: apache-2.0\n")
    assert "\n# default-ko\n" in printed
    assert "- ratings.txt, film reviews: CC0-1.0\n" in printed
    assert "- NSMC dev, accuracy: 0.884 [0.881, 0.887]\n- texts a second: 5200\n" in printed
    assert "## What to know\n\nIt knows the Korean of *reviews*.\n" in printed
    assert "about." not in printed
    said = run(tmp_path / "module", "--about", about, "--write")
    assert said == f"{tmp_path / 'module' / 'README.md'}: {len(printed.splitlines())} lines\n"
    assert (tmp_path / "module" / "README.md").read_text("utf-8") == printed
    assert {path.name for path in (tmp_path / "module").glob("*.*")} == {*before}  # nothing half written stays
    [verified] = wellread.verify(tmp_path / "module")
    assert verified.faults == {}
    module = wellread.load(tmp_path / "module")
    assert module.info()["stored_as"] == ["float16"]
    module.save(tmp_path / "again")
    assert "license: apache-2.0" in (tmp_path / "again" / "README.md").read_text("utf-8")
    smaller = {"made_by": "wellread quantise", "from": module.provenance}
    assert about_of(smaller).title == "default-ko"
    assert about_of({"made_by": "wellread finetune", "from": module.provenance}) == About()


def test_without_a_file_the_card_is_what_the_module_knows(tmp_path):
    assert "| vocabulary | 10,390 pieces |" in run("default")
    assert "must be of format" not in run("default", "--write", code=3)
    shutil.rmtree(tmp_path)


def test_the_stages_of_a_module_are_told_first_to_last():
    time = {"seconds": 7200.0, "device": "2 cores of a | CPU"}
    pretrained = {"made_by": "wellread pretrain", "texts": 1000, "steps": 6000, "time": time, "from": {"made_by": "x"}}
    tuned = {"made_by": "wellread finetune", "rows": 132802, "steps": 12453, "from": pretrained}
    distilled = {"made_by": "wellread distill", "texts": 9, "steps": 3, "teacher": {"handle": "a/b"}, "student": tuned}
    [title, table] = _stages({"made_by": "wellread quantise", "from": distilled})
    rows = [re.sub("`", "", row) for row in table.splitlines()[2:]]
    assert title == "## In which stages it was made"
    assert rows == [
        "| wellread pretrain | 1,000 texts, 6,000 steps | 2.0 h on 2 cores of a / CPU |  |",
        "| wellread finetune | 132,802 rows, 12,453 steps |  |  |",
        "| wellread distill | 9 texts, 3 steps |  | a/b |",
    ]
    assert list(_stages(pretrained)) == []
    assert list(_stages({})) == []
