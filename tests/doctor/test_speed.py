"""A module on this machine: what is measured of each backend, and what is said of those that fail or are not there."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import tiny_module

from wellread.backends.backend import BACKENDS
from wellread.cli.bench import command, lines
from wellread.doctor import speed
from wellread.doctor.examine import Processor
from wellread.doctor.speed import BackendSpeed, SpeedResult, cosines, measure_speed, peak_bytes
from wellread.errors import HandleError, InputError

TEXTS = ["A man is playing the guitar.", "a cat sleeps", *(f"the cat of word{i}" for i in range(9))]
CPU = Processor(name="Some CPU", cores=2, sets=("AVX2",), capabilities=(), precisions=("bf16", "f32"))
RESULT = SpeedResult(
    model="tiny",
    texts=1234,
    processor=CPU,
    rows=(
        BackendSpeed(
            backend="openvino",
            precision="f32",
            rate=2345.67,
            latency=0.00123,
            peak_bytes=200 << 20,
            cosine_mean=0.99999999,
            cosine_min=0.9999,
        ),
        BackendSpeed(backend="torch", precision="bf16", note="RuntimeError: no such kernel"),
    ),
    missing=("onnx", "keras"),
    default={"backend": "openvino", "precision": "bf16"},
)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("speed")
    tiny_module(directory / "files").save(directory / "tiny")
    return directory / "tiny"


def test_every_backend_is_measured_in_every_precision(model_dir, monkeypatch):
    monkeypatch.setattr(speed, "BACKENDS", {name: BACKENDS[name] for name in ("openvino", "numpy", "onnx")})
    result = measure_speed(str(model_dir), TEXTS)
    assert (result.model, result.texts, result.missing) == ("tiny", len(TEXTS), ())
    assert result.default == {"backend": "openvino", "precision": result.processor.precisions[0]}
    assert [(row.backend, row.precision) for row in result.rows] == [
        *(("openvino", precision) for precision in result.processor.precisions),
        ("numpy", "f64"),
        ("onnx", "f32"),
    ]
    least = {"f64": 1 - 1e-12, "f32": 1 - 1e-6, "bf16": 0.99}
    for row in result.rows:
        assert row.note == ""
        assert row.rate > 0
        assert 0 < row.latency < 1
        assert 2**24 < row.peak_bytes < 2**34
        assert least[row.precision] < row.cosine_min <= row.cosine_mean < 1 + 1e-9


def test_a_backend_that_fails_says_why_and_one_that_is_not_there_is_named(model_dir, monkeypatch):
    monkeypatch.setattr(speed, "BACKENDS", {"numpy": None, "torch": "train", "keras": "keras"})
    monkeypatch.setattr(speed, "is_installed", lambda name: name != "keras")
    monkeypatch.setattr(
        speed, "precisions", lambda name, checkpoint: {"numpy": ["f64"], "torch": ["int3"]}.get(name, ["f32"])
    )
    result = measure_speed(str(model_dir), TEXTS)
    assert result.missing == ("keras",)
    assert [row.rate is None for row in result.rows] == [False, True]
    assert "precision 'int3' was asked of the torch backend" in result.rows[1].note


def test_what_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(InputError, match="a measurement takes at least 1 text; found 0; give more"):
        measure_speed("default", [])
    with pytest.raises(HandleError, match="gone"):
        measure_speed(str(tmp_path / "gone"), TEXTS)


def test_a_vector_of_zeros_has_the_cosine_0():
    assert cosines(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [2.0, 2.0]])) == pytest.approx((0.5, 0.0))


def test_a_table_to_the_letter():
    assert list(lines(RESULT)) == [
        "tiny: 1,234 texts",
        "",
        "backend     precision    texts/s    one text      peak  mean cosine      least",
        "openvino    f32          2,345.7     1.23 ms   200 MiB    1.0000000  0.9999000",
        "torch       bf16      RuntimeError: no such kernel",
        "",
        "Some CPU, 2 cores, AVX2; encode takes openvino in bf16 where nothing is said, a call of the module f32",
        "not installed: onnx, keras; see wellread doctor",
    ]


def test_the_verb_takes_a_model_and_a_file(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(speed, "measure_speed", lambda model, texts: calls.append((model, texts)) or RESULT)
    (tmp_path / "some.txt").write_text("one\ntwo\n")
    printed = CliRunner().invoke(command, [str(tmp_path / "some.txt"), "--model", "x", "--json"])
    assert printed.exit_code == 0
    assert json.loads(printed.output)["default"] == {"backend": "openvino", "precision": "bf16"}
    assert json.loads(printed.output)["rows"][0]["rate"] == 2345.67
    assert CliRunner().invoke(command, []).output.startswith("tiny: 1,234 texts\n")
    assert calls == [("x", ["one", "two"]), ("default", None)]


@pytest.mark.parametrize("what", ["encode", "startup", "growth", "tokenise", "tfhub", "hub", "learn"])
def test_what_compares_with_peers_is_named(what):
    printed = CliRunner().invoke(command, [what])
    assert printed.exit_code == 2
    assert f"found '{what}'" in printed.output
    assert f"run python -m benchmarks {what} in a clone of the repository" in " ".join(printed.output.split())


def test_peak_memory_only_grows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = peak_bytes()
    assert before > 2**20
    held = bytearray(peak_bytes() + 2**26)
    assert peak_bytes() >= len(held) > before
    assert speed.STATUS.name == "status"
    monkeypatch.setattr(speed, "STATUS", tmp_path / "none")
    assert peak_bytes() >= len(held)
