"""The numbered examples, run as a reader would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLACE = Path(__file__).parent.parent.parent / "examples"
EXAMPLES = sorted(PLACE.glob("*.py"))
# What each must print for a reader to believe it.
SAID = {
    "1_load": "sequence_output (3, 16, 384)",
    "2_finetune": "are right",
    "3_distill": "parameters instead of",
    "4_evaluate": "spearman: ",
    "5_export": "largest difference: ",
}


def test_there_are_five_short_ones():
    assert [path.stem for path in EXAMPLES] == sorted(SAID)
    assert max(len(path.read_text("utf-8").splitlines()) for path in EXAMPLES) < 60


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_shows_what_it_promises(path, tmp_path):
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SAID[path.stem] in done.stdout
    if path.stem == "2_finetune":  # most of what it never saw
        right, of = (int(word) for word in done.stdout.splitlines()[-1].split() if word.isdigit())
        assert right > 0.75 * of
