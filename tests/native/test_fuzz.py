"""Random shapes through every variant that this CPU runs, under the compiler's sanitizers."""

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

import hatch_build
from hatch_build import NotBuiltError
from wellread.native_library import native_library

PROGRAM = Path(__file__).parent / "fuzz.cpp"
EMULATED = ("-DWELLREAD_EMULATED", "-Wno-psabi")  # see tests/emulated.py


class Fuzz(Protocol):
    """What the fixture `fuzz` returns."""

    def __call__(
        self, sanitizers: str, variants: dict[str, tuple[str, ...]], seed: int, cases: int, *more: str
    ) -> set[str]: ...


def is_there(variant: str) -> bool:
    return (hatch_build.NATIVE / f"variant_{variant}.cpp").is_file()


@pytest.fixture(scope="module")
def supported() -> dict[str, tuple[str, ...]]:
    """The variants that this CPU runs, and their flags."""
    library = native_library().functions
    if library is None:
        pytest.skip(native_library().reason)
    library.wellread_variant_name.restype = ctypes.c_char_p
    numbers = [number for number in range(library.wellread_variants()) if library.wellread_variant_supported(number)]
    names = [library.wellread_variant_name(number).decode() for number in numbers]
    return {name: hatch_build.VARIANTS[name] for name in names}


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Fuzz:
    """Compile the kernel and the program under sanitizers, with some variants, and try cases from a seed on.

    Returns the names of the variants that were tried.
    """
    try:
        command = hatch_build.find_compiler()
    except NotBuiltError as error:
        pytest.skip(str(error))

    def run(sanitizers: str, variants: dict[str, tuple[str, ...]], seed: int, cases: int, *more: str) -> set[str]:
        flags = (*hatch_build.LANGUAGE, f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-O1", "-g1", *more)
        files = {**hatch_build.sources(variants, flags), PROGRAM: [*flags]}
        objects = hatch_build.compile_objects(command, files)
        program = tmp_path_factory.mktemp("kernel") / "cases"
        subprocess.run([*command, *flags, *map(str, objects), "-o", str(program)], check=True)
        environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
        call = [str(program), str(seed), str(cases)]
        done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=1800)
        assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[:4000]}"
        return {name.removesuffix(" in bf16") for name in done.stdout.splitlines()}

    return run


def test_some_random_cases(fuzz: Fuzz, supported: dict[str, tuple[str, ...]]) -> None:
    """The plainest variant and the best: `make slow` tries them all."""
    some = {name: supported[name] for name in dict.fromkeys([next(iter(supported)), [*supported][-1]])}
    assert fuzz("address,undefined", some, 1, 12) == some.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("sanitizers", "seed", "cases"), [("address,undefined", 10_000, 400), ("thread", 20_000, 40)])
def test_many_random_cases(
    fuzz: Fuzz, supported: dict[str, tuple[str, ...]], sanitizers: str, seed: int, cases: int
) -> None:
    assert fuzz(sanitizers, supported, seed, cases) == supported.keys()


@pytest.mark.slow
def test_variants_of_other_cpus_over_an_emulation(fuzz: Fuzz, supported: dict[str, tuple[str, ...]]) -> None:
    if "avx2" not in supported:
        pytest.skip("the emulation needs AVX2")
    variants = {name: flags and hatch_build.AVX2 for name, flags in hatch_build.VARIANTS.items() if is_there(name)}
    # GCC 12 computes wrong numbers of the emulation's lanes under the sanitizer of undefined behaviour
    assert fuzz("address", variants, 30_000, 60, *EMULATED) == variants.keys()
