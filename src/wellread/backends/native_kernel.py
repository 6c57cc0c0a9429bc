"""The kernel in the native library: its C interface by ctypes, and which of its variants may run.

The structures are those of native/wellread.h, field by field.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

from wellread.dataclass import dataclass
from wellread.errors import InputError
from wellread.native_library import SWITCH, native_library

PRECISIONS = {"f32": 0, "bf16": 1}  # what products compute in -> wellread_precision
DTYPES = {"float32": 0, "float16": 1, "uint16": 2, "int8": 3}  # NumPy's name, bfloat16 as its bits -> wellread_dtype
ACTIVATIONS = {"gelu": 1, "gelu_tanh": 2, "relu": 3}  # of the inner layer -> wellread_activation
OUT_OF_MEMORY = -3
AMX_FLAG = "amx_bf16"
ERRORS = {
    -1: "an id, a position or a type outside its table",
    -2: "a shape that it does not compute",
    -4: "a variant that this CPU or system refuses",
}


class Matrix(ctypes.Structure):
    """A table, or the weights of a linear map."""

    _fields_ = [
        ("values", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("input_scales", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("rows", ctypes.c_int32),
        ("columns", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
    ]


class Norm(ctypes.Structure):
    """A LayerNorm."""

    _fields_ = [("gain", ctypes.c_void_p), ("shift", ctypes.c_void_p)]


class Layer(ctypes.Structure):
    """A block."""

    _fields_ = [
        *((name, Matrix) for name in ("query", "key", "value", "attention_output", "intermediate", "output")),
        ("attention_norm", Norm),
        ("output_norm", Norm),
    ]


class Encoder(ctypes.Structure):
    """A whole encoder."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("layers", "width", "heads", "inner", "activation")),
        ("eps", ctypes.c_float),
        *((name, Matrix) for name in ("words", "positions", "types")),
        ("embedding_norm", Norm),
        ("project", Matrix),
        ("relative", Matrix),
        ("layer", ctypes.POINTER(Layer)),
    ]


class Batch(ctypes.Structure):
    """Texts back to back."""

    _fields_ = [
        ("texts", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("offsets", "ids", "positions", "types", "mask", "weights")),
    ]


class Results(ctypes.Structure):
    """Where results go."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("embedding", "hidden", "first", "sums")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The kernel for one instruction set."""

    number: int
    name: str
    supported: bool  # by this CPU and this system
    computes: tuple[str, ...]  # of PRECISIONS


@cache
def functions() -> ctypes.CDLL:
    """Return the functions of the library, where there is one: see `refusal`."""
    library = native_library().functions
    assert library is not None
    library.wellread_variant_name.restype = ctypes.c_char_p
    for name in ("wellread_load", "wellread_linear_load"):
        function = getattr(library, name)
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32)]
    library.wellread_encode.argtypes = [*[ctypes.c_void_p] * 3, ctypes.c_int32]
    library.wellread_linear.argtypes = [
        *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p),
        *(ctypes.c_int32, ctypes.c_int32),
    ]
    for name in ("wellread_free", "wellread_linear_free"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = None
    return library


@cache
def variants() -> tuple[Variant, ...]:
    """Return the variants of the library, the plainest first."""
    library = functions()
    return tuple(
        Variant(
            number=number,
            name=library.wellread_variant_name(number).decode("ascii"),
            supported=bool(library.wellread_variant_supported(number)),
            computes=tuple(
                name for name, code in PRECISIONS.items() if library.wellread_variant_computes(number, code)
            ),
        )
        for number in range(library.wellread_variants())
    )


def named() -> str:
    """Return the variant that the environment names, "off" or nothing."""
    return os.environ.get(SWITCH, "").strip().lower()


def refusal() -> str | None:
    """Say what was found in place of a kernel that may run, and what to do; None where there is one."""
    if named() == "off":
        return f"{SWITCH}=off, which turns it off; unset that variable"
    library = native_library()
    if library.functions is None:
        return f"{library.reason}; install wellread from its sources where there is a C++17 compiler"
    if not named():
        return None
    variant = next((variant for variant in variants() if variant.name == named()), None)
    if variant is None:
        known = ", ".join(variant.name for variant in variants())
        return f"{SWITCH}={named()}, a variant that the library lacks; set it to {known} or off, or unset it"
    return None if variant.supported else f"{SWITCH}={named()}, which this CPU or system refuses; unset that variable"


def chosen(precision: str) -> Variant | None:
    """Return the variant that computes in `precision` here: the one that is named, or else the best that may run."""
    if refusal() is not None:
        return None
    able = [variant for variant in variants() if variant.supported and precision in variant.computes]
    return next((variant for variant in reversed(able) if named() in ("", variant.name)), None)


@cache
def cpu_has_amx() -> bool:
    """Tell whether this CPU multiplies tiles of bfloat16, as Linux says of its first core.

    Instructions for vectors of bfloat16 alone (AVX-512 BF16) made nothing faster: docs/benchmarks.md.
    """
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            flags = next((line.split() for line in lines if line.startswith("flags")), [])
    except OSError:
        return False
    return AMX_FLAG in flags


class Handle:
    """What the library has packed, a model or a linear map; it is freed with this."""

    def __init__(self, kind: str, structure: ctypes.Structure, variant: Variant, precision: str) -> None:
        """Pack it; `kind` is what the names of its functions begin with. Raises: MemoryError; InputError."""
        self._free = getattr(functions(), f"{kind}_free")
        error = ctypes.c_int32(0)
        load = getattr(functions(), f"{kind}_load")
        arguments = (ctypes.byref(structure), variant.number, PRECISIONS[precision], ctypes.byref(error))
        self.address: int | None = load(*arguments)
        if self.address is None:
            check(error.value)

    def __del__(self) -> None:
        """Free it."""
        if getattr(self, "address", None) is not None:
            self._free(self.address)


def check(error: int) -> None:
    """Raise what an error of the library means. Raises: MemoryError; InputError."""
    if error == OUT_OF_MEMORY:
        raise MemoryError("the native kernel found no memory for its work")
    if error:
        raise InputError(
            f"the native kernel was to compute; found {ERRORS.get(error, f'error {error}')}; "
            'check the ids, or load the module with backend="openvino"'
        )
