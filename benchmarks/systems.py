"""Who is measured, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wellread.errors import InputError, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One way to turn texts into vectors."""

    name: str  # what it is called on the command line and in a table
    description: str  # what it does, in a line
    loader: str  # of LOADERS in the worker
    options: Mapping[str, Any] = field(default_factory=dict)  # of the loader
    needs: tuple[str, ...] = ()  # modules that must be there to import
    needs_bf16: bool = False  # whether it refuses a CPU without BF16


ST_NEEDS = ("sentence_transformers", "torch")
ORT_NEEDS = ("onnxruntime", "onnx")
# module -> the package that brings it, where the names differ
PACKAGES = {
    "optimum.intel": "optimum-intel",
    "optimum.onnxruntime": "optimum-onnx",
    "sentence_transformers": "sentence-transformers",
}


def _ours(name: str, where: str, *, backend: str = "openvino", precision: str = "f32", **more: Any) -> System:
    options = {"backend": backend, "precision": precision}
    return System(name=name, description=f"wellread on {where}", options=options, **{"loader": "wellread", **more})


def _sentence_transformers(kind: str, description: str, *more_needs: str, **options: str) -> System:
    name, needs = f"sentence-transformers{kind}", (*ST_NEEDS, *more_needs)
    return System(name=name, description=description, loader="sentence-transformers", options=options, needs=needs)


def _onnxruntime(kind: str, description: str, *, precision: str = "f32", arrival_order: bool = False) -> System:
    name, options = f"onnxruntime{kind}", {"precision": precision, "arrival_order": arrival_order}
    return System(name=name, description=description, loader="onnxruntime", options=options, needs=ORT_NEEDS)


_TABLE = (
    _ours("wellread-f32", "OpenVINO, one stream a core"),
    _ours("wellread-bf16", "OpenVINO in bfloat16, one stream a core", precision="bf16", needs_bf16=True),
    _ours("wellread-one-stream", "OpenVINO, the same batches one by one on all cores", loader="wellread-one-stream"),
    _ours("wellread-torch", "PyTorch", backend="torch", needs=("torch",)),
    _ours("wellread-numpy", "NumPy in float64: the reference of the cosines", backend="numpy", precision="f64"),
    _sentence_transformers("", "SentenceTransformer(directory).encode(texts)"),
    _sentence_transformers("-bf16", "the same with dtype bfloat16", dtype="bfloat16"),
    _sentence_transformers("-onnx", 'the same with backend="onnx"', "optimum.onnxruntime", backend="onnx"),
    _sentence_transformers("-openvino", 'the same with backend="openvino"', "optimum.intel", backend="openvino"),
    _onnxruntime("", "ONNX Runtime, length-sorted batches of bounded tokens"),
    _onnxruntime("-int8", "the same, quantised by quantize_dynamic, a scale a column", precision="int8"),
    _onnxruntime(
        "-arrival", "ONNX Runtime, batches of 256 in arrival order, as fastembed makes them", arrival_order=True
    ),
)
SYSTEMS = {system.name: system for system in _TABLE}
REFERENCE = "wellread-numpy"
DEFAULT = tuple(name for name in SYSTEMS if name != REFERENCE)
BASELINES = ("sentence-transformers", "onnxruntime")  # what the ratios are to


def look_up(names: Sequence[str]) -> list[System]:
    """Return the systems of these names, in this order.

    Raises: InputError for no name, an unknown one or one given twice.

    >>> [system.loader for system in look_up(["onnxruntime-int8"])]
    ['onnxruntime']
    """
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise InputError(
            f"systems {', '.join(unknown)} were asked for; the benchmark knows {', '.join(SYSTEMS)}; "
            f"choose some of these{nearest(unknown[0], SYSTEMS)}"
        )
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"systems were to be compared; found {len(names)} names, {len(set(names))} of them different; "
            "name each once, and at least one"
        )
    return [SYSTEMS[name] for name in names]
