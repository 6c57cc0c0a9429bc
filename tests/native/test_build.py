"""The library is built where a compiler is, and left out, in words, where it is not: by hand and in wheels."""

import ctypes
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import hatch_build
from hatch_build import NotBuiltError

ROOT = Path(hatch_build.__file__).parent
TINY = {
    "tiny.h": "#define ANSWER 42\n",
    "interface.cpp": """#include "tiny.h"
extern "C" __attribute__((visibility("default"))) int wellread_interface() { return ANSWER; }
__attribute__((visibility("default"))) int not_ours() { return 1; }
#ifdef WELLREAD_HAS_AVX2
extern "C" __attribute__((visibility("default"))) int wellread_avx2() { return 1; }
#endif
""",
    "variant_portable.cpp": "int twice(int n) { return 2 * n; }\n",
    "variant_avx2.cpp": """#ifndef __AVX2__
#error its flags are missing
#endif
int thrice(int n) { return 3 * n; }
""",
}


def has_compiler() -> bool:
    try:
        hatch_build.find_compiler()
    except NotBuiltError:
        return False
    return True


needs_compiler = pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel of a few lines, in a directory of its own that takes the place of native/."""
    native = tmp_path / "native"
    native.mkdir()
    for name, text in TINY.items():
        (native / name).write_text(text)
    shutil.copy(hatch_build.NATIVE / "exports.map", native)
    monkeypatch.setattr(hatch_build, "NATIVE", native)
    monkeypatch.setattr(hatch_build, "WORK", tmp_path / "work")
    monkeypatch.setattr(hatch_build, "LIBRARY", tmp_path / "out" / "libwellread.so")
    monkeypatch.setattr(hatch_build, "ROOT", tmp_path)
    monkeypatch.delenv("WELLREAD_NATIVE", raising=False)
    return tmp_path


def compiler_that(path: Path, script: str) -> str:
    """Make a compiler that does something first: a shell script before the real one."""
    real = " ".join(hatch_build.find_compiler())
    path.write_text(f'#!/bin/sh\n{script}\nexec {real} "$@"\n')
    path.chmod(0o755)
    return str(path)


@needs_compiler
def test_the_library_is_there_where_there_is_a_compiler() -> None:
    assert hatch_build.LIBRARY.is_file(), "run make native"
    assert hatch_build.LIBRARY.with_suffix(".txt").read_text().startswith("built with ")


@needs_compiler
def test_the_library_shows_the_c_interface_and_nothing_else(tiny: Path) -> None:
    hatch_build.build(hatch_build.LIBRARY)
    library = ctypes.CDLL(str(hatch_build.LIBRARY))
    assert library.wellread_interface() == 42
    assert not hasattr(library, "_Z8not_oursv")


@needs_compiler
def test_what_did_not_change_is_not_compiled_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tiny / "log"
    monkeypatch.setenv("CXX", compiler_that(tiny / "logging", f'echo "$@" >> {log}'))

    def compiled() -> list[str]:
        log.unlink(missing_ok=True)
        hatch_build.build(hatch_build.LIBRARY)
        calls = [line.split() for line in log.read_text().splitlines()]
        return sorted(Path(word).name for call in calls if "-c" in call for word in call if word.endswith(".cpp"))

    variants = [f"variant_{name}.cpp" for name in sorted(hatch_build.known_variants(hatch_build.find_compiler()))]
    assert "variant_portable.cpp" in variants
    assert compiled() == ["interface.cpp", *variants]
    assert compiled() == []
    (tiny / "native" / "variant_portable.cpp").write_text("int twice(int n) { return n + n; }\n")
    assert compiled() == ["variant_portable.cpp"]
    (tiny / "native" / "tiny.h").write_text("#define ANSWER 43\n")
    assert compiled() == ["interface.cpp", *variants]
    assert ctypes.CDLL(str(hatch_build.LIBRARY)).wellread_interface() == 43


@needs_compiler
def test_a_variant_that_the_compiler_does_not_know_is_left_out_and_named(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = 'case "$*" in *-mavx2*) echo "unrecognized option" >&2; exit 1;; esac'
    monkeypatch.setenv("CXX", compiler_that(tiny / "old", script))
    assert hatch_build.install(hatch_build.LIBRARY)
    assert not hasattr(ctypes.CDLL(str(hatch_build.LIBRARY)), "wellread_avx2")
    assert (tiny / "out" / "libwellread.txt").read_text().endswith("; it does not know avx2\n")


@needs_compiler
def test_warnings_are_errors_only_where_asked_and_also_when_nothing_is_compiled(tiny: Path) -> None:
    (tiny / "native" / "variant_portable.cpp").write_text("int twice(int n) { int unused; return 2 * n; }\n")
    hatch_build.build(hatch_build.LIBRARY)
    with pytest.raises(NotBuiltError, match=r"^variant_portable.cpp compiles with warnings:\n(.|\n)*unused"):
        hatch_build.build(hatch_build.LIBRARY, strict=True)


@needs_compiler
def test_code_that_does_not_compile_leaves_no_library(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hatch_build.install(hatch_build.LIBRARY)
    (tiny / "native" / "interface.cpp").write_text("#error too new\n")
    assert not hatch_build.install(hatch_build.LIBRARY)
    assert "wellread: the native backend is not built: " in capsys.readouterr().err
    assert os.listdir(tiny / "out") == ["libwellread.txt"]
    (line,) = (tiny / "out" / "libwellread.txt").read_text().splitlines()
    assert "#error too new" in line


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"WELLREAD_NATIVE": "off"}, "WELLREAD_NATIVE was off"),
        ({"CXX": "/nonexistent -O1"}, "the C++ compiler that CXX names, /nonexistent -O1, was not found"),
        ({"CXX": "false"}, "false does not compile C++17"),
        ({"CXX": "", "PATH": "/nowhere"}, "no C++ compiler was found (c++, g++, clang++)"),
    ],
)
def test_why_there_is_no_library(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], reason: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not hatch_build.install(hatch_build.LIBRARY)
    assert (tiny / "out" / "libwellread.txt").read_text() == f"{reason}\n"


@needs_compiler
def test_a_system_without_a_static_c_plus_plus_library(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'case "$*" in *-static-libstdc++*) echo "cannot find -lstdc++" >&2; exit 1;; esac'
    monkeypatch.setenv("CXX", compiler_that(tiny / "shared", script))
    assert hatch_build.install(hatch_build.LIBRARY)
    assert ctypes.CDLL(str(hatch_build.LIBRARY)).wellread_interface() == 42


def test_every_file_of_a_variant_is_in_the_table() -> None:
    files = {path.stem.removeprefix("variant_") for path in hatch_build.NATIVE.glob("variant_*.cpp")}
    assert "portable" in files
    assert files <= hatch_build.VARIANTS.keys()


@needs_compiler
@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_no_inline_function_of_a_variant_can_take_the_place_of_anothers() -> None:
    """The linker keeps one copy of such a function, and a copy that needs AVX2 would end the process elsewhere."""
    command = hatch_build.find_compiler()
    objects = hatch_build.compile_objects(command, hatch_build.sources(hatch_build.known_variants(command)))
    variants = [path for path in objects if path.stem.startswith("variant_")]
    seen: dict[str, str] = {}
    for path in [path for path in objects if path not in variants] + variants:
        listed = subprocess.run(["nm", "--defined-only", path], capture_output=True, text=True, check=True).stdout
        for kind, name in (line.split()[-2:] for line in listed.splitlines()):
            if kind in "WVu" and path in variants:
                assert name not in seen, f"{name} stands in {path.stem} and in {seen[name]}"
            if kind in "WVu":
                seen[name] = path.stem


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is built from, with the objects that are compiled already."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "hatch_build.py", ".gitignore"):
        shutil.copy(ROOT / name, place)
    for name in ("src", "native", "build/native"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "wheel"))
    # what an earlier build left in place is no part of a wheel
    (place / "src" / "wellread" / "backends" / "libwellread.so").write_bytes(b"old")
    return place


def build_wheel(checkout: Path, to: Path, **environment: str) -> zipfile.ZipFile:
    call = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-q",
        "-w",
        str(to),
    ]
    kept = {name: value for name, value in os.environ.items() if name not in ("CXX", "WELLREAD_NATIVE")}
    subprocess.run([*call, str(checkout)], env={**kept, **environment}, check=True, timeout=300)
    (wheel,) = to.iterdir()
    return zipfile.ZipFile(wheel)


def test_a_wheel_without_a_compiler_is_pure_and_says_why(checkout: Path, tmp_path: Path) -> None:
    wheel = build_wheel(checkout, tmp_path, CXX="/nonexistent")
    assert Path(wheel.filename or "").name.endswith("-py3-none-any.whl")
    names = [name for name in wheel.namelist() if "libwellread" in name]
    assert names == ["wellread/backends/libwellread.txt"]
    assert wheel.read(names[0]) == b"the C++ compiler that CXX names, /nonexistent, was not found\n"
    assert "wellread/backends/numpy.py" in wheel.namelist()


@needs_compiler
def test_a_wheel_holds_the_library_and_it_loads(checkout: Path, tmp_path: Path) -> None:
    wheel = build_wheel(checkout, tmp_path / "wheels")
    name = Path(wheel.filename or "").name
    assert name.endswith(f"-py3-none-{hatch_build.platform_tag()}.whl")
    assert sorted(name for name in wheel.namelist() if "libwellread" in name) == [
        "wellread/backends/libwellread.so",
        "wellread/backends/libwellread.txt",
    ]
    wheel.extractall(tmp_path / "site")
    probe = "from wellread.native_library import PATH, native_library as n; print(PATH, n().functions is not None)"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / "site" / "wellread" / "backends" / "libwellread.so"), "True"]


def test_a_source_distribution_holds_the_kernel_and_its_hook(checkout: Path, tmp_path: Path) -> None:
    call = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(call, cwd=checkout, check=True, capture_output=True, timeout=60)
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames()}
    native = {path.relative_to(ROOT).as_posix() for path in hatch_build.NATIVE.iterdir() if path.is_file()}
    assert native | {"hatch_build.py", "pyproject.toml", "README.md", "src/wellread/native_library.py"} <= names
    assert not [name for name in names if "libwellread" in name or name.startswith(("build", "tests"))]


def test_by_hand_without_a_compiler(checkout: Path) -> None:
    environment = {**os.environ, "CXX": "/nonexistent"}
    call = [sys.executable, "hatch_build.py"]
    done = subprocess.run(call, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "/nonexistent, was not found" in done.stderr
    assert not (checkout / "src" / "wellread" / "backends" / "libwellread.so").exists()
