"""The types of the public names, as a user's type checker sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import wellread

SOURCE = Path(wellread.__file__).parent
PROGRAM = """
import numpy as np
from numpy.typing import NDArray

import wellread

module: wellread.Module = wellread.load("default", backend="numpy")
vectors: NDArray[np.floating] = module.encode(["a", "b"], normalize_embeddings=True)
rows: list[NDArray[np.floating]] = module.encode("a", convert_to_numpy=False)
scores: NDArray[np.floating] = module.similarity(vectors, vectors)
reveal_type(module.encode("a"))
reveal_type(wellread.PretrainConfig().loop.learning_rate)
reveal_type(wellread.__version__)
module.encode("a", normalise=True)
module.encode(5)
wellread.loda("default")
"""
# Of an installed package mypy reports nothing; torch's and Hugging Face's own types are not what is tested.
CONFIG = """[mypy]
strict = True
[mypy-wellread.*]
follow_imports = silent
[mypy-torch.*,huggingface_hub.*,sentencepiece.*,tokenizers.*,openvino.*,pyarrow.*,urllib3.*,rich.*,click.*]
follow_imports = skip
"""


def test_a_strict_program_sees_types(tmp_path):
    assert (SOURCE / "py.typed").is_file()
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    (tmp_path / "mypy.ini").write_text(CONFIG, "utf-8")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "program.py"]
    environment = {"MYPYPATH": str(SOURCE.parent), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("program.py")]
    array = 'note: Revealed type is "numpy.ndarray[tuple[Any, ...], numpy.dtype[numpy.floating[Any]]]"'
    starts = [f"program.py:{number}: " for number in range(11, 17)]
    assert [line for line in lines if not line.startswith(tuple(starts))] == []
    assert starts[0] + array in lines
    assert starts[1] + 'note: Revealed type is "float"' in [line.replace("builtins.", "") for line in lines]
    assert starts[2] + 'note: Revealed type is "str"' in [line.replace("builtins.", "") for line in lines]
    for start in starts[3:]:
        assert any(line.startswith(f"{start}error") for line in lines), done.stdout
