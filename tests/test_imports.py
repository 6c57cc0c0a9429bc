"""Imports point one way, and the core imports no framework."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "wellread"
# Each room may import those before it; CONTRIBUTING draws the line.
DRAWN = re.search(r"^    errors < .*(?:\n  .*)*", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
assert DRAWN is not None
ORDER = (*re.split(r"\s+<\s+", DRAWN[0].strip()), "__main__")
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
    "langchain_core",
    "llama_index",
    "haystack",
    "chromadb",
    "bertopic",
    "keybert",
    "sklearn",
    "mteb",
    "datasets",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "pydantic",
    "prometheus_client",
    "orjson",
    "mcp",
}
# where a framework may be imported: rooms, and files
DOORS = (
    *("backends", "learn", "export", "keras", "compat/torch_models.py", "integrations", "ray", "serving"),
    *("measure/figures.py", "measure/plot.py", "measure/fasttext.py"),
)
# files that import by a name that is computed: what the table beside it holds
COMPUTED = {"__init__.py", "compat/__init__.py"}
FILES = sorted(SOURCE.rglob("*.py"))


def room(name: str) -> str:
    """Name the room of a module: a folder or a file of the package."""
    return [*name.split("."), ""][1]


def module_name(path: Path) -> str:
    parts = ("wellread", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def imported(path: Path, *, registries: bool = True) -> set[str]:
    """Name everything that a file imports, wherever the import stands: under TYPE_CHECKING, in functions, by importlib.

    Of a name whose beginning alone is written out, as in `import_module(f"wellread.cli.{verb}")`, that beginning; with
    `registries` off, nothing.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            name = node.args[0]
            if isinstance(name, ast.JoinedStr) and isinstance(name.values[0], ast.Constant):
                names |= {str(name.values[0].value).rstrip(".")} if registries else set()
            elif isinstance(name, ast.Constant):
                names.add(str(name.value))
            else:
                assert str(path.relative_to(SOURCE)) in COMPUTED, f"{path} imports by a name that is computed"
    return names


MODULES = {module_name(path): path for path in FILES}


def owner(name: str) -> str:
    """Return the module that a name is imported from: `wellread.errors` of `wellread.errors.nearest`."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def ours(path: Path, *, registries: bool = True) -> set[str]:
    """Name the modules of wellread that a file imports."""
    names = imported(path, registries=registries)
    return {owner(name) for name in names if name.split(".")[0] == "wellread"} - {module_name(path)}


def rank(name: str) -> int:
    """Say where in the order a module stands; the package itself stands with the last of the rooms that it names."""
    if name == "wellread":
        return max(rank(each) for each in ours(MODULES[name]))
    return ORDER.index(room(name))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_one_way(path: Path) -> None:
    late = [name for name in ours(path) if rank(name) > rank(module_name(path))]
    assert not late, f"{path.relative_to(SOURCE)} imports {', '.join(late)}, which stand after it"


def test_the_order_has_every_room_once() -> None:
    assert len(set(ORDER)) == len(ORDER)
    assert {room(name) for name in MODULES} - {""} == set(ORDER)


def test_no_files_import_one_another_in_a_circle() -> None:
    # A registry looks files of its own room up by name, and these implement what it declares: that is no circle.
    graph = {name: ours(path, registries=False) for name, path in MODULES.items()}
    with pytest.raises(CycleError, match=r"wellread\.card"):
        TopologicalSorter({**graph, "wellread.card": {"wellread.module"}}).prepare()
    TopologicalSorter(graph).prepare()  # raises a CycleError that names one


def test_no_import_escapes(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden.py"
    hidden.write_text(
        "from typing import TYPE_CHECKING\nimport importlib\nif TYPE_CHECKING:\n    import wellread.a\n"
        "def f(verb):\n    from wellread.b import c\n    importlib.import_module('wellread.d')\n"
        "    __import__('wellread.e')\n    importlib.import_module(f'wellread.cli.{verb}')\n"
    )
    assert {"wellread.a", "wellread.b.c", "wellread.d", "wellread.e", "wellread.cli"} <= imported(hidden)
    assert "wellread.cli" not in imported(hidden, registries=False)
    assert "wellread.module.Module" in imported(SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_frameworks_stand_behind_their_doors(path: Path) -> None:
    used = {name.split(".")[0] for name in imported(path)} & FRAMEWORKS
    assert not used or {room(module_name(path)), str(path.relative_to(SOURCE))} & {*DOORS}, (
        f"{path.relative_to(SOURCE)} imports {', '.join(used)}"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import wellread",
        "import wellread.cli.main as cli; cli.group.main(['--help'], standalone_mode=False)",
        "import wellread; wellread.load('default').encode('A man is playing a guitar.')",
        "import wellread.integrations.embedder, wellread.integrations.datasets",
        "import wellread.cli.main as cli; cli.group.main(['mcp'], standalone_mode=False)",
    ],
)
def test_the_core_imports_no_framework(code: str) -> None:
    probe = f"{code}\nimport sys; print([name for name in {sorted(FRAMEWORKS)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], input="", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# What the first vector of the default module does without, on a machine where OpenVINO serves too.
NOT_AT_START = FRAMEWORKS | {
    *("filelock", "google_crc32c", "huggingface_hub", "pyarrow", "rich", "safetensors", "sentencepiece", "urllib3"),
    *("wellread.card", "wellread.catalog.modules", "wellread.data.tables", "wellread.doctor", "wellread.hub.handles"),
    *("wellread.hub.obtain", "wellread.hub.places", "wellread.learn", "wellread.tasks", "wellread.text.tokenizer_json"),
}
# And what it does without where the native library serves.
NOT_BY_NATIVE = {"click", "difflib", "hashlib", "openvino", "tarfile", "tempfile", "tokenizers", "tomllib", "zipfile"}


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import wellread; wellread.load('default').encode('A man is playing a guitar.')", set()),
        ("import wellread.cli.main as cli; cli.group.main(['embed', 'hello'], standalone_mode=False)", {"click"}),
    ],
)
def test_a_start_imports_no_more_than_it_needs(code: str, needed: set[str]) -> None:
    python = [sys.executable, "-c"]
    warm = f"{code}\nimport sys, wellread; print(*sys.modules); print(wellread.load('default').backend)"
    subprocess.run([*python, warm], capture_output=True, check=True)  # hashes the module, once
    done = subprocess.run([*python, warm], capture_output=True, text=True, check=True)
    *_, modules, backend = done.stdout.splitlines()
    unneeded = NOT_AT_START | NOT_BY_NATIVE if backend == "native" else NOT_AT_START
    assert sorted(({*modules.split()} & unneeded) - needed) == []
