"""Imports point one way, and the core imports no framework."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "wellread"
# Each room may import those before it.
ORDER = (
    *("errors", "progress", "files", "config", "schema", "catalog", "formats", "hub", "text", "data", "metrics"),
    *("encoder", "checkpoints", "backends", "encode", "tasks", "module", "measure", "learn", "export"),
    *("keras", "compat", "bench", "cli", "__main__"),
)
FRAMEWORKS = {
    "torch",
    "tensorflow",
    "keras",
    "jax",
    "tensorflow_hub",
    "tensorflow_text",
    "tf_keras",
    "transformers",
    "fasttext",
    "ray",
    "matplotlib",
    "sentence_transformers",
    "onnxruntime",
}
# where a framework may be imported: rooms, and files
DOORS = ("backends", "learn", "export", "keras", "compat/torch_models.py", "bench")
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Name everything that a file imports, wherever the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_one_way(path: Path) -> None:
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("wellread.")}
    late = [name for name in rooms if ORDER.index(name) > ORDER.index(room(path))]
    assert not late, f"{path.relative_to(SOURCE)} imports {', '.join(late)}, which stand after it"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_frameworks_stand_behind_their_doors(path: Path) -> None:
    used = {name.split(".")[0] for name in imported(path)} & FRAMEWORKS
    assert not used or {room(path), str(path.relative_to(SOURCE))} & {*DOORS}, (
        f"{path.relative_to(SOURCE)} imports {', '.join(used)}"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import wellread",
        "import wellread.cli.main as cli; cli.group.main(['--help'], standalone_mode=False)",
        "import wellread; wellread.load('default').encode('A man is playing a guitar.')",
    ],
)
def test_the_core_imports_no_framework(code: str) -> None:
    probe = f"{code}\nimport sys; print([name for name in {sorted(FRAMEWORKS)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
