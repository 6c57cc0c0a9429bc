"""How large a module is as it ships: the bytes of all files that it needs, as they lie on disk."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from wellread.files import MANIFEST, load_json
from wellread.hub.huggingface import present, selected
from wellread.module import Module

CONFIG, ADAPTER = "config.json", "adapter_config.json"
STEP = re.compile(r"\d+_")  # what a folder of sentence-transformers' begins with; others hold no part of a module


def shipped_bytes(module: Module, directory: Path | None = None) -> int:
    """Return how many bytes a module is: of the files in `directory` that it is loaded from, or that `save` writes.

    Of a directory that wellread wrote these are the files that its record names, and the record; of another in Hugging
    Face's form those that would be downloaded: one form of the weights, without checkpoints, logs and cards. A module
    of any other form, or of several directories as an adapter is, counts as `Module.save` writes it.
    """
    names = _files_of(directory) if directory is not None else []
    if directory is not None and names:
        return sum(os.path.getsize(directory / name) for name in names)
    with tempfile.TemporaryDirectory() as place:
        saved = Path(place, "module")
        module.save(saved)
        return sum(os.path.getsize(saved / name) for name in _files_of(saved))


def _files_of(directory: Path) -> list[str]:
    """Name the files that a module is made of; none where they do not all lie in one directory of a known form."""
    manifest = load_json(directory / MANIFEST)
    if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict):
        return [MANIFEST, *manifest["files"]]
    names = [name for name in present(directory) if "/" not in name or STEP.match(name)]
    return selected(names) if CONFIG in names and ADAPTER not in names else []
