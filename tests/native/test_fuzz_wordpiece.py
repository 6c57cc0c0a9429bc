"""Random vocabularies, rules and bytes through WordPiece, under the compiler's sanitizers."""

import os
import subprocess
from pathlib import Path

import pytest

import hatch_build
from hatch_build import NotBuiltError

FILES = (hatch_build.NATIVE / "wordpiece.cpp", Path(__file__).parent / "fuzz_wordpiece.cpp")


@pytest.mark.parametrize(
    ("sanitizers", "seed", "cases"),
    [
        ("address,undefined", 1, 30),
        pytest.param("address,undefined", 10_000, 2_000, marks=pytest.mark.slow),
        pytest.param("thread", 20_000, 300, marks=pytest.mark.slow),
    ],
)
def test_random_cases(sanitizers: str, seed: int, cases: int, tmp_path: Path) -> None:
    try:
        command = hatch_build.find_compiler()
    except NotBuiltError as error:
        pytest.skip(str(error))
    flags = [*hatch_build.LANGUAGE, f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-O1", "-g1"]
    flags.append(f"-I{hatch_build.NATIVE}")
    objects = hatch_build.compile_objects(command, dict.fromkeys(FILES, flags), strict=True)
    program = tmp_path / "fuzz"
    subprocess.run([*command, *flags, *map(str, objects), "-o", str(program)], check=True)
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    call = [str(program), str(seed), str(cases)]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    assert (done.returncode, done.stdout) == (0, f"{cases} cases\n"), f"{done.stdout[-2000:]}{done.stderr[:4000]}"
