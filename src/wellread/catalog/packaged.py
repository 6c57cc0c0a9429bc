"""The modules that ship with wellread: the directories beside this file that hold one, `default` and `default-...`.

To ship another, put what `Module.save` writes there under its name, and its golden answers into `tests/data/packaged`.
"""

from __future__ import annotations

from pathlib import Path

from wellread.files import MANIFEST

PACKAGED = Path(__file__).parent
DEFAULT = "default"


def packaged_directory(name: str) -> Path | None:
    """Return where the module of a name ships with wellread; None where none does.

    >>> packaged_directory("default").name, packaged_directory("default-")
    ('default', None)
    """
    if name == DEFAULT:
        return PACKAGED / DEFAULT
    of_ours = name.startswith(f"{DEFAULT}-") and name.replace("-", "").isalnum()
    return PACKAGED / name if of_ours and (PACKAGED / name / MANIFEST).is_file() else None


def packaged_modules() -> dict[str, Path]:
    """Return the directories of all modules that ship with wellread, by their names, `default` first."""
    found = {path.name: packaged_directory(path.name) for path in sorted(PACKAGED.iterdir())}
    return {name: directory for name, directory in found.items() if directory is not None}


def is_packaged(directory: Path) -> bool:
    """Say whether a directory is that of a module which ships with wellread."""
    return directory.parent == PACKAGED and packaged_directory(directory.name) is not None
