"""wellread embed: texts to vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import click
import numpy as np

from wellread.backends.backend import FloatArray
from wellread.cli.options import LOADING, json_flag, load_module, module_options
from wellread.cli.texts import check_output, reading_options, stream_arguments, whole_file
from wellread.encode import WINDOW

Windows = Iterator[tuple[list[str], FloatArray]]  # N texts and their vectors [N, E]


@click.command("embed")
@click.argument("texts", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .npy, .parquet, .jsonl or .csv file.")
@click.option("--on-long", default="truncate", show_default=True, help="For long texts: truncate, error or chunk.")
@click.option("--normalize", "normalize_embeddings", is_flag=True, help="Scale every vector to length 1.")
@click.option("--truncate-dim", type=int, help="Keep the first dimensions only.")
@click.option("--prompt-name", help="Put this prompt of the module before every text.")
@click.option("--prompt", metavar="TEXT", help="Put this before every text.")
@click.option("--precision", help="f32, or bf16 where the CPU has it; if not given, bf16 with AMX and else f32.")
@click.option("--batch-size", type=int, help="At most so many texts a batch.")
@reading_options("text")
@json_flag
@module_options
def command(texts: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Turn TEXTS into vectors: arguments, the texts of files, or the lines of standard input.

    Files are .txt (a text a line), .csv, .tsv, .jsonl, .ndjson, .json or .parquet (a --text column), each also .gz, or
    - for standard input. Memory holds 16,384 texts, however many there are. Without -o a vector is a line of numbers.
    """
    if output is not None:
        check_output(output, _WRITERS)
        if as_json and output.suffix.lower() != ".jsonl":
            raise click.UsageError(
                f"--json prints JSON; found -o {output}; name a .jsonl file, or leave one of them out"
            )
    rows = stream_arguments(texts, options, show=output is not None)
    first = list(islice(rows, WINDOW))  # what is wrong with the texts is said before the module is loaded
    module = load_module(**{name: options.pop(name) for name in LOADING})

    def windows() -> Windows:
        window = first
        while True:
            yield window, np.asarray(module.encode(window, show_progress_bar=False, **options))
            window = list(islice(rows, WINDOW)) if len(window) == WINDOW else []
            if not window:
                return

    if output is not None:
        with whole_file(output) as file:
            _WRITERS[output.suffix.lower()](file, windows())
        return
    for window, vectors in windows():
        for text, vector in zip(window, vectors, strict=True):
            click.echo(_json(text, vector) if as_json else " ".join(f"{value:.6g}" for value in vector.tolist()))


def _json(text: str, vector: FloatArray) -> str:
    # lone surrogates cannot be written as UTF-8: JSON's escapes hold them
    return json.dumps({"text": text, "embedding": vector.tolist()})


def _write_jsonl(file: IO[bytes], windows: Windows) -> None:
    for texts, vectors in windows:
        file.writelines(f"{_json(text, vector)}\n".encode() for text, vector in zip(texts, vectors, strict=True))


def _write_numpy(file: IO[bytes], windows: Windows) -> None:
    """Write rows after a header of 128 bytes, which gets their number at the end."""
    rows = 0

    def header(width: int) -> bytes:
        words = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
        return np.lib.format.magic(1, 0) + (118).to_bytes(2, "little") + f"{words:<117}\n".encode()

    for _, vectors in windows:
        if not rows:
            file.write(header(vectors.shape[1]))
        file.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        rows += len(vectors)
    file.seek(0)
    file.write(header(vectors.shape[1]))


def _write_parquet(file: IO[bytes], windows: Windows) -> None:
    """Write a row group a window."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for texts, vectors in windows:
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        table = pa.table({"text": pa.array(texts, pa.string()), "embedding": column})
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _write_csv(file: IO[bytes], windows: Windows) -> None:
    """Write the text and a column for each dimension; a lone surrogate, which UTF-8 cannot hold, becomes "?"."""
    import csv
    import io

    for number, (texts, vectors) in enumerate(windows):
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        if not number:
            writer.writerow(["text", *range(vectors.shape[1])])
        writer.writerows([text, *vector] for text, vector in zip(texts, vectors.tolist(), strict=True))
        file.write(lines.getvalue().encode("utf-8", "replace"))


_WRITERS = {".npy": _write_numpy, ".parquet": _write_parquet, ".jsonl": _write_jsonl, ".csv": _write_csv}
