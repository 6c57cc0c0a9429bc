"""What doctor says of the native library: a real one, one that is absent, and CPUs that this one is not."""

import subprocess
import sys

import pytest

from wellread.backends import native_kernel
from wellread.backends.native_kernel import Variant
from wellread.doctor import native as native_doctor
from wellread.doctor.native import examine_native, native_problems
from wellread.native_library import NativeLibrary, native_library

needs_library = pytest.mark.skipif(native_library().functions is None, reason=native_library().reason)
AMX = ("AVX2", "AMX BF16", "AMX INT8")


@needs_library
def test_of_this_machine() -> None:
    found = examine_native(())
    assert found.built.startswith("built with ")
    assert found.refusal is None
    assert found.variants[0].name == "portable"
    assert found.variants[0].supported
    (computing,) = [variant for variant in found.variants if "f32" in variant.chosen]
    assert computing.note.startswith("computes in f32")
    assert computing.supported
    assert list(native_problems(found, ())) == []


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch):
    """Make it a CPU on which these variants run."""

    def cpu(*names: str, named: str = "") -> None:
        computes = {"amx": ("f32", "bf16")}
        variants = [
            Variant(number=number, name=name, supported=name in names, computes=computes.get(name, ("f32",)))
            for number, name in enumerate(("portable", "avx2", "amx"))
        ]
        monkeypatch.setattr(native_kernel, "variants", lambda: tuple(variants))
        monkeypatch.setenv("WELLREAD_NATIVE", named)

    return cpu


@needs_library
def test_the_best_variant_computes_unless_another_is_named(cpu) -> None:
    cpu("portable", "avx2", "amx")
    notes = {variant.name: variant.note for variant in examine_native(AMX).variants}
    assert notes == {"portable": "could run here", "avx2": "could run here", "amx": "computes in f32 and bf16"}
    assert list(native_problems(examine_native(AMX), AMX)) == []
    cpu("portable", "avx2", "amx", named="avx2")
    notes = {variant.name: variant.note for variant in examine_native(AMX).variants}
    assert notes == {"portable": "could run here", "avx2": "computes in f32", "amx": "could run here"}


@needs_library
def test_tile_registers_that_the_system_refuses_are_told(cpu) -> None:
    cpu("portable", "avx2")
    found = examine_native(AMX)
    assert found.variants[2].note == "this CPU has it, and the system refuses its tile registers"
    (problem,) = native_problems(found, AMX)
    assert problem.found == "this CPU has AMX, and the system does not let this process use its tile registers"
    assert not problem.broken
    elsewhere = examine_native(("AVX2",))
    assert elsewhere.variants[2].note == "not on this CPU"
    assert list(native_problems(elsewhere, ("AVX2",))) == []


@needs_library
@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("amx", "WELLREAD_NATIVE=amx, which this CPU or system refuses"),
        ("avx", "WELLREAD_NATIVE=avx, a variant that the library lacks"),
    ],
)
def test_a_variant_that_is_named_in_vain(cpu, named: str, said: str) -> None:
    cpu("portable", "avx2", named=named)
    (problem,) = native_problems(examine_native(()), ())
    assert problem.found == said
    assert problem.advice.endswith("unset that variable" if named == "amx" else "or off, or unset it")
    assert not problem.broken


def test_a_library_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "no C++ compiler was found (c++, g++, clang++)"
    absent = NativeLibrary(functions=None, built=reason, reason=reason)
    for module in (native_doctor, native_kernel):
        monkeypatch.setattr(module, "native_library", lambda: absent)
    monkeypatch.delenv("WELLREAD_NATIVE", raising=False)
    found = examine_native(())
    assert (found.built, found.variants) == (reason, ())
    assert str(found.refusal).startswith(f"{reason}; ")
    (problem,) = native_problems(found, ())
    assert problem.found == f"the native backend is not there: {reason}"
    assert "run pip install --force-reinstall" in problem.advice
    assert not problem.broken


def test_switched_off_is_no_problem() -> None:
    script = """
        import os; os.environ["WELLREAD_NATIVE"] = "off"
        from wellread.doctor.native import examine_native, native_problems
        found = examine_native(())
        print(found.refusal, found.variants, list(native_problems(found, ())))
    """
    call = [sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout == "WELLREAD_NATIVE=off, which turns it off; unset that variable () []\n"
