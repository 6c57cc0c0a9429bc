"""python -m benchmarks: every choice calls its own benchmark, with what it takes."""

import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import FILES, command
from benchmarks.machine import Machine
from benchmarks.startup import StartupResult, StartupRow
from wellread.errors import BenchError
from wellread.hub.resolve import DEFAULT

MACHINE = Machine(cpu="Some CPU", cores=2, precisions=("f32",), python="3.11.7", versions={})
RESULT = StartupResult(model="tiny", rounds=1, machine=MACHINE, rows=(StartupRow(name="wellread", seconds=(1.0,)),))


@pytest.fixture
def call(monkeypatch):
    """Run the command line with every benchmark replaced; return what was called, and the output."""

    def call(what, *arguments):
        calls = []
        name = FILES.get(what, what)
        module = importlib.import_module(f"benchmarks.{name}")
        monkeypatch.setattr(module, f"run_{name}", lambda *args, **options: calls.append((args, options)) or RESULT)
        printed = CliRunner().invoke(command, [what, *arguments])
        assert printed.exit_code == 0, printed.output
        return *calls[0], printed.output

    return call


@pytest.mark.parametrize("what", ["encode", "figures", "growth", "tokenise", "tfhub", "learn"])
def test_a_module_and_texts_are_given(what, call, tmp_path):
    (tmp_path / "some.txt").write_text("one\ntwo\n")
    args, options, output = call(what, "--texts", str(tmp_path / "some.txt"), "--rounds", "2")
    (directory, texts), rounds = args, options
    assert (directory.name, texts, rounds) == ("default", ["one", "two"], {"rounds": 2})
    assert directory != DEFAULT
    assert not directory.exists()  # the floats of the packaged int8 are there as long as they are used
    assert output.startswith("tiny: from the start of a process")


def test_what_each_alone_takes(call):
    assert call("encode", "--only", "wellread")[1] == {"rounds": 5, "systems": ("wellread",)}
    for what in ("encode", "figures"):
        assert call(what, "--work", "kept")[1] == {"rounds": 5, "work": Path("kept")}
    assert call("startup", "--peer-model", "x", "-m", "y")[:2] == (("y",), {"peer": "x", "rounds": 5})
    args, options, output = call("ray", "--rounds", "2")
    assert (args[0], len(args[1]), options) == ("default", 4000, {"rounds": 2})
    args, options, output = call("hub", "--size", "3", "--json")
    assert (args, options) == ((), {"size": 3_000_000, "rounds": 5})
    assert json.loads(output)["rows"][0]["median"] == 1.0
    assert call("search", "--vectors", "200")[:2] == ((), {"vectors": 200, "rounds": 5})


def test_an_error_is_one_line(monkeypatch):
    def fail(**options):
        raise BenchError("a job was asked to run; it failed; report it")

    monkeypatch.setattr("benchmarks.hub.run_hub", fail)
    printed = CliRunner().invoke(command, ["hub"])
    assert (printed.exit_code, printed.output) == (3, "benchmarks: a job was asked to run; it failed; report it\n")
