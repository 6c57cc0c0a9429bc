"""The examination: a real one in a process of its own, without sockets; and what becomes of faults."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from wellread import cores
from wellread.backends.native_kernel import refusal
from wellread.doctor import examine
from wellread.doctor.examine import Graphics, SelfTest, environment
from wellread.native_library import native_library


def test_of_this_machine_without_a_socket(tmp_path):
    script = """
        import os, socket
        def refuse(*args, **kwargs):
            os._exit(99)
        socket.socket.__init__ = socket.getaddrinfo = refuse
        import dataclasses, json
        from wellread.doctor.examine import examine
        print(json.dumps(dataclasses.asdict(examine()), default=str))
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "CI", "TFHUB"))}
    own = {"HOME": str(tmp_path), "HF_TOKEN": "hf_secret", "HTTPS_PROXY": "http://me:secret@127.0.0.1:9"}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env={**kept, **own}, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stdout
    found = json.loads(done.stdout)
    tried = {(test["backend"], test["precision"]): test for test in found["backends"]}
    assert tried["numpy", "f64"]["cosine"] == pytest.approx(1)
    assert tried["openvino", "f32"]["cosine"] > 0.99999
    assert tried["tensorflow", None]["note"]
    library = native_library()
    assert tried["native", "f32" if library.functions else None]["note"] == (refusal() or "")
    assert [variant["name"] for variant in found["native"]["variants"]][:1] == ["portable"][: bool(library.functions)]
    assert "f32" in found["processor"]["precisions"]
    assert found["processor"]["capabilities"]
    assert found["graphics"]["torch"]
    assert [problem for problem in found["problems"] if problem["broken"]] == []
    assert {cache["name"] for cache in found["caches"]} == {"wellread", "huggingface_hub", "TF Hub", "kagglehub"}
    assert os.listdir(tmp_path) == []


def test_secrets_are_not_told():
    given = dict.fromkeys(examine.SECRETS, "secret") | {"HF_HOME": "/here", "PATH": "/bin", "HF_ENDPOINT": ""}
    given["https_proxy"] = "http://user:secret@proxy:3128"
    assert environment(given) == {
        "HF_HOME": "/here",
        "https_proxy": "http://(a login)@proxy:3128",
        **dict.fromkeys(examine.SECRETS, "is set"),
    }


def test_an_openvino_that_cannot_be_used(monkeypatch):
    def broken():
        raise ImportError("libtbb.so.12: cannot open shared object file")

    monkeypatch.setattr(examine, "processor", broken)
    monkeypatch.setattr(examine, "_query_torch", lambda: None)
    found = examine.examine()
    assert (found.processor, found.graphics, found.backends) == (None, None, ())
    assert found.problems[0].found == "OpenVINO cannot be used: libtbb.so.12: cannot open shared object file"
    assert found.problems[0].advice == "run pip install --force-reinstall openvino"
    assert found.problems[0].broken


def test_a_torch_that_cannot_be_imported(monkeypatch):
    monkeypatch.setattr(examine, "GPUS", "raise SystemExit(3)")
    asked = examine._query_torch()
    assert examine._graphics(asked) is None
    monkeypatch.setattr(examine, "GPUS", "import time; time.sleep(60)")
    monkeypatch.setattr(examine, "TORCH_TIMEOUT", 0.1)
    asked = examine._query_torch()
    assert examine._graphics(asked) is None
    assert asked.wait(10) != 0


def test_a_gpu_that_pytorch_does_not_use(monkeypatch):
    graphics = Graphics(torch="2.13.0+cpu", cuda=None, names=())
    monkeypatch.setattr(examine.os.path, "exists", lambda path: path == "/dev/nvidia0")
    [problem] = examine.graphics_problems(graphics)
    assert problem.found == "there is an NVIDIA GPU, and PyTorch 2.13.0+cpu does not use it"
    assert not problem.broken
    assert examine.graphics_problems(Graphics(torch="2.13.0", cuda="12.8", names=("H100",))) == []
    monkeypatch.setattr(examine.os.path, "exists", lambda path: False)
    assert examine.graphics_problems(graphics) == []


def test_instruction_sets(monkeypatch, tmp_path):
    monkeypatch.setattr(cores, "CPU_INFO", tmp_path / "info")
    assert examine.instruction_sets() == ()
    (tmp_path / "info").write_text("flags\t: fpu avx2 avx512f avx512_bf16 amx_int8\n\nflags\t: fma\n")
    assert examine.instruction_sets() == ("AVX2", "AVX-512", "AVX-512 BF16", "AMX INT8")
    (tmp_path / "info").write_text("Features\t: fp asimd bf16\n")
    assert examine.instruction_sets() == ("NEON", "BF16")


class Wrong:
    """A module whose vectors are others in one backend, or that fails there."""

    def __init__(self, backend, error):
        self.backend, self.error = backend, error

    def encode(self, text, precision=None):
        if self.error and self.backend == "openvino":
            raise RuntimeError("no such kernel")
        return np.array([1, 0.1 if self.backend == "openvino" else 0], np.float32)


def test_what_to_do_where_the_native_backend_fails():
    failed = SelfTest(backend="native", precision="f32", cosine=0.5)
    (problem,) = examine.self_test_problems([failed])
    assert problem.found == "the native backend fails in f32: its vector's cosine to the reference is 0.5, not 0.99999"
    assert problem.advice == "set WELLREAD_NATIVE=off, and OpenVINO computes in its place"


@pytest.mark.parametrize("error", [True, False])
def test_a_backend_that_fails_is_told(monkeypatch, error):
    monkeypatch.setattr(examine.wellread, "load", lambda handle, backend="openvino": Wrong(backend, error))
    tests = [*examine.self_tests(["bf16", "f32"])]
    assert [(test.backend, test.failed) for test in tests[:3]] == [
        ("numpy", False),
        ("openvino", True),
        ("openvino", True),
    ]
    problems = [*examine.self_test_problems(tests)]
    what = "RuntimeError: no such kernel" if error else "its vector's cosine to the reference is 0.995037"
    assert problems[0].found.startswith(f"the openvino backend fails in bf16: {what}")
    assert problems[0].advice == "run pip install --force-reinstall openvino, and wellread doctor again"


def test_a_reference_that_fails_is_told(monkeypatch):
    def broken(handle, backend="openvino"):
        raise OSError("no module there")

    monkeypatch.setattr(examine.wellread, "load", broken)
    tests = [*examine.self_tests(["f32"])]
    assert [problem.found for problem in examine.self_test_problems(tests)] == [
        "the numpy backend fails in f64: OSError: no module there"
    ]


def test_a_vector_that_is_no_number_fails():
    assert SelfTest(backend="openvino", precision="f32", cosine=float("nan")).failed


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    notes = {test.backend: test.note for test in examine.self_tests([])}
    assert notes["torch"] == 'not installed: pip install "wellread[train]"'


def test_the_problems_are_json(monkeypatch):
    monkeypatch.setattr(examine, "_query_torch", lambda: None)
    from dataclasses import asdict

    assert json.dumps(asdict(examine.examine()), default=str)
