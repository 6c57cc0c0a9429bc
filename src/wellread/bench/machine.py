"""The machine under measurement: what it is, and what it lacks for a contender."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import accumulate
from pathlib import Path

from wellread.backends.backend import cpu_count
from wellread.backends.openvino import precisions
from wellread.bench.contenders import PACKAGES

CPU_INFO = Path("/proc/cpuinfo")
# whose versions a result carries
MEASURED = (
    *("numpy", "onnxruntime", "openvino", "optimum-intel", "optimum-onnx"),
    *("sentence-transformers", "tokenizers", "torch", "transformers"),
)
# flag in CPU_INFO -> what it is called; those that decide how fast an encoder runs
SETS = {
    **{"avx2": "AVX2", "avx512f": "AVX-512", "avx_vnni": "AVX-VNNI", "avx512_vnni": "AVX-512 VNNI"},
    **{"avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16", "amx_int8": "AMX INT8"},
    **{"asimd": "NEON", "sve": "SVE", "asimddp": "dot product", "i8mm": "I8MM", "bf16": "BF16"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where a result was measured."""

    cpu: str  # the model's name
    cores: int  # that this process may use
    precisions: tuple[str, ...]  # that the CPU computes in
    python: str
    versions: Mapping[str, str]  # package -> version, of those that are installed


def this_machine(measured: Sequence[str] = MEASURED) -> Machine:
    """Describe this machine, and the versions of those packages of `measured` that are installed.

    >>> this_machine().cores >= 1
    True
    """
    found = reversed([*metadata.distributions()])  # the first of a name counts
    installed = {one.name.replace("_", "-"): one.version for one in found}
    return Machine(
        cpu=_cpu(),
        cores=cpu_count(),
        precisions=tuple(precisions()),
        python=platform.python_version(),
        versions={name: installed[name] for name in measured if name in installed},
    )


def lacks(needs: Sequence[str], *, bf16: bool = False) -> str | None:
    """Say what is not there of the modules `needs` and, if asked for, BF16; None where nothing is missing.

    >>> lacks(["json"]), lacks(["json", "no_such_module"])
    (None, 'not installed: no_such_module')
    """
    absent = [PACKAGES.get(module, module) for module in needs if not _importable(module)]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return "this CPU has no BF16" if bf16 and "bf16" not in precisions() else None


def _importable(module: str) -> bool:
    """Look for a module, its parents first: without these the search itself would fail."""
    return all(importlib.util.find_spec(name) for name in accumulate(module.split("."), "{}.{}".format))


def instruction_sets() -> tuple[str, ...]:
    """Name the instruction sets of the CPU that matter here; none where the system does not tell."""
    flags = set(" ".join(_cpu_info("flags") or _cpu_info("Features")).split())
    return tuple(name for flag, name in SETS.items() if flag in flags)


def _cpu() -> str:
    return next(iter(_cpu_info("model name")), "") or platform.processor() or platform.machine()


def _cpu_info(name: str) -> list[str]:
    """Return what the system says of the first CPU under a name; nothing where it has no such file or line."""
    lines = CPU_INFO.read_text("utf-8").splitlines() if CPU_INFO.exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name][:1]
