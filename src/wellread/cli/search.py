"""wellread search: the rows of a file of vectors that are most alike a query."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import click

from wellread.cli.options import LOADING, json_flag, load_module, module_options
from wellread.cli.texts import stream_arguments

NOBODY = 1_000  # columns of a table where nobody looks


@click.command("search")
@click.argument("queries", nargs=-1, required=True)
@click.argument("vectors")
@click.option("-k", "--top-k", type=click.IntRange(1), default=10, show_default=True, help="So many hits a query.")
@click.option("--show", metavar="COLUMNS", help="The columns to show, with commas.  [default: all beside the vectors]")
@click.option(
    "--rescore", metavar="FILE", help="Vectors of the same rows in a higher precision: the best get new scores."
)
@click.option(
    "--rescore-multiplier",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="So many candidates for each hit are given new scores.",
)
@click.option("--prompt-name", help="Put this prompt of the module before every query.  [default: query]")
@click.option("--prompt", metavar="TEXT", help="Put this before every query.")
@click.option("--truncate-dim", type=int, help="Keep the first dimensions only, as the vectors do.")
@click.option("--vector-column", default="embedding", show_default=True, help="The column of the vectors.")
@click.option("--corpus-precision", help="float32, float16, int8 or binary, where the file does not say it.")
@click.option("--ignore-fingerprint", is_flag=True, help="Take vectors that another module made.")
@json_flag
@module_options
def command(
    queries: tuple[str, ...],
    vectors: str,
    show: str | None,
    ignore_fingerprint: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find what is most alike QUERIES among VECTORS: a .parquet or .npy file, or a directory of Parquet shards.

    Queries are arguments, the texts of files, or the lines of standard input, as -. Vectors are what wellread embed
    writes. Every one of them is compared, in blocks, however many there are. Shown of a hit are its score, the number
    of its row, and the columns of that row; with --json an object.
    """
    from wellread.searching.vectors_file import open_vectors

    texts = list(stream_arguments(queries, {}))
    # what is wrong with the vectors is said before the module is loaded
    open_vectors(vectors, column=options["vector_column"], precision=options["corpus_precision"])
    module = load_module(**{name: options.pop(name) for name in LOADING})
    columns = None if show is None else [name.strip() for name in show.split(",") if name.strip()]
    found = module.search(texts, vectors, columns=columns, check_fingerprint=not ignore_fingerprint, **options)
    for text, hits in zip(texts, found, strict=True):
        if as_json:
            for hit in hits:
                click.echo(json.dumps({"query": text, **hit}, default=str))  # dates and the like are words
        else:
            _show(text if len(texts) > 1 else None, hits)


def _show(query: str | None, hits: list[dict[str, Any]]) -> None:
    """Print a table; a person sees a line a hit, cut at the edge of the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", title=query and _line(query), title_justify="left")
    names = [name for name in hits[0] if name not in ("corpus_id", "score")]
    for head, least in (("score", 7), ("row", max(len(str(hit["corpus_id"])) for hit in hits))):
        table.add_column(head, justify="right", no_wrap=True, min_width=least)
    for head in names:
        table.add_column(_line(head), no_wrap=True, overflow="ellipsis")
    for hit in hits:
        table.add_row(f"{hit['score']:.4f}", str(hit["corpus_id"]), *(_line(hit[name]) for name in names))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else NOBODY
    Console(width=width, highlight=False).print(table)


def _line(value: object) -> Any:
    """Return a value as one line, in which nothing is markup."""
    from rich.text import Text

    return Text(" ".join(str(value).split()) if value is not None else "")
