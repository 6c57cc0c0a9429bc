"""What this machine computes in, whether its backends compute it right, and all else that `wellread doctor` tells."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import wellread
from wellread.backends.backend import BACKENDS, FloatArray, is_installed
from wellread.backends.backend import precisions as offered
from wellread.backends.native_kernel import refusal
from wellread.choice import CHOICE, Choice, recorded
from wellread.cores import THREADS, cpu_count, cpu_info, cpu_name
from wellread.doctor import installation
from wellread.doctor.installation import Cache, Package, Problem, pip_install
from wellread.doctor.native import Native, examine_native, native_problems
from wellread.doctor.shipped import Shipped, shipped, shipped_problems
from wellread.native_library import SWITCH

# What of the environment wellread and its dependencies heed.
VARIABLES = (
    *(SWITCH, THREADS, "WELLREAD_CACHE", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE"),
    *("HF_HUB_DISABLE_XET", "TFHUB_CACHE_DIR", "KAGGLEHUB_CACHE", "TF_USE_LEGACY_KERAS", "KERAS_BACKEND"),
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", CHOICE),
)
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "KAGGLE_KEY", "KAGGLE_API_TOKEN")
# flag in cores.CPU_INFO -> what it is called; those that decide how fast an encoder runs
INSTRUCTION_SETS = {
    **{"avx2": "AVX2", "avx512f": "AVX-512", "avx_vnni": "AVX-VNNI", "avx512_vnni": "AVX-512 VNNI"},
    **{"avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16", "amx_int8": "AMX INT8"},
    **{"asimd": "NEON", "sve": "SVE", "asimddp": "dot product", "i8mm": "I8MM", "bf16": "BF16"},
}
TORCH_TIMEOUT = 30  # seconds, for torch to be imported
GPUS = """
import json, torch
names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "names": names}))
"""
TEXT = "A man is playing a guitar."
MIN_COSINE = {"f64": 0.9999999, "f32": 0.99999, "bf16": 0.999}  # precision -> cosine to the reference, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """What computes."""

    name: str
    cores: int  # that this process may use
    sets: tuple[str, ...]  # of instructions that matter here
    capabilities: tuple[str, ...]  # as OpenVINO names what it uses
    precisions: tuple[str, ...]  # of the default backend; `encode` takes the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphics:
    """What PyTorch says of its GPUs."""

    torch: str  # its version
    cuda: str | None  # that it was built for; None: none
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What became of a backend in one precision."""

    backend: str
    precision: str | None = None  # None: not tried
    cosine: float | None = None  # of its vector and the reference's
    seconds: float | None = None  # to prepare it and to compute the vector
    note: str = ""  # why it was not tried, or what went wrong

    @property
    def failed(self) -> bool:
        """Whether it was tried and does not compute what it should."""
        return self.precision is not None and (self.cosine is None or not self.cosine >= MIN_COSINE[self.precision])


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All that `wellread doctor` tells."""

    wellread: str
    python: str
    processor: Processor | None  # None: OpenVINO cannot be imported
    graphics: Graphics | None  # None: PyTorch is not installed, or cannot be imported
    native: Native
    packages: tuple[Package, ...]
    backends: tuple[SelfTest, ...]
    choices: tuple[Choice, ...]
    environment: Mapping[str, str]
    caches: tuple[Cache, ...]
    problems: tuple[Problem, ...]
    modules: tuple[Shipped, ...] = ()  # those that ship with wellread


def examine() -> Examination:
    """Look at this machine. No socket is opened and nothing is changed."""
    query = _query_torch()
    problems = []
    try:
        cpu = processor()
        tests = tuple(self_tests(cpu.precisions))
    except Exception as error:  # a broken installation may raise anything, and a doctor tells of it
        cpu, tests = None, ()
        advice = "run pip install --force-reinstall openvino"
        problems.append(Problem(found=f"OpenVINO cannot be used: {error}", advice=advice))
    packages, directories = installation.packages(), installation.cache_directories()
    caches = [
        installation.inspect_cache(name, path, exclude=directories.values()) for name, path in directories.items()
    ]
    graphics = _graphics(query) if query is not None else None
    native = examine_native(sets := instruction_sets())
    problems += [*installation.package_problems(packages), *self_test_problems(tests)]
    modules = tuple(shipped())
    problems += shipped_problems(modules)
    problems += [*installation.cache_problems(caches), *graphics_problems(graphics)]
    problems += native_problems(native, sets)
    return Examination(
        wellread=wellread.__version__,
        python=sys.version.split()[0],
        processor=cpu,
        graphics=graphics,
        native=native,
        packages=tuple(packages),
        backends=tests,
        modules=modules,
        choices=tuple(recorded()),
        environment=environment(os.environ),
        caches=tuple(caches),
        problems=tuple(sorted(problems, key=lambda problem: not problem.broken)),
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what is set of the variables that count; of secrets, only that they are set.

    >>> environment({"HTTPS_PROXY": "http://me:secret@proxy:80", "HF_TOKEN": "hf_secret"})
    {'HTTPS_PROXY': 'http://(a login)@proxy:80', 'HF_TOKEN': 'is set'}
    """
    values = {name: re.sub(r"//[^/@]*@", "//(a login)@", variables[name]) for name in VARIABLES if variables.get(name)}
    return values | {name: "is set" for name in SECRETS if variables.get(name)}


def processor() -> Processor:
    """Describe the CPU.

    >>> processor().cores >= 1
    True
    """
    from wellread.backends.openvino import ov, precisions

    return Processor(
        name=cpu_name(),
        cores=cpu_count(),
        sets=instruction_sets(),
        capabilities=tuple(ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        precisions=tuple(precisions()),
    )


def instruction_sets() -> tuple[str, ...]:
    """Name the instruction sets of the CPU that matter here; none where the system does not tell."""
    flags = set(" ".join(cpu_info("flags") or cpu_info("Features")).split())
    return tuple(name for flag, name in INSTRUCTION_SETS.items() if flag in flags)


def _query_torch() -> subprocess.Popen[str] | None:
    """Start a process that asks PyTorch, where it is installed, for its GPUs: importing it takes seconds."""
    if not is_installed("torch"):
        return None
    command = [sys.executable, "-c", GPUS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _graphics(query: subprocess.Popen[str]) -> Graphics | None:
    """Read the answer of `_query_torch`; None where torch cannot be imported, or not in time."""
    with query:
        try:
            answer = json.loads(query.communicate(timeout=TORCH_TIMEOUT)[0])
        except (subprocess.TimeoutExpired, ValueError):
            query.kill()
            return None
    return Graphics(torch=answer["torch"], cuda=answer["cuda"], names=tuple(answer["names"]))


def graphics_problems(graphics: Graphics | None) -> list[Problem]:
    """Tell of an NVIDIA GPU that PyTorch cannot use."""
    if graphics is None or graphics.names or not os.path.exists("/dev/nvidia0"):
        return []
    problem = Problem(
        found=f"there is an NVIDIA GPU, and PyTorch {graphics.torch} does not use it",
        advice="install a PyTorch that was built for its CUDA",
        broken=False,
    )
    return [problem]


def self_tests(precisions: Sequence[str]) -> Iterator[SelfTest]:
    """Try what comes with wellread on the module that does, OpenVINO in each of its `precisions`; name the others."""
    started = time.perf_counter()
    try:
        reference = wellread.load("default", backend="numpy").encode(TEXT)
    except Exception as error:  # whatever it is, a doctor tells of it
        yield _failure("numpy", "f64", error)
        return
    assert isinstance(reference, np.ndarray)
    # the reference itself: that it is a number and of length 1 is all that can be tested
    yield _comparison("numpy", "f64", reference, reference, started)
    yield from _trials("openvino", precisions, reference)
    if (found := refusal()) is not None:
        yield SelfTest(backend="native", note=found)
    else:
        yield from _trials("native", offered("native"), reference)
    for backend, extra in BACKENDS.items():
        if extra is not None:
            note = "installed, not tried" if is_installed(backend) else f"not installed: {pip_install(extra)}"
            yield SelfTest(backend=backend, note=note)


def _trials(backend: str, precisions: Sequence[str], reference: FloatArray) -> Iterator[SelfTest]:
    for precision in precisions:
        started = time.perf_counter()
        try:
            vector = wellread.load("default", backend=backend).encode(TEXT, precision=precision)
        except Exception as error:
            yield _failure(backend, precision, error)
        else:
            assert isinstance(vector, np.ndarray)
            yield _comparison(backend, precision, vector, reference, started)


def _comparison(backend: str, precision: str, vector: FloatArray, reference: FloatArray, started: float) -> SelfTest:
    a, b = vector.astype(np.float64), reference.astype(np.float64)
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    seconds = time.perf_counter() - started
    return SelfTest(backend=backend, precision=precision, cosine=cosine, seconds=round(seconds, 3))


def _failure(backend: str, precision: str, error: Exception) -> SelfTest:
    return SelfTest(backend=backend, precision=precision, note=f"{type(error).__name__}: {error}")


def self_test_problems(tests: Sequence[SelfTest]) -> Iterator[Problem]:
    """Tell which backends do not compute what they should."""
    for test in tests:
        if test.failed:
            least = MIN_COSINE[str(test.precision)]
            fault = test.note or f"its vector's cosine to the reference is {test.cosine}, not {least}"
            advice = f"run pip install --force-reinstall {test.backend}, and wellread doctor again"
            if test.backend == "native":
                advice = f"set {SWITCH}=off, and OpenVINO computes in its place"
            yield Problem(found=f"the {test.backend} backend fails in {test.precision}: {fault}", advice=advice)
