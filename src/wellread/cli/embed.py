"""wellread embed: texts to vectors."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import click
import numpy as np

from wellread.backends.backend import FloatArray
from wellread.cli.options import LOADING, json_flag, load_module, module_options, read_arguments
from wellread.errors import DataError, nearest


@click.command("embed")
@click.argument("texts", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .npy, .parquet or .jsonl file.")
@click.option("--on-long", default="truncate", show_default=True, help="For long texts: truncate, error or chunk.")
@click.option("--normalize", "normalize_embeddings", is_flag=True, help="Scale every vector to length 1.")
@click.option("--truncate-dim", type=int, help="Keep the first dimensions only.")
@click.option("--prompt-name", help="Put this prompt of the module before every text.")
@click.option("--precision", help="f32, or bf16 where the CPU has it; the faster of these if not given.")
@click.option("--batch-size", type=int, help="At most so many texts a batch.")
@json_flag
@module_options
def command(texts: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Turn TEXTS into vectors: arguments, the lines of one file, or the lines of standard input.

    Without -o each vector is a line of numbers on standard output.
    """
    write = _writer(output, as_json)
    loading = {name: options.pop(name) for name in LOADING}
    rows = read_arguments(texts)
    vectors = np.asarray(load_module(**loading).encode(rows, **options))
    if output is None:
        write(sys.stdout, rows, vectors)
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            write(file, rows, vectors)
        partial.replace(output)
    except OSError as error:
        raise DataError(f"{len(rows)} vectors were to be written to {output}; {error}; choose another place") from error
    finally:
        partial.unlink(missing_ok=True)


def _writer(output: Path | None, as_json: bool) -> Callable[[Any, Sequence[str], FloatArray], None]:
    """Choose how vectors are written, before the work begins."""
    if output is None:
        return _write_json if as_json else _write_text
    if output.suffix not in _WRITERS:
        known = ", ".join(_WRITERS)
        hint = nearest(output.suffix, _WRITERS)
        raise DataError(f"vectors were to be written to {output}; wellread writes {known}; name such a file{hint}")
    return _WRITERS[output.suffix]


def _write_text(file: IO[str], texts: Sequence[str], vectors: FloatArray) -> None:
    for vector in vectors:
        file.write(" ".join(f"{value:.6g}" for value in vector.tolist()) + "\n")


def _write_json(file: IO[str], texts: Sequence[str], vectors: FloatArray) -> None:
    for text, vector in zip(texts, vectors, strict=True):
        # lone surrogates cannot be written as UTF-8: JSON's escapes hold them
        file.write(json.dumps({"text": text, "embedding": vector.tolist()}) + "\n")


def _write_json_bytes(file: IO[bytes], texts: Sequence[str], vectors: FloatArray) -> None:
    for text, vector in zip(texts, vectors, strict=True):
        file.write(json.dumps({"text": text, "embedding": vector.tolist()}).encode() + b"\n")


def _write_numpy(file: IO[bytes], texts: Sequence[str], vectors: FloatArray) -> None:
    np.save(file, vectors)


def _write_parquet(file: IO[bytes], texts: Sequence[str], vectors: FloatArray) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    pq.write_table(pa.table({"text": pa.array(texts, pa.string()), "embedding": column}), file)


_WRITERS: dict[str, Callable[[IO[bytes], Sequence[str], FloatArray], None]] = {
    ".npy": _write_numpy,
    ".parquet": _write_parquet,
    ".jsonl": _write_json_bytes,
}
