"""wellread rank: documents in the order in which they answer a query."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

import click

from wellread.cli.options import LOADING, json_flag, load_module, module_options
from wellread.cli.texts import check_output, reading_options, stream_arguments
from wellread.encode import WINDOW
from wellread.files import whole_file


@click.command("rank")
@click.argument("query")
@click.argument("documents", nargs=-1)
@click.option("-k", "--top-k", type=click.IntRange(1), help="Only so many documents, the best.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write JSON lines to this file.")
@click.option("--precision", help="f32, or bf16 where the CPU has it; if not given, bf16 with AMX and else f32.")
@click.option("--batch-size", type=int, help="At most so many texts a batch.")
@reading_options("text")
@json_flag
@module_options
def command(
    query: str, documents: tuple[str, ...], top_k: int | None, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Put DOCUMENTS in the order in which they answer QUERY: arguments, the texts of files, or of standard input.

    A cross-encoder (a reranker) scores query and document together; with any other module their vectors are compared.
    Files are .txt (a document a line), .csv, .tsv, .jsonl, .ndjson, .json or .parquet (a --text column), each also .gz,
    or - for standard input. Memory holds 16,384 documents at once, beside the --top-k best. What is printed of a
    document is its score and its text; with --json an object, with its number among the documents.
    """
    if os.path.isfile(query):
        raise click.UsageError(f"QUERY is a text, and comes first; found the file {query}; put the query before it")
    if output is not None:
        check_output(output)
    rows = stream_arguments(documents, options, show=output is not None)
    window = list(islice(rows, WINDOW))  # what is wrong with the texts is said before the module is loaded
    module = load_module(**{name: options.pop(name) for name in LOADING})
    hits: list[dict[str, Any]] = []
    first = 0
    while window:
        best = module.rank(query, window, top_k, True, show_progress_bar=False, **options)
        hits += [{**hit, "corpus_id": first + hit["corpus_id"]} for hit in best]
        hits = sorted(hits, key=lambda hit: -hit["score"])[:top_k]
        first += len(window)
        window = list(islice(rows, WINDOW))
    lines = [json.dumps(hit) for hit in hits]
    if output is not None:
        with whole_file(output) as file:
            file.writelines(f"{line}\n".encode() for line in lines)
        return
    for hit, line in zip(hits, lines, strict=True):
        click.echo(line if as_json else f"{hit['score']:.4f}\t{hit['text']}")
