"""The machine under measurement: what it is, and what it lacks for a system."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import accumulate
from pathlib import Path

from benchmarks.systems import PACKAGES
from wellread.backends.openvino import precisions
from wellread.doctor.examine import processor

PLACES = Path(sys.prefix)  # where directories of packages lie that the environment itself does not have
# whose versions a result carries
MEASURED = (
    *("numpy", "onnxruntime", "openvino", "optimum-intel", "optimum-onnx"),
    *("sentence-transformers", "tokenizers", "torch", "transformers"),
)


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
    # the first of a name counts
    versions = {one.name.replace("_", "-"): one.version for one in reversed([*metadata.distributions()])}
    cpu = processor()
    return Machine(
        cpu=cpu.name,
        cores=cpu.cores,
        precisions=cpu.precisions,
        python=platform.python_version(),
        versions={name: versions[name] for name in measured if name in versions},
    )


def lacks(needs: Sequence[str], *, bf16: bool = False, place: str | None = None) -> str | None:
    """Say what is not there of the modules `needs`, BF16 if asked for, and a place; None where nothing is missing.

    >>> lacks(["json"]), lacks(["json", "no_such_module"]), lacks([], place="nowhere")
    (None, 'not installed: no_such_module', 'not built: make .venv/nowhere')
    """
    if place is not None and not (PLACES / place).is_dir():
        return f"not built: make .venv/{place}"
    absent = [PACKAGES.get(module, module) for module in needs if not _importable(module)]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return "this CPU has no BF16" if bf16 and "bf16" not in precisions() else None


def _importable(module: str) -> bool:
    """Look for a module, its parents first: without these the search itself would fail."""
    return all(importlib.util.find_spec(name) for name in accumulate(module.split("."), "{}.{}".format))
