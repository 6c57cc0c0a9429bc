"""wellread doctor, run as a person runs it, and what it prints of faults."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from wellread.choice import Candidate, Choice, Measured, Setting
from wellread.cli.doctor import command
from wellread.doctor import examine
from wellread.doctor.examine import Examination, Graphics, Processor, SelfTest
from wellread.doctor.installation import Cache, Package, Problem
from wellread.doctor.native import Native, NativeVariant
from wellread.text.plan import Batching

BROKEN = Problem(found="a file is gone", advice="fetch it again")
NATIVE = Native(
    built="built with g++ 12",
    refusal=None,
    variants=(NativeVariant(name="avx2", supported=True, chosen=("f32",), note="computes in f32"),),
)
ADVICE = Problem(found="a disk is nearly full", advice="make room", broken=False)

MEASURED = [("native", 0, 1000.0, ""), ("openvino", 0, 0.0, "it broke"), ("openvino", 1, 1200.0, "")]
CHOICE = Choice(
    setting=Setting(
        **{"cpu": "Some CPU", "cores": 2, "backend": "native", "precision": "f32", "wellread": "1.2"},
        **{"module": "bert, 6 layers of 384", "shape": "0"},
    ),
    measured=tuple(
        Measured(
            candidate=Candidate(backend=name, batching=Batching(streams=streams)),
            rate=rate,
            gain=rate / 1000,
            note=note,
        )
        for name, streams, rate, note in MEASURED
    ),
)


@pytest.fixture
def examined(monkeypatch, tmp_path):
    """Print an examination with these problems; the examination itself has its own tests."""

    def examined(*problems, arguments=(), native=NATIVE):
        found = Examination(
            wellread="1.2",
            python="3.11",
            processor=Processor(name="Some CPU", cores=2, sets=("AVX2",), capabilities=("BF16",), precisions=("bf16",)),
            graphics=Graphics(torch="2.13", cuda=None, names=()),
            native=native,
            packages=(
                Package(name="numpy", needed=">=2", extra=None, version="2.4"),
                Package(name="onnx", needed="", extra="onnx", version=None),
            ),
            backends=(
                SelfTest(backend="numpy", precision="f64", cosine=1.0, seconds=0.5),
                SelfTest(backend="torch", note="installed, not tried"),
            ),
            choices=(CHOICE,),
            environment={"HF_TOKEN": "is set"},
            caches=(Cache(name="ours", path=tmp_path, files=3, size=2_000_000, writable=False, free=5 * 10**9),),
            problems=problems,
        )
        monkeypatch.setattr(examine, "examine", lambda: found)
        return CliRunner().invoke(command, [*arguments])

    return examined


def test_lines(examined, tmp_path):
    made = examined(BROKEN, ADVICE)
    assert made.exit_code == 3
    assert made.output.splitlines() == [
        "wellread 1.2, Python 3.11",
        "",
        "cpu         Some CPU, 2 cores for this process",
        "            AVX2; OpenVINO: BF16",
        "            encode computes in bf16, a call of the module in f32",
        "gpu         none (PyTorch 2.13, CUDA none)",
        "native      built with g++ 12",
        "  avx2        computes in f32",
        "",
        "backends",
        "  numpy       f64   cosine 1.0000000 to float64, 0.50 s",
        "  torch             installed, not tried",
        "",
        "choices     for many texts, by texts of 32 tokens a second; WELLREAD_CHOICE=off goes without",
        "  bert, 6 layers of 384 in f32: openvino (streams: 1); measured: native 1,000, openvino failed: it broke, "
        "openvino (streams: 1) 1,200",
        "",
        "packages",
        "  always      numpy 2.4",
        "  onnx        onnx (not installed)",
        "",
        "environment",
        "  HF_TOKEN            is set",
        "",
        "caches",
        f"  ours              {tmp_path}: 2.0 MB in 3 files, 5 GB free, cannot be written",
        "",
        "broken: a file is gone; fetch it again",
        "advice: a disk is nearly full; make room",
    ]


def test_without_the_native_library(examined):
    absent = Native(built="no C++ compiler was found", refusal="no C++ compiler was found; find one", variants=())
    assert "native      not used: no C++ compiler was found; find one\n" in examined(native=absent).output


def test_advice_is_no_failure(examined):
    assert examined(ADVICE).exit_code == 0
    made = examined()
    assert made.exit_code == 0
    assert made.output.endswith("\n\nnothing is wrong\n")


def test_json(examined):
    made = examined(BROKEN, arguments=["--json"])
    assert made.exit_code == 3
    printed = json.loads(made.output)
    assert printed["problems"] == [{"found": "a file is gone", "advice": "fetch it again", "broken": True}]
    assert printed["processor"]["cores"] == 2


def test_of_this_machine(tmp_path):
    (tmp_path / "pulled").mkdir()
    (tmp_path / "pulled" / "0.json").write_text("no record")
    environment = {**os.environ, "WELLREAD_CACHE": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    run = [sys.executable, "-m", "wellread.cli.main", "doctor"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"advice: the record {tmp_path / 'pulled' / '0.json'} cannot be read; remove it" in done.stdout
    assert "encode computes in" in done.stdout
