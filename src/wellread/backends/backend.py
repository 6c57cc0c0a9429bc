"""What every backend offers, and the one place that knows them all by name."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.errors import InputError, nearest, require_extra

FloatArray = NDArray[np.floating]
Inputs = Mapping[str, NDArray[np.int32]]
Outputs = dict[str, FloatArray | list[FloatArray]]

# name, which is that of the framework -> the extra that brings it; None: it comes with wellread
BACKENDS = {"openvino": None, "numpy": None, "torch": "train", "tensorflow": "tf", "keras": "keras"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamItem:
    """One finished batch of a stream."""

    index: int  # which of the batches, counted from 0
    value: FloatArray  # the requested output


class Backend(Protocol):
    """A checkpoint, ready to run on one framework."""

    name: str
    precision: str  # what it really computes in: "f32", "bf16" or "f64"

    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch and return the named outputs as float arrays."""

    def stream(self, batches: Iterable[Inputs], output: str) -> Iterator[StreamItem]:
        """Run many batches for one output, at the best throughput; items may come in any order."""


def load_backend(name: str, checkpoint: Checkpoint, *, precision: str | None = None) -> Backend:
    """Prepare `checkpoint` to run on the backend `name`, in `precision` or the backend's default.

    Raises: InputError for an unknown backend or a precision that it does not offer; MissingExtra.
    """
    if name not in BACKENDS:
        raise InputError(f"backend {name!r} is unknown; wellread has {', '.join(BACKENDS)}{nearest(name, BACKENDS)}")
    if (extra := BACKENDS[name]) is not None:
        require_extra(name, extra=extra)
    module = importlib.import_module(f"wellread.backends.{name}")
    backend: Backend = module.load(checkpoint, precision=precision)
    return backend


def refuse_precision(backend: str, asked: str, offered: Collection[str]) -> InputError:
    """Say that a backend does not compute in the precision that was asked for."""
    return InputError(
        f"precision {asked!r} was asked of the {backend} backend; on this machine it computes in "
        f"{', '.join(offered)}; name one of these or none"
    )
