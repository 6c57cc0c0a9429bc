"""wellread mcp: modules as tools of the Model Context Protocol."""

from __future__ import annotations

import click

from wellread.cli.options import BACKENDS, load_module


@click.command("mcp")
@click.argument("modules", nargs=-1, metavar="[MODULES]...")
@click.option("--vectors", metavar="FILE", help="Offer search over these vectors, which wellread embed wrote.")
@click.option("--vector-column", default="embedding", show_default=True, help="The column of the vectors.")
@click.option("--corpus-precision", help="float32, float16, int8 or binary, where the file does not say it.")
@click.option("--ignore-fingerprint", is_flag=True, help="Take vectors that another module made.")
@click.option("--backend", default="auto", show_default=True, help=BACKENDS)
@click.option("--local-files-only", is_flag=True, help="Use the cache and make no network call.")
def command(
    modules: tuple[str, ...],
    vectors: str | None,
    vector_column: str,
    corpus_precision: str | None,
    ignore_fingerprint: bool,
    backend: str,
    local_files_only: bool,
) -> None:
    """Offer MODULES to assistants over standard input and output, by the Model Context Protocol.

    MODULES are handles, as those of --model elsewhere; none is the default. The tools are embed, similarity, rerank,
    classify and search, each where one of the modules can do it, and search where --vectors are named. Nothing that a
    request names is opened.
    """
    from wellread.searching.vectors_file import open_vectors
    from wellread.serving.mcp import mcp_server
    from wellread.serving.mcp_protocol import serve_stdio

    opened = open_vectors(vectors, column=vector_column, precision=corpus_precision) if vectors is not None else None
    loaded = [load_module(name, backend=backend, local_files_only=local_files_only) for name in modules or ("default",)]
    serve_stdio(mcp_server(loaded, vectors=opened, check_vectors=not ignore_fingerprint))
