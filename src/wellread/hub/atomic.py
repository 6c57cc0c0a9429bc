"""Directories that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wellread.errors import CheckpointError


@contextmanager
def whole_directory(directory: Path) -> Iterator[Path]:
    """Give a directory beside `directory` to write in; it takes its name when all went well and vanishes when not.

    Raises: CheckpointError where `directory` exists and is not empty, or the disk refuses.
    """
    refuse_existing(directory)
    partial = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        partial.chmod(0o755)
        yield partial
        partial.replace(directory)  # an empty directory of that name gives way
    except OSError as error:
        raise CheckpointError(
            f"{directory} was to be written; found that {error}; make room or choose another place"
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)  # not there any more where all went well


def refuse_existing(directory: Path) -> None:
    """Refuse to write where something stands. Raises: CheckpointError."""
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise CheckpointError(f"{directory} was to be written; found that it exists; remove it or choose another name")
