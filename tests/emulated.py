"""The kernels of native/ over an emulation of what this CPU lacks: a library for tests, and the C interface of it.

Each variant is compiled from its own source, with plain C++ in place of the instructions of AVX-512, VNNI and AMX.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hatch_build
from wellread.backends.native_kernel import Batch, Encoder, Layer, Matrix, Norm, Results

Floats = NDArray[np.float32]
F32, BF16 = 0, 1  # wellread_precision
DTYPES = {"float32": 0, "int8": 3}
ACTIVATIONS = {"identity": 0, "gelu": 1, "gelu_tanh": 2, "relu": 3, "tanh": 4}


def build(library: Path) -> None:
    """Compile the emulated variants. Raises: NotBuiltError."""
    command = hatch_build.find_compiler()
    flags = (*hatch_build.FLAGS, "-O2", "-DWELLREAD_EMULATED", "-Wno-psabi")
    variants = {
        name: () if name == "portable" else hatch_build.AVX2
        for name in hatch_build.VARIANTS
        if (hatch_build.NATIVE / f"variant_{name}.cpp").exists()
    }
    hatch_build.link(command, hatch_build.compile_objects(command, hatch_build.sources(variants, flags)), library)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """The weights of a linear map; int8 ones have scales."""

    weights: NDArray[np.float32] | NDArray[np.int8]  # [rows, columns]
    bias: Floats | None = None
    scales: Floats | None = None
    input_scales: Floats | None = None

    def matrix(self) -> Matrix:
        rows, columns = self.weights.shape
        address = [
            None if a is None else a.ctypes.data for a in (self.weights, self.scales, self.input_scales, self.bias)
        ]
        return Matrix(*address, rows, columns, DTYPES[self.weights.dtype.name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A small encoder with drawn weights."""

    layers: int
    width: int
    heads: int
    inner: int
    activation: str
    maps: tuple[Linear, ...]  # six a layer
    norms: Floats  # [1 + 2 layers, 2, width]
    words: Floats
    positions: Floats
    relative: Floats | None = None  # [heads, 2 T - 1]

    def encoder(self) -> Encoder:
        norms = [Norm(gain.ctypes.data, shift.ctypes.data) for gain, shift in self.norms]
        layers = [
            Layer(*(map_.matrix() for map_ in self.maps[6 * i : 6 * i + 6]), *norms[1 + 2 * i : 3 + 2 * i])
            for i in range(self.layers)
        ]
        tables = (Linear(weights=self.words).matrix(), Linear(weights=self.positions).matrix(), Matrix())
        numbers = (self.layers, self.width, self.heads, self.inner, ACTIVATIONS[self.activation], 1e-12)
        relative = Matrix() if self.relative is None else Linear(weights=self.relative).matrix()
        return Encoder(*numbers, *tables, norms[0], Matrix(), relative, (Layer * self.layers)(*layers))


class Library:
    """The functions of wellread.h, over arrays."""

    def __init__(self, path: Path) -> None:
        self.functions = ctypes.CDLL(str(path))
        self.functions.wellread_variant_name.restype = ctypes.c_char_p
        for kind in ("wellread", "wellread_linear"):
            load, free = (getattr(self.functions, f"{kind}_{verb}") for verb in ("load", "free"))
            load.restype = ctypes.c_void_p
            load.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32)]
            free.argtypes = [ctypes.c_void_p]
            free.restype = None
        self.functions.wellread_encode.argtypes = [*[ctypes.c_void_p] * 3, ctypes.c_int32]
        self.functions.wellread_linear.argtypes = [
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64),
            *(ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32),
        ]
        count = self.functions.wellread_variants()
        self.variants = {self.functions.wellread_variant_name(i).decode(): i for i in range(count)}

    def supported(self, variant: str) -> bool:
        return bool(self.functions.wellread_variant_supported(self.variants[variant]))

    def _load(self, kind: str, structure: ctypes.Structure, variant: str, precision: int) -> int:
        error = ctypes.c_int32(0)
        load = getattr(self.functions, f"{kind}_load")
        loaded = load(ctypes.byref(structure), self.variants[variant], precision, ctypes.byref(error))
        assert loaded is not None, error.value
        return int(loaded)

    def linear(
        self, variant: str, map_: Linear, x: Floats, *, activation: str = "identity", precision: int = F32
    ) -> Floats:
        """Compute activation(x weights' + bias) [n, rows]."""
        loaded = self._load("wellread_linear", map_.matrix(), variant, precision)
        y = np.full((len(x), len(map_.weights)), np.nan, np.float32)
        code = ACTIVATIONS[activation]
        assert self.functions.wellread_linear(loaded, x.ctypes.data, len(x), y.ctypes.data, code, 2) == 0
        self.functions.wellread_linear_free(loaded)
        return y

    def encode(
        self,
        variant: str,
        model: Model,
        texts: Sequence[NDArray[np.int32]],
        *,
        mask: NDArray[np.uint8] | None = None,
        precision: int = F32,
        first: bool = False,
    ) -> Floats:
        """Return the last hidden states [N, D]; with `first`, those of position 0 alone [B, D], by the shorter way."""
        loaded = self._load("wellread", model.encoder(), variant, precision)
        offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        ids = np.concatenate(texts)
        states = np.full((len(texts) if first else len(ids), model.width), np.nan, np.float32)
        batch = Batch(len(texts), offsets.ctypes.data, ids.ctypes.data, None, None, None, None)
        if mask is not None:
            batch.mask = mask.ctypes.data
        hidden = (ctypes.c_void_p * model.layers)()
        hidden[model.layers - 1] = None if first else states.ctypes.data
        address = ctypes.cast(hidden, ctypes.c_void_p)
        results = Results(None, address, states.ctypes.data if first else None, None)
        arguments = (loaded, ctypes.byref(batch), ctypes.byref(results), 2)
        assert self.functions.wellread_encode(*arguments) == 0
        self.functions.wellread_free(loaded)
        return states
