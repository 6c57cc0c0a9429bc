"""wellread embed: texts to vectors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from wellread.backends.backend import FloatArray
from wellread.cli.help import Setting
from wellread.cli.options import LOADING, json_flag, load_module, module_options, was_given
from wellread.cli.texts import READING, files_of, reading_of, reading_options, stream_arguments
from wellread.corpus.shards import SHARD_ROWS
from wellread.data.formats import STDIN
from wellread.encode import WINDOW

if TYPE_CHECKING:
    from wellread.corpus.embed import Estimate

CORPUS: dict[str, Any] = {"cls": Setting, "section": "Vectors on disk"}
OF_CORPUS = ("id_column", "keep", "dtype", "shard_rows", "on_error", "resume", "overwrite", "dry_run")


@click.command("embed")
@click.argument("texts", nargs=-1)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="A folder, or a .parquet, .npy, .jsonl, .csv or .lance."
)
@click.option("--on-long", default="truncate", show_default=True, help="For long texts: truncate, error or chunk.")
@click.option("--normalize", "normalize_embeddings", is_flag=True, help="Scale every vector to length 1.")
@click.option("--truncate-dim", type=int, help="Keep the first dimensions only.")
@click.option("--prompt-name", help="Put this prompt of the module before every text.")
@click.option("--prompt", metavar="TEXT", help="Put this before every text.")
@click.option("--precision", help="f32, or bf16 where the CPU has it; if not given, bf16 with AMX and else f32.")
@click.option("--batch-size", type=int, help="At most so many texts a batch.")
@click.option("--id-column", metavar="COLUMN", help="A column that stays beside the vectors, the first.", **CORPUS)
@click.option("--keep", metavar="COLUMNS", default="", help="Others that stay, with commas between.", **CORPUS)
@click.option("--dtype", default="float32", show_default=True, help="float32, float16, int8 or binary.", **CORPUS)
@click.option("--shard-rows", type=int, default=SHARD_ROWS, show_default=True, help="Rows of a shard.", **CORPUS)
@click.option(
    "--on-error", default="fail", show_default=True, help="For rows without a text: fail, or null and why.", **CORPUS
)
@click.option("--resume", is_flag=True, help="Go on with a run that was cut short.", **CORPUS)
@click.option("--overwrite", is_flag=True, help="Begin anew where vectors lie already.", **CORPUS)
@click.option("--dry-run", is_flag=True, help="Say from 1,000 rows what all would take; write nothing.", **CORPUS)
@reading_options("text")
@json_flag
@module_options
def command(texts: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Turn TEXTS into vectors: arguments, the texts of files, or the lines of standard input.

    Files are .txt (a text a line), .csv, .tsv, .jsonl, .ndjson, .json or .parquet (a --text column), each also .gz, or
    - for standard input. Memory holds 16,384 texts, however many there are. Without -o a vector is a line of numbers.

    With -o TEXTS may be folders and patterns too. A folder gets shards of Parquet; a run that is cut short goes on with
    --resume.
    """
    corpus = {name: options.pop(name) for name in OF_CORPUS}
    if output is not None or corpus["dry_run"]:
        _to_disk(texts, output, as_json, corpus, options)
        return
    set_by_hand = [name for name in OF_CORPUS if was_given(name)]
    if set_by_hand:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in set_by_hand)
        raise click.UsageError(f"{flags}: for vectors on disk; found no -o; name a folder or a file")
    rows = stream_arguments(texts, options)
    first = list(islice(rows, WINDOW))  # what is wrong with the texts is said before the module is loaded
    module = load_module(**{name: options.pop(name) for name in LOADING})
    window = first
    while True:
        vectors = np.asarray(module.encode(window, show_progress_bar=False, **options))
        for text, vector in zip(window, vectors, strict=True):
            click.echo(_json(text, vector) if as_json else " ".join(f"{value:.6g}" for value in vector.tolist()))
        window = list(islice(rows, WINDOW)) if len(window) == WINDOW else []
        if not window:
            return


def _json(text: str, vector: FloatArray) -> str:
    # lone surrogates cannot be written as UTF-8: JSON's escapes hold them
    return json.dumps({"text": text, "embedding": vector.tolist()})


def _to_disk(
    texts: Sequence[str], output: Path | None, as_json: bool, corpus: dict[str, Any], options: dict[str, Any]
) -> None:
    """Run `embed_corpus`, or estimate what it would take."""
    from wellread.corpus.embed import embed_corpus, estimate_corpus
    from wellread.corpus.join import check_join
    from wellread.corpus.place import Place

    if output is not None:
        place = Place.of(output)  # refuses before the module is loaded, and so does the next line
        check_join(place.output, dtype=corpus["dtype"], nulls=corpus["on_error"] == "null")
    reading = reading_of(options)
    for name in READING:
        options.pop(name, None)
    if "text" in reading:
        reading["column"] = reading.pop("text")
    loading = {name: options.pop(name) for name in LOADING}
    with _files(texts, reading) as files:
        common: dict[str, Any] = {"dtype": corpus["dtype"], **reading, **options}
        if corpus["dry_run"]:
            estimate = estimate_corpus(files, module=load_module(**loading), **common)
            click.echo(json.dumps(asdict(estimate)) if as_json else _said(estimate))
            return
        assert output is not None
        keep = [name.strip() for name in corpus["keep"].split(",") if name.strip()]
        wanted = {name: corpus[name] for name in ("id_column", "shard_rows", "on_error", "resume", "overwrite")}
        done = embed_corpus(files, output, module=load_module(**loading), keep=keep, **wanted, **common)
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    notes = {"without a vector": done.nulls, "cut": done.truncated, "there before": done.resumed}
    said = "".join(f", {count:,} {note}" for note, count in notes.items() if count)
    click.echo(f"{done.output}: {done.rows:,} rows{said}", err=True)


@contextmanager
def _files(texts: Sequence[str], reading: dict[str, str]) -> Iterator[list[str]]:
    """Give the files that arguments name, folders and patterns too; texts are put in one of them."""
    import tempfile
    from glob import glob

    if texts and all(os.path.exists(text) or glob(text) for text in texts if text != STDIN):
        yield list(texts)
        return
    files = files_of(texts)
    if files:
        yield files
        return
    if reading:
        flags = ", ".join(f"--{name}" for name in reading)
        raise click.UsageError(f"{flags}: for files alone; found texts; leave that out, or name a file")
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(f"{json.dumps({'text': text})}\n" for text in texts)
        file.flush()
        yield [file.name]


def _said(estimate: Estimate) -> str:
    """Say an estimate in words."""
    from datetime import timedelta

    about = "" if estimate.exact else "about "
    time = timedelta(seconds=round(estimate.seconds))
    return (
        f"{about}{estimate.rows:,} rows, {estimate.rows_per_second:,.0f} rows/s: {time} h, "
        f"{estimate.bytes / 1e6:,.0f} MB of vectors"
    )
