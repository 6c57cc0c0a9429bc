"""atomic: a directory appears whole or not at all."""

import signal
import subprocess
import sys
import textwrap

import pytest

from wellread.errors import CheckpointError
from wellread.files import whole_directory


def test_an_empty_directory_and_missing_parents_are_no_obstacle(tmp_path):
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "empty", tmp_path / "new" / "parents" / "module"):
        with whole_directory(target) as partial:
            assert partial.parent == target.parent
            (partial / "a").touch()
        assert [path.name for path in target.iterdir()] == ["a"]
        assert target.stat().st_mode & 0o777 == 0o755


def occupy(directory):
    directory.mkdir()
    (directory / "theirs").touch()


def test_a_place_that_fills_meanwhile_is_left_to_its_new_owner(tmp_path):
    found = r"was to be written; found that .* not empty.*; make room or choose another place"
    with pytest.raises(CheckpointError, match=found), whole_directory(tmp_path / "module"):
        occupy(tmp_path / "module")
    assert [path.name for path in tmp_path.rglob("*")] == ["module", "theirs"]


def test_a_killed_writer_leaves_nothing_under_the_name(tmp_path):
    script = f"""
        import os, signal
        from pathlib import Path
        from wellread.files import whole_directory
        with whole_directory(Path({str(tmp_path / "module")!r})) as partial:
            (partial / "model.safetensors").write_bytes(bytes(99))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "module").exists()
    with whole_directory(tmp_path / "module") as partial:  # and what is left does not stand in the way
        (partial / "a").touch()
    assert (tmp_path / "module" / "a").exists()
