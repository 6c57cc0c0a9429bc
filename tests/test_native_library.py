"""The native library is opened where it can serve, and says why where it does not."""

import shutil
import subprocess
from pathlib import Path

import pytest

from wellread.native_library import INTERFACE, PATH, SWITCH, native_library, open_library

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


def compile_library(path: Path, source: str) -> Path:
    call = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(path)]
    subprocess.run(call, input=source, text=True, check=True)
    return path


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)


@needs_compiler
def test_a_library_of_this_version_is_opened(tmp_path: Path) -> None:
    path = compile_library(tmp_path / "one.so", f'extern "C" int wellread_interface() {{ return {INTERFACE}; }}')
    path.with_suffix(".txt").write_text("built with a compiler\n")
    opened = open_library(path)
    assert opened.functions is not None
    assert (opened.built, opened.reason) == ("built with a compiler", "")


@needs_compiler
def test_a_library_of_another_version_is_not(tmp_path: Path) -> None:
    path = compile_library(tmp_path / "other.so", 'extern "C" int wellread_interface() { return 7; }')
    opened = open_library(path)
    assert opened.functions is None
    assert opened.reason == f"{path} has version 7 of the interface, {INTERFACE} is needed: install wellread again"


@needs_compiler
def test_what_is_no_library_of_ours_is_not_opened(tmp_path: Path) -> None:
    stranger = open_library(compile_library(tmp_path / "stranger.so", 'extern "C" int other() { return 1; }'))
    (tmp_path / "damaged.so").write_bytes(b"\x7fELF damaged")
    damaged = open_library(tmp_path / "damaged.so")
    assert stranger.functions is damaged.functions is None
    assert "stranger.so cannot be loaded: " in stranger.reason
    assert "damaged.so cannot be loaded: " in damaged.reason


def test_one_that_is_absent_gives_the_reason_of_its_build(tmp_path: Path) -> None:
    assert open_library(tmp_path / "none.so").reason == f"there is no {tmp_path / 'none.so'}"
    (tmp_path / "none.txt").write_text("a C++ compiler (c++, g++, clang++) was not found\n")
    assert open_library(tmp_path / "none.so").reason == "a C++ compiler (c++, g++, clang++) was not found"


def test_it_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "Off")
    assert open_library(PATH).reason == f"{SWITCH} is off"
    assert open_library(tmp_path / "none.so").reason == f"{SWITCH} is off"


def test_it_is_opened_once() -> None:
    assert native_library() is native_library()
