"""wellread trim: a module without the pieces that nobody needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wellread.cli.options import LOADING, json_flag, load_named, module_options
from wellread.cli.texts import reading_options
from wellread.cli.training import DTYPE, DTYPES, save_module
from wellread.data.formats import ENDINGS, ending_of
from wellread.files import refuse_existing

PATH = click.Path(path_type=Path)


@click.command("trim")
@click.argument("handle", required=False)
@click.option("--texts", multiple=True, type=PATH, metavar="FILE", help="Keep the pieces of these texts; repeatable.")
@click.option("--keep", type=PATH, metavar="FILE", help="Keep these pieces, one a line.")
@click.option("--language", multiple=True, metavar="CODE", help="Keep what is written so: ko, en, ja ...")
@click.option("--min-count", type=int, default=1, show_default=True, help="Of the texts, pieces that occur so often.")
@click.option("--layers", metavar="N,N", help="Keep these layers alone, counted from 0: a student's beginning.")
@click.option("--held-out", multiple=True, type=PATH, metavar="FILE", help="Compare these.  [default: each 20th text]")
@click.option("-o", "--output", required=True, type=PATH, help="The module's directory.")
@click.option("--dtype", type=DTYPES, default="float32", show_default=True, help=DTYPE)
@click.option("--overwrite", is_flag=True, help="Replace a module in OUTPUT.")
@reading_options("text")
@json_flag
@module_options
def command(handle: str | None, output: Path, dtype: str, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Drop from a module's vocabulary and word table what a corpus, a language or a list does not need.

    Texts whose pieces are all kept get the same vectors, unless --layers leaves some out. Special tokens and single
    characters stay.
    """
    from wellread.trimming import trim

    if handle is not None and os.path.isfile(handle) and ending_of(handle) in ENDINGS:
        raise click.UsageError(
            f"HANDLE names the module; found the file of texts {handle}; pass it as --texts {handle}"
        )
    if not overwrite:
        refuse_existing(output, advice=", or overwrite it (--overwrite)")
    loading = {name: options.pop(name) for name in LOADING}
    module = load_named(handle, **loading)
    trimmed = trim(
        module,
        options["texts"] or None,
        keep=options["keep"] or (),
        language=options["language"],
        min_count=options["min_count"],
        layers=_layers(options["layers"]),
        held_out=options["held_out"] or None,
        column=options["text"],
        kind=options["kind"],
        format=options["format_"],
    )
    reading = {"column": options["text"], "kind": options["kind"], "format": options["format_"]}
    costs = save_module(trimmed, output, dtype=dtype, overwrite=overwrite, texts=options["texts"], **reading)
    report = trimmed.provenance["trim"]
    if as_json:
        click.echo(json.dumps({"output": str(output), **report}))
        return
    click.echo(f"module: {output}")
    for line in [*lines(report), *costs]:
        click.echo(line)


def _layers(given: str | None) -> list[int]:
    """Read --layers. Raises: UsageError for what is no list of numbers."""
    parts = [part.strip() for part in given.split(",")] if given is not None else []
    if not all(part.isdecimal() for part in parts):
        raise click.UsageError(f"--layers takes numbers with commas, as 0,4,8; found {given!r}; correct them")
    return [int(part) for part in parts]


def lines(report: Mapping[str, Any]) -> list[str]:
    """Say what trimming left."""
    words = [
        f"{name}: {report[f'{name}_before']:,} -> {report[f'{name}_after']:,}"
        for name in ("rows", "parameters", "megabytes")
    ]
    if not report["held_out_texts"]:
        return [*words, "held out: no text; name some with --held-out"]
    return [
        *words,
        f"held out: of {report['held_out_texts']:,} texts {report['texts_kept']:.2%} keep all their pieces, "
        f"of {report['held_out_tokens']:,} tokens {report['tokens_kept']:.2%}",
    ]
