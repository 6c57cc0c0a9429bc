"""wellread tokenize: texts to pieces and ids."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import click

from wellread.cli.options import LOADING, json_flag, load_module, module_options
from wellread.cli.texts import reading_options, stream_arguments

WINDOW = 1_000  # texts that are in memory together


@click.command("tokenize")
@click.argument("texts", nargs=-1)
@reading_options("text")
@json_flag
@module_options
def command(texts: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Show the pieces of TEXTS and their ids: arguments, the texts of files, or the lines of standard input.

    With --json also the bytes of the text that each piece comes from.
    """
    rows = stream_arguments(texts, options)
    window = list(islice(rows, WINDOW))
    module = load_module(**{name: options.pop(name) for name in LOADING})
    while window:
        offsets = module.tokenize_with_offsets(window)
        for text, ids, starts, limits in zip(window, offsets.tokens, offsets.starts, offsets.limits, strict=True):
            pieces = module.tokenizer.pieces(ids)
            if as_json:
                places = {"starts": starts.tolist(), "limits": limits.tolist()}
                click.echo(json.dumps({"text": text, "pieces": pieces, "ids": ids.tolist(), **places}))
            else:
                click.echo(" ".join(f"{piece}={id}" for piece, id in zip(pieces, ids.tolist(), strict=True)))
        window = list(islice(rows, WINDOW))
