"""These tests, and the Keras backend's, on the frameworks that Keras does not run in this process."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

TESTS = Path(__file__).parent.parent
FILES = [*(f"keras/test_{name}.py" for name in ("encoder", "preprocessor", "layer")), "backends/test_conformance.py"]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="this is the process inside")
@pytest.mark.parametrize("framework", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
def test_on_other_frameworks(framework):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "keras", *FILES],
        cwd=TESTS,
        env={**os.environ, "KERAS_BACKEND": framework},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
