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

_TABLE = (
    System(
        name="wellread-f32",
        description="wellread on OpenVINO, one stream a core",
        loader="wellread",
        options={"backend": "openvino", "precision": "f32"},
    ),
    System(
        name="wellread-bf16",
        description="wellread on OpenVINO in bfloat16, one stream a core",
        loader="wellread",
        options={"backend": "openvino", "precision": "bf16"},
        needs_bf16=True,
    ),
    System(
        name="wellread-one-stream",
        description="wellread on OpenVINO, the same batches one by one on all cores",
        loader="wellread-one-stream",
        options={"backend": "openvino", "precision": "f32"},
    ),
    System(
        name="wellread-torch",
        description="wellread on PyTorch",
        loader="wellread",
        options={"backend": "torch", "precision": "f32"},
        needs=("torch",),
    ),
    System(
        name="wellread-numpy",
        description="wellread on NumPy in float64: the reference of the cosines",
        loader="wellread",
        options={"backend": "numpy", "precision": "f64"},
    ),
    System(
        name="sentence-transformers",
        description="SentenceTransformer(directory).encode(texts)",
        loader="sentence-transformers",
        needs=ST_NEEDS,
    ),
    System(
        name="sentence-transformers-bf16",
        description="the same with dtype bfloat16",
        loader="sentence-transformers",
        options={"dtype": "bfloat16"},
        needs=ST_NEEDS,
    ),
    System(
        name="sentence-transformers-onnx",
        description='the same with backend="onnx"',
        loader="sentence-transformers",
        options={"backend": "onnx"},
        needs=(*ST_NEEDS, "optimum.onnxruntime"),
    ),
    System(
        name="sentence-transformers-openvino",
        description='the same with backend="openvino"',
        loader="sentence-transformers",
        options={"backend": "openvino"},
        needs=(*ST_NEEDS, "optimum.intel"),
    ),
    System(
        name="onnxruntime",
        description="ONNX Runtime, length-sorted batches of bounded tokens",
        loader="onnxruntime",
        options={"precision": "f32", "arrival_order": False},
        needs=ORT_NEEDS,
    ),
    System(
        name="onnxruntime-int8",
        description="the same, quantised by quantize_dynamic, a scale a column",
        loader="onnxruntime",
        options={"precision": "int8", "arrival_order": False},
        needs=ORT_NEEDS,
    ),
    System(
        name="onnxruntime-arrival",
        description="ONNX Runtime, batches of 256 in arrival order, as fastembed makes them",
        loader="onnxruntime",
        options={"precision": "f32", "arrival_order": True},
        needs=ORT_NEEDS,
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
