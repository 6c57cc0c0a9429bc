"""What is installed here, what this machine computes in, where modules lie, and what is wrong with all that."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from wellread.bench import packages, selftest
from wellread.bench.packages import Package
from wellread.bench.selftest import SelfTest
from wellread.hub import caches
from wellread.hub.caches import Cache
from wellread.hub.problem import Problem
from wellread.version import __version__

# What of the environment wellread and its dependencies heed.
VARIABLES = (
    *("WELLREAD_CACHE", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE"),
    *("HF_HUB_DISABLE_XET", "TFHUB_CACHE_DIR", "KAGGLEHUB_CACHE", "TF_USE_LEGACY_KERAS", "KERAS_BACKEND"),
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
)
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "KAGGLE_KEY", "KAGGLE_API_TOKEN")
PATIENCE = 30  # seconds, for torch to be imported
GPUS = """
import json, torch
names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "names": names}))
"""


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
class Examination:
    """All that `wellread doctor` tells."""

    wellread: str
    python: str
    processor: Processor | None  # None: OpenVINO cannot be imported
    graphics: Graphics | None  # None: PyTorch is not installed, or cannot be imported
    packages: tuple[Package, ...]
    backends: tuple[SelfTest, ...]
    environment: Mapping[str, str]
    caches: tuple[Cache, ...]
    problems: tuple[Problem, ...]


def examine() -> Examination:
    """Look at this machine. No socket is opened and nothing is changed."""
    asked = _ask_torch()
    try:
        processor = _processor()
        tests = tuple(selftest.self_tests(processor.precisions))
        wrong = []
    except Exception as error:  # a broken installation may raise anything, and a doctor tells of it
        processor, tests = None, ()
        wrong = [
            Problem(found=f"OpenVINO cannot be used: {error}", advice="run pip install --force-reinstall openvino")
        ]
    needed, places = packages.packages(), caches.places()
    kept = [caches.look(name, path, apart=places.values()) for name, path in places.items()]
    graphics = _answer(asked) if asked is not None else None
    wrong += [*packages.problems(needed), *selftest.problems(tests), *caches.problems(kept), *_idle(graphics)]
    return Examination(
        wellread=__version__,
        python=sys.version.split()[0],
        processor=processor,
        graphics=graphics,
        packages=tuple(needed),
        backends=tests,
        environment=environment(os.environ),
        caches=tuple(kept),
        problems=tuple(sorted(wrong, key=lambda problem: not problem.broken)),
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what is set of the variables that count; of secrets, only that they are set.

    >>> environment({"HTTPS_PROXY": "http://me:secret@proxy:80", "HF_TOKEN": "hf_secret"})
    {'HTTPS_PROXY': 'http://(a login)@proxy:80', 'HF_TOKEN': 'is set'}
    """
    shown = {name: re.sub(r"//[^/@]*@", "//(a login)@", variables[name]) for name in VARIABLES if variables.get(name)}
    return shown | {name: "is set" for name in SECRETS if variables.get(name)}


def _processor() -> Processor:
    from wellread.backends.openvino import ov
    from wellread.bench.machine import instruction_sets, this_machine

    machine = this_machine(())
    return Processor(
        name=machine.cpu,
        cores=machine.cores,
        sets=instruction_sets(),
        capabilities=tuple(ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        precisions=machine.precisions,
    )


def _ask_torch() -> subprocess.Popen[str] | None:
    """Start a process that asks PyTorch, where it is installed, for its GPUs: importing it takes seconds."""
    if importlib.util.find_spec("torch") is None:
        return None
    command = [sys.executable, "-c", GPUS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _answer(asked: subprocess.Popen[str]) -> Graphics | None:
    with asked:
        try:
            said = json.loads(asked.communicate(timeout=PATIENCE)[0])
        except (subprocess.TimeoutExpired, ValueError):
            asked.kill()
            return None
    return Graphics(torch=said["torch"], cuda=said["cuda"], names=tuple(said["names"]))


def _idle(graphics: Graphics | None) -> list[Problem]:
    """Tell of an NVIDIA GPU that PyTorch cannot use."""
    if graphics is None or graphics.names or not os.path.exists("/dev/nvidia0"):
        return []
    found = f"there is an NVIDIA GPU, and PyTorch {graphics.torch} does not use it"
    return [Problem(found=found, advice="install a PyTorch that was built for its CUDA", broken=False)]
