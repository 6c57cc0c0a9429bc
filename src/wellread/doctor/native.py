"""The native library on this machine: whether it is there, which of its variants may run, and which are chosen."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wellread.backends import native_kernel
from wellread.doctor.installation import Problem
from wellread.native_library import native_library

AMX_SETS = frozenset({"AMX BF16", "AMX INT8"})
BUILD = "where there is a C++17 compiler, run pip install --force-reinstall --no-deps --no-binary wellread wellread"


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeVariant:
    """The kernel for one instruction set."""

    name: str
    supported: bool  # by this CPU and this system
    chosen: tuple[str, ...]  # the precisions that it computes
    note: str  # what a reader is to know of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """The native library."""

    built: str  # what it was built with, or why it was not; empty where no report says
    refusal: str | None  # why it does not compute here; None where it does
    variants: tuple[NativeVariant, ...]  # the plainest first; empty without a library


def examine_native(sets: Collection[str]) -> Native:
    """Look at the library on a CPU with these instruction sets."""
    library = native_library()
    found = [] if library.functions is None else [*native_kernel.variants()]
    variants = []
    for variant in found:
        precisions = [name for name in native_kernel.PRECISIONS if native_kernel.chosen(name) == variant]
        note = _note(variant, precisions, sets)
        variants.append(
            NativeVariant(name=variant.name, supported=variant.supported, chosen=tuple(precisions), note=note)
        )
    return Native(built=library.built, refusal=native_kernel.refusal(), variants=tuple(variants))


def _note(variant: native_kernel.Variant, precisions: Collection[str], sets: Collection[str]) -> str:
    if precisions:
        return f"computes in {' and '.join(precisions)}"
    if variant.supported:
        return "could run here"
    if variant.name == "amx" and set(sets) >= AMX_SETS:
        return "this CPU has it, and the system refuses its tile registers"
    return "not on this CPU"


def native_problems(native: Native, sets: Collection[str]) -> Iterator[Problem]:
    """Tell what keeps the library, or a variant that the CPU has, from computing; OpenVINO computes in its place."""
    if native.refusal is not None and native_kernel.named() != "off":
        if native_library().functions is None:
            found, advice = f"the native backend is not there: {native_library().reason}", BUILD
        else:
            found, _, advice = native.refusal.rpartition("; ")
        yield Problem(found=found, advice=advice, broken=False)
    amx = next((variant for variant in native.variants if variant.name == "amx"), None)
    if amx is not None and not amx.supported and set(sets) >= AMX_SETS:
        yield Problem(
            found="this CPU has AMX, and the system does not let this process use its tile registers",
            advice="take a Linux of 5.16 or later, outside sandboxes that refuse arch_prctl",
            broken=False,
        )
