"""The library of native code (`native/` in the sources): found beside the package, checked and opened, once.

Nothing needs it. Where it is absent, or WELLREAD_NATIVE is "off", Python and other runtimes do its work.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from wellread.dataclass import dataclass

PATH = Path(__file__).parent / "backends" / "libwellread.so"
REPORT = PATH.with_suffix(".txt")  # what it was built with, or why it was not; hatch_build.py writes it
INTERFACE = 2  # the version of native/wellread.h that Python is written for
SWITCH = "WELLREAD_NATIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeLibrary:
    """The library, or the reason why it does not serve."""

    functions: ctypes.CDLL | None  # calls let go of the GIL
    built: str  # what the report beside it says; empty if there is none
    reason: str  # why `functions` is None; empty if it is not


@cache
def native_library() -> NativeLibrary:
    """Open the library, the first time; later calls return the same."""
    return open_library(PATH)


def open_library(path: Path) -> NativeLibrary:
    """Open the library at `path` unless it is switched off, is of another version, or cannot be loaded."""
    report = path.with_suffix(REPORT.suffix)
    built = report.read_text("utf-8").strip() if report.is_file() else ""
    if os.environ.get(SWITCH, "").strip().lower() == "off":
        return NativeLibrary(functions=None, built=built, reason=f"{SWITCH} is off")
    if not path.is_file():
        return NativeLibrary(functions=None, built=built, reason=built or f"there is no {path}")
    try:
        functions = ctypes.CDLL(str(path))
        version = functions.wellread_interface()
    except (OSError, AttributeError) as error:
        return NativeLibrary(functions=None, built=built, reason=f"{path} cannot be loaded: {error}")
    if version != INTERFACE:
        reason = f"{path} has version {version} of the interface, {INTERFACE} is needed: install wellread again"
        return NativeLibrary(functions=None, built=built, reason=reason)
    return NativeLibrary(functions=functions, built=built, reason="")
