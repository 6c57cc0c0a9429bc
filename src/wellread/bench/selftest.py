"""A sentence through every backend that comes with wellread, held against the float64 reference."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import wellread
from wellread.backends.backend import BACKENDS, FloatArray
from wellread.bench.packages import install
from wellread.hub.problem import Problem

TEXT = "A man is playing a guitar."
NEEDED = {"f64": 0.9999999, "f32": 0.99999, "bf16": 0.999}  # precision -> the cosine that is asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What became of a backend in one precision."""

    backend: str
    precision: str | None = None  # None: not tried
    cosine: float | None = None  # of its vector and the reference's
    seconds: float | None = None  # to prepare it and to compute the vector
    note: str = ""  # why it was not tried, or what went wrong

    @property
    def failed(self) -> bool:
        """Whether it was tried and does not compute what it should."""
        return self.precision is not None and (self.cosine is None or not self.cosine >= NEEDED[self.precision])


def self_tests(precisions: Sequence[str]) -> Iterator[SelfTest]:
    """Try NumPy and OpenVINO, in each of its `precisions`, on the module that ships with wellread; name the others."""
    started = time.perf_counter()
    try:
        reference = wellread.load("default", backend="numpy").encode(TEXT)
    except Exception as error:  # whatever it is, a doctor tells of it
        yield _broken("numpy", "f64", error)
        return
    assert isinstance(reference, np.ndarray)
    # the reference itself: that it is a number and of length 1 is all that can be asked
    yield _compared("numpy", "f64", reference, reference, started)
    for precision in precisions:
        started = time.perf_counter()
        try:
            vector = wellread.load("default").encode(TEXT, precision=precision)
        except Exception as error:
            yield _broken("openvino", precision, error)
        else:
            assert isinstance(vector, np.ndarray)
            yield _compared("openvino", precision, vector, reference, started)
    for backend, extra in BACKENDS.items():
        if extra is not None:
            there = importlib.util.find_spec(backend) is not None
            yield SelfTest(
                backend=backend, note="installed, not tried" if there else f"not installed: {install(extra)}"
            )


def _compared(backend: str, precision: str, vector: FloatArray, reference: FloatArray, started: float) -> SelfTest:
    a, b = vector.astype(np.float64), reference.astype(np.float64)
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    seconds = time.perf_counter() - started
    return SelfTest(backend=backend, precision=precision, cosine=cosine, seconds=round(seconds, 3))


def _broken(backend: str, precision: str, error: Exception) -> SelfTest:
    return SelfTest(backend=backend, precision=precision, note=f"{type(error).__name__}: {error}")


def problems(tests: Sequence[SelfTest]) -> Iterator[Problem]:
    """Tell which backends do not compute what they should."""
    for test in tests:
        if test.failed:
            what = (
                test.note or f"its vector's cosine to the reference is {test.cosine}, not {NEEDED[str(test.precision)]}"
            )
            yield Problem(
                found=f"the {test.backend} backend fails in {test.precision}: {what}",
                advice=f"run pip install --force-reinstall {test.backend}, and wellread doctor again",
            )
