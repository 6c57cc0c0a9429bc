"""What every backend offers, and the one place that knows them all by name."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wellread.backends.forks import preparing
from wellread.backends.native_kernel import refusal
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.cores import THREADS as THREADS
from wellread.cores import cpu_count as cpu_count
from wellread.dataclass import dataclass
from wellread.encoder.encoder import INPUTS
from wellread.encoder.heads import MLM_INPUT, MLM_OUTPUT, POOLING_MASK, SENTENCE_OUTPUT
from wellread.errors import InputError, MissingExtra, nearest, require_extra
from wellread.text.batch import Joined
from wellread.text.plan import Batching

SELU = (1.0507009873554805, 1.6732632423543772)  # scale and alpha (Klambauer et al. 2017, arXiv:1706.02515)
FloatArray = NDArray[np.floating]
Inputs = Mapping[str, NDArray[np.int32]]
Outputs = dict[str, FloatArray | list[FloatArray]]

AUTO = "auto"  # in the place of a backend's name: see `automatic`
# name, which is that of the framework -> the extra that brings it; None: it comes with wellread
BACKENDS = {
    **{"native": None, "openvino": None, "numpy": None},
    **{"torch": "train", "tensorflow": "tf", "keras": "keras", "onnx": "onnx"},
}
# name -> the modules that must be there to import, where these are not the framework alone
MODULES = {"onnx": ("onnx", "onnxruntime")}
# name -> the precisions that it computes in, its default first, where not float32 alone, nor asked of the CPU
PRECISIONS = {"numpy": ["f64"], "torch": ["f32", "bf16"]}
INT8 = ("native", "numpy")  # the backends that multiply int8 matrices as such, where a module has some
# (backend, precision) -> what lengths are rounded up to. OpenVINO compiles kernels anew for every shape of a batch:
# beside bfloat16 on AMX that is a third of the work (125 shapes among 158 batches of MiniLM); beside float32 on AVX2
# it is nothing, and rounding costs the tenth to the fifth that it pads.
MULTIPLES = {("openvino", "bf16"): 16}
TOKENS_A_CORE = 4096  # of rows without padding, in one call: enough to divide, few enough that progress is seen
INVARIANT = "exact"  # the precision in which a text's bits are the same whatever stands beside it
EXACT = {"native": "f32", "openvino": INVARIANT}  # the backends that have it, and what they call it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamItem:
    """One finished batch of a stream."""

    index: int  # which of the batches, counted from 0
    value: FloatArray  # the requested output


class Backend(Protocol):
    """A checkpoint, ready to run on one framework."""

    name: str
    precision: str  # what it really computes in: "f32", "bf16", "int8", "f64", or "exact": float32, a row at a time
    batching: Batching = Batching()  # of what is padded

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch and return the named outputs as float arrays."""

    def stream(self, batches: Iterable[Inputs], output: str) -> Iterator[StreamItem]:
        """Run many batches for one output, at the best throughput; items may come in any order."""
        for index, inputs in enumerate(batches):
            yield StreamItem(index=index, value=self.run(inputs, [output])[output])  # type: ignore[arg-type]

    def settle(self, batching: Batching) -> None:
        """Take batches like these from now on."""
        self.batching = batching

    def takes_joined(self, output: str) -> bool:
        """Tell whether `run_joined` gives an output of this checkpoint."""
        return False

    def run_joined(self, rows: Joined, output: str) -> FloatArray:
        """Run rows without padding: `sequence_output` [N, D], `sentence_embedding` [B, E] or `logits` [B, C]."""
        raise InputError(f"{output} was asked of rows without padding; {self.name} takes batches; call run or stream")


def load_backend(name: str, checkpoint: Checkpoint, *, precision: str | None = None) -> Backend:
    """Prepare `checkpoint` to run on the backend `name`, in `precision` or the backend's default.

    Raises: InputError for an unknown backend, a precision that it does not offer, or a checkpoint that it does not run;
        MissingExtra.
    """
    name = automatic(checkpoint) if name == AUTO else name
    with preparing(name):
        offered = precisions(name, checkpoint)
        exact = EXACT.get(name)
        if precision is not None and precision not in [*offered, *([INVARIANT] if exact else [])]:
            advice = "name one of these or none"
            if precision == "int8" and not checkpoint.has_int8:
                advice += "; wellread.quantise makes an int8 module"
            if precision == INVARIANT:
                advice = f'load the module with backend="{AUTO}", which has it'
            raise InputError(
                f"precision {precision!r} was asked of the {name} backend; on this machine it computes this module in "
                f"{', '.join(offered)}; {advice}"
            )
        if precision == INVARIANT and exact is not None:
            precision = exact
        backend: Backend = _module(name).load(checkpoint, precision=precision or offered[0])
        return backend


def automatic(checkpoint: Checkpoint) -> str:
    """Name the backend that computes where none is named: the native kernel where it serves, else OpenVINO."""
    native = _module("native")
    return "native" if native.is_best_for(checkpoint) else "openvino"


def precisions(name: str, checkpoint: Checkpoint | None = None) -> list[str]:
    """Name the precisions that a backend computes in on this machine, its default first; `checkpoint` may have int8.

    Raises: InputError for an unknown backend; MissingExtra.

    >>> precisions("numpy")
    ['f64']
    """
    check_backend(name)
    asked = name in ("native", "openvino")
    offered: list[str] = _module(name).precisions() if asked else PRECISIONS.get(name, ["f32"])
    if checkpoint is None or not checkpoint.has_int8 or name not in INT8:
        return offered
    return ["int8", *offered] if name == "native" else [*offered, "int8"]


def batching_of(name: str, precision: str) -> Batching:
    """Return what the batches of a backend look like where nothing else was measured."""
    return Batching(multiple=MULTIPLES.get((name, precision), 1))


def check_backend(name: str) -> None:
    """Refuse a backend that is unknown or not installed, without importing it. Raises: InputError; MissingExtra."""
    if name == AUTO:
        return
    if name not in BACKENDS:
        raise InputError(
            f"backend {name!r} is unknown; wellread has {', '.join([AUTO, *BACKENDS])}"
            f'{nearest(name, BACKENDS)}; name one of these: backend="torch" runs on a GPU where there is one'
        )
    if name == "native" and (found := refusal()) is not None:
        raise MissingExtra(f"the native backend was asked for; found {found}")
    if (extra := BACKENDS[name]) is not None:
        for module in MODULES.get(name, (name,)):
            require_extra(module, extra=extra)


def check_served(name: str, checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that a backend does not compute. Raises: InputError."""
    if name == "native":
        _module(name).check_served(checkpoint)


def _module(name: str) -> Any:
    return importlib.import_module(f"wellread.backends.{name}")


def is_installed(name: str) -> bool:
    """Tell whether the framework of a backend is there to import, or the library of the native one to be used."""
    if name == "native":
        return refusal() is None
    return all(importlib.util.find_spec(module) is not None for module in MODULES.get(name, (name,)))


def graph_inputs(checkpoint: Checkpoint, outputs: Sequence[str]) -> list[str]:
    """Name the inputs, int32 [B, T] or [B, P], that a graph of `outputs` takes."""
    names = [*INPUTS, MLM_INPUT] if MLM_OUTPUT in outputs else list(INPUTS)
    if SENTENCE_OUTPUT in outputs and not checkpoint.sentence.include_prompt:
        names.append(POOLING_MASK)
    return [name for name in names if name != "input_type_ids" or checkpoint.config.reads_types]


def fed(inputs: Inputs, names: Iterable[str]) -> dict[str, NDArray[np.int32]]:
    """Return the inputs of those names; without a mask of its own the pooling takes the encoder's."""
    return {name: inputs["input_mask" if name == POOLING_MASK and name not in inputs else name] for name in names}


def convert_outputs(outputs: Mapping[str, Any], convert: Callable[[Any], FloatArray]) -> Outputs:
    """Convert every tensor of `outputs`, those in lists included."""
    return {
        name: [convert(tensor) for tensor in value] if isinstance(value, list) else convert(value)
        for name, value in outputs.items()
    }


def name_outputs(arrays: Iterable[FloatArray], outputs: Sequence[str], *, layers: int) -> Outputs:
    """Give the arrays of a graph their names: one each, and as many as `layers` for `encoder_outputs`."""
    rest = iter(arrays)
    return {name: [next(rest) for _ in range(layers)] if name == "encoder_outputs" else next(rest) for name in outputs}


def give_back() -> None:
    """Have glibc return the pages it does not use; other allocators are left to themselves."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # no glibc
        return
    trim(ctypes.c_size_t(0))
