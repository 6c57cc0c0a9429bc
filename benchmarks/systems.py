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
    place: str | None = None  # of the virtual environment: a directory whose packages come before the others
    comparable: bool = True  # whether its vectors are those of the module that the others run


ST_NEEDS = ("sentence_transformers", "torch")
ORT_NEEDS = ("onnxruntime", "onnx")
ST_OPENVINO = "st-openvino"  # a place with the versions that optimum-intel takes: make .venv/st-openvino
INT8 = "int8"  # the directory, where things are prepared, of the module that wellread.quantise made
SMALL = {"module": "default"}
# module -> the package that brings it, where the names differ
PACKAGES = {
    "faiss": "faiss-cpu",
    "optimum.onnxruntime": "optimum-onnx",
    "sentence_transformers": "sentence-transformers",
}


def _ours(name: str, how: str, *, backend: str = "auto", precision: str | None = None, **more: Any) -> System:
    options = {"backend": backend, "precision": precision, **more.pop("options", {})}
    return System(name=name, description=f"wellread {how}", options=options, **{"loader": "wellread", **more})


def _sentence_transformers(kind: str, description: str, **more: Any) -> System:
    options: dict[str, Any] = {option: more.pop(option) for option in ("backend", "dtype") if option in more}
    name, needs = f"sentence-transformers{kind}", (*ST_NEEDS, *more.pop("needs", ()))
    loader = "sentence-transformers"
    return System(name=name, description=description, loader=loader, options=options, needs=needs, **more)


def _onnxruntime(kind: str, description: str, *, precision: str = "f32", arrival_order: bool = False) -> System:
    name, options = f"onnxruntime{kind}", {"precision": precision, "arrival_order": arrival_order}
    return System(name=name, description=description, loader="onnxruntime", options=options, needs=ORT_NEEDS)


_TABLE = (
    _ours("wellread", "as it is: load(directory).encode(texts)"),
    _ours("wellread-exact", 'with precision="exact"', precision="exact"),
    _ours("wellread-int8", "on the module that wellread.quantise makes", options={"module": INT8}),
    _ours("wellread-small", "on its default module in place of the given one", options=SMALL, comparable=False),
    _ours("wellread-openvino", "on OpenVINO in float32", backend="openvino", precision="f32"),
    _ours("wellread-openvino-bf16", "on OpenVINO in bfloat16", backend="openvino", precision="bf16", needs_bf16=True),
    _ours("wellread-torch", "on PyTorch", backend="torch", needs=("torch",)),
    _ours("wellread-numpy", "on NumPy in float64: the reference of the cosines", backend="numpy", precision="f64"),
    _sentence_transformers("", "SentenceTransformer(directory).encode(texts)"),
    _sentence_transformers("-bf16", "the same with dtype bfloat16", dtype="bfloat16", needs_bf16=True),
    _sentence_transformers("-onnx", 'the same with backend="onnx"', needs=("optimum.onnxruntime",), backend="onnx"),
    _sentence_transformers("-openvino", 'the same with backend="openvino"', backend="openvino", place=ST_OPENVINO),
    _sentence_transformers(
        "-openvino-int8", "the same, quantised by its own function", backend="openvino", dtype="int8", place=ST_OPENVINO
    ),
    System(
        name="transformers",
        description="AutoModel in PyTorch, its pooler's output: for a module that pools so; length-sorted batches",
        loader="transformers",
        needs=("torch", "transformers"),
    ),
    _onnxruntime("", "ONNX Runtime, length-sorted batches of bounded tokens"),
    _onnxruntime("-int8", "the same, quantised by quantize_dynamic, a scale a column", precision="int8"),
    _onnxruntime(
        "-arrival", "ONNX Runtime, batches of 256 in arrival order, as fastembed makes them", arrival_order=True
    ),
)
SYSTEMS = {system.name: system for system in _TABLE}
REFERENCE = "wellread-numpy"
POOLED = ("wellread", "wellread-openvino", "transformers", "onnxruntime")  # who gives `pooled_output` alone
DEFAULT = tuple(name for name in SYSTEMS if name not in (REFERENCE, "transformers"))
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
