"""A module to a Hugging Face directory of floats alone, which transformers and sentence-transformers open."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.native import read_native
from wellread.errors import ExportError
from wellread.files import refuse_existing
from wellread.module import Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written, and read back."""

    tensors: int
    were_int8: int  # of them, those whose floats int8 matrices stand for
    parameters: int
    dtype: str


def export_huggingface(
    module: Module, directory: str | os.PathLike[str], *, dtype: str = "float32", overwrite: bool = False
) -> Written:
    """Write `module` to `directory` with every tensor as float32 or float16, int8 matrices as what they stand for.

    It is written and read back elsewhere first: every number must be the same, as `dtype` holds it.

    Raises: CheckpointError where the directory cannot be written; ExportError where it does not read as the module.

    >>> import wellread
    >>> from wellread.export.huggingface import export_huggingface
    >>> export_huggingface(wellread.load("default"), "runs/floats", overwrite=True).were_int8
    26
    """
    int8 = sum(tensor.int8 is not None for tensor in module.checkpoint.tensors.values())
    floats = module.dequantise()
    if not overwrite:
        refuse_existing(Path(directory), advice=", or pass overwrite=True")
    with tempfile.TemporaryDirectory(prefix="wellread.") as elsewhere:
        floats.save(Path(elsewhere) / "module", dtype=dtype)
        written = read_native(Path(elsewhere) / "module").checkpoint
        _compare(floats, written, dtype)
    floats.save(directory, dtype=dtype, overwrite=overwrite)
    return Written(
        tensors=len(floats.checkpoint.tensors), were_int8=int8, parameters=floats.checkpoint.num_parameters, dtype=dtype
    )


def _compare(module: Module, written: Checkpoint, dtype: str) -> None:
    """Refuse other numbers than the module's, or matrices that are still int8. Raises: ExportError."""
    expected, found = module.checkpoint.arrays(), written.arrays()
    wrong = [
        name
        for name in sorted({*expected, *found})
        if name not in expected
        or name not in found
        or written.tensors[name].int8 is not None
        or not np.array_equal(expected[name].astype(dtype), found[name])
    ]
    if wrong:
        raise ExportError(
            f"a module of {len(expected)} tensors was written as {dtype} and read back; found {len(wrong)} that are "
            f"others: {', '.join(wrong[:5])}; report this"
        )
