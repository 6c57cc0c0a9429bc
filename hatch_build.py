"""Compile native/ into the library of the native backend: called by hatchling, or by hand to build in place.

A C++17 compiler is all that is needed, and where there is none wellread installs without the library. Why it is absent,
or what it was built with, stands in a text file beside it, which `wellread doctor` reads.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
NATIVE = ROOT / "native"
WORK = ROOT / "build" / "native"
LIBRARY = ROOT / "src" / "wellread" / "backends" / "libwellread.so"
REPORT = ".txt"  # the suffix of the file beside the library
COMPILERS = ("c++", "g++", "clang++")
AVX2 = ("-mavx2", "-mfma", "-mf16c")
AVX512 = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512")
# native/variant_{name}.cpp -> what it may use beyond what every CPU has. They are linked in this order, behind
# the other files: of an inline function that several hold the linker keeps the first, which asks least of the CPU.
VARIANTS: dict[str, tuple[str, ...]] = {
    "portable": (),
    "avx2": AVX2,
    "avx_vnni": (*AVX2, "-mavxvnni"),
    "avx512": AVX512,
    "avx512_vnni": (*AVX512, "-mavx512vnni"),
    "amx": (*AVX512, "-mavx512vnni", "-mavx512bf16", "-mamx-tile", "-mamx-int8", "-mamx-bf16"),
}
# No fused multiply-add but where it is written: a text's bits must not depend on which of them a compiler fuses.
LANGUAGE = ("-std=c++17", "-ffp-contract=off", "-pthread", "-Wall", "-Wextra", "-Wshadow")
MACOS = "11.0"  # the oldest that a library built there runs on
PLATFORM = (f"-mmacosx-version-min={MACOS}",) if sys.platform == "darwin" else ()
FLAGS = (*LANGUAGE, "-O3", "-fPIC", "-fvisibility=hidden", *PLATFORM)
STATIC = ("-static-libstdc++", "-static-libgcc")


class NotBuiltError(Exception):
    """Why there is no library."""


def find_compiler() -> list[str]:
    """Return the command of the C++ compiler: what CXX says, or the first of the usual names.

    Raises: NotBuiltError for none, or for one without C++17.
    """
    named = os.environ.get("CXX", "").strip()
    for command in [shlex.split(named)] if named else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            if not understands(command, ("-std=c++17",)):
                raise NotBuiltError(f"{shlex.join(command)} does not compile C++17")
            return command
    if named:
        raise NotBuiltError(f"the C++ compiler that CXX names, {named}, was not found")
    raise NotBuiltError(f"no C++ compiler was found ({', '.join(COMPILERS)})")


def understands(command: Sequence[str], flags: Sequence[str]) -> bool:
    """Tell whether a compiler knows some flags, and the intrinsics that those of x86 come with."""
    program = "#include <immintrin.h>\n" if any(flag.startswith("-m") for flag in flags) else "int one = 1;\n"
    call = [*command, *flags, "-Werror", "-x", "c++", "-c", "-", "-o", os.devnull]
    return subprocess.run(call, input=program, capture_output=True, text=True, check=False).returncode == 0


def describe(command: Sequence[str]) -> str:
    """Return the first line of what a compiler says of its version."""
    told = subprocess.run([*command, "--version"], capture_output=True, text=True, errors="replace", check=False)
    return (told.stdout.splitlines() or [shlex.join(command)])[0]


def known_variants(command: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the variants in native/ that the compiler can build, with their flags."""
    return {
        name: flags
        for name, flags in VARIANTS.items()
        if (NATIVE / f"variant_{name}.cpp").exists() and understands(command, flags)
    }


def sources(variants: dict[str, tuple[str, ...]], flags: Sequence[str] = FLAGS) -> dict[Path, list[str]]:
    """Return what the library is made of, each file with its flags: all in native/, but of the variants only these."""
    names = [source for source in sorted(NATIVE.glob("*.cpp")) if not source.name.startswith("variant_")]
    there = [f"-DWELLREAD_HAS_{name.upper()}" for name in variants]
    own = {NATIVE / f"variant_{name}.cpp": [*flags, *own] for name, own in variants.items()}
    return {source: [*flags, *there] for source in names} | own


def compile_objects(command: Sequence[str], files: dict[Path, list[str]], *, strict: bool = False) -> list[Path]:
    """Compile files with their flags, one object each, as many at once as there are cores.

    An object is named after the hash of all that it is made of, and is made once. With `strict`, warnings are errors.

    Raises: NotBuiltError.
    """
    seed = hashlib.sha256(repr((list(command), describe(command))).encode())
    for header in sorted((*NATIVE.glob("*.h"), *NATIVE.glob("*.hpp"))):
        seed.update(header.name.encode() + header.read_bytes())
    WORK.mkdir(parents=True, exist_ok=True)

    def compile_one(source: Path) -> Path:
        digest = seed.copy()
        digest.update(repr(files[source]).encode() + source.read_bytes())
        target = WORK / f"{source.stem}-{digest.hexdigest()[:16]}.o"
        notes = target.with_suffix(REPORT)  # what the compiler said: it counts when the object is used again, too
        if not target.exists():
            unfinished = target.with_suffix(f".{os.getpid()}")
            told = _run([*command, *files[source], f"-I{NATIVE}", "-c", str(source), "-o", str(unfinished)])
            notes.write_text(told, "utf-8")
            os.replace(unfinished, target)
        if strict and (warnings := notes.read_text("utf-8")):
            raise NotBuiltError(f"{source.name} compiles with warnings:\n{warnings}")
        return target

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(compile_one, files))


def link(command: Sequence[str], objects: Iterable[Path], target: Path) -> None:
    """Link a shared library, whole or not at all, with its own copy of the C++ library where there is one to copy.

    Raises: NotBuiltError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}")
    call = [*command, "-shared", *LANGUAGE, *PLATFORM, *map(str, objects), "-o", str(unfinished)]
    if sys.platform.startswith("linux"):
        call.append(f"-Wl,--version-script={NATIVE / 'exports.map'}")
    try:
        _run([*call, *STATIC] if sys.platform.startswith("linux") else call)
    except NotBuiltError:  # some systems have the C++ library as a shared one alone
        _run(call)
    os.replace(unfinished, target)


def _run(call: Sequence[str]) -> str:
    """Run a compiler and return what it said. Raises: NotBuiltError."""
    english = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(call, env=english, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        error = next((line for line in lines if "error" in line), f"exit code {done.returncode}")
        raise NotBuiltError("\n".join([f"{call[0]} failed: {error}", *lines]))
    return done.stderr


def build(library: Path, *, strict: bool = False) -> str:
    """Build the library at `library`; return what it was built with, in words.

    Raises: NotBuiltError.
    """
    if os.environ.get("WELLREAD_NATIVE", "").strip().lower() == "off":
        raise NotBuiltError("WELLREAD_NATIVE was off")
    if sys.platform == "win32":
        raise NotBuiltError("the library is not built on Windows yet")
    command = find_compiler()
    variants = known_variants(command)
    link(command, compile_objects(command, sources(variants), strict=strict), library)
    missing = [name for name in VARIANTS if name not in variants and (NATIVE / f"variant_{name}.cpp").exists()]
    return describe(command) + (f"; it does not know {', '.join(missing)}" if missing else "")


def install(library: Path, *, strict: bool = False) -> bool:
    """Build the library, or remove an old one; leave a report beside it in either case. Tell whether it is there."""
    try:
        told, there = f"built with {build(library, strict=strict)}", True
    except NotBuiltError as reason:
        told, there = str(reason).splitlines()[0], False
        library.unlink(missing_ok=True)
        print(f"wellread: the native backend is not built: {reason}", file=sys.stderr)
    library.parent.mkdir(parents=True, exist_ok=True)
    library.with_suffix(REPORT).write_text(f"{told}\n", "utf-8")
    return there


def platform_tag() -> str:
    """Return the platform tag of a wheel that holds the library."""
    name = f"macosx-{MACOS}-{platform.machine()}" if sys.platform == "darwin" else sysconfig.get_platform()
    return name.replace("-", "_").replace(".", "_")


def get_build_hook() -> type[Any]:
    """Return the hook, by the name under which hatchling looks for it. Only here is hatchling needed."""
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class NativeHook(BuildHookInterface):  # type: ignore[type-arg]
        """Puts the library into a wheel; of an editable installation, into src/."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Build before the wheel is written."""
            library = LIBRARY if version == "editable" else WORK / "wheel" / LIBRARY.name
            files = [library.with_suffix(REPORT)]
            if install(library):
                build_data["pure_python"] = False
                build_data["tag"] = f"py3-none-{platform_tag()}"
                files.append(library)
            if version != "editable":
                build_data["force_include"].update({str(file): f"wellread/backends/{file.name}" for file in files})

    return NativeHook


def main() -> None:
    """Build in place."""
    parser = argparse.ArgumentParser(description="Compile native/ into src/wellread/backends/libwellread.so.")
    parser.add_argument("--strict", action="store_true", help="take warnings as errors")
    if not install(LIBRARY, strict=parser.parse_args().strict):
        sys.exit(1)
    print(f"{LIBRARY.relative_to(ROOT)}: {LIBRARY.with_suffix(REPORT).read_text('utf-8')}", end="")


if __name__ == "__main__":
    main()
