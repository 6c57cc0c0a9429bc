"""wellread tokenize: texts to pieces and ids."""

from __future__ import annotations

import json
from typing import Any

import click

from wellread.cli.options import json_flag, load_module, module_options, read_arguments


@click.command("tokenize")
@click.argument("texts", nargs=-1)
@json_flag
@module_options
def command(texts: tuple[str, ...], as_json: bool, **loading: Any) -> None:
    """Show the pieces of TEXTS and their ids: arguments, the lines of one file, or the lines of standard input.

    With --json also the bytes of the text that each piece comes from.
    """
    module = load_module(**loading)
    rows = read_arguments(texts)
    found = module.tokenize_with_offsets(rows)
    for text, ids, starts, limits in zip(rows, found.tokens, found.starts, found.limits, strict=True):
        pieces = module.tokenizer.pieces(ids)
        if as_json:
            line = {
                "text": text,
                "pieces": pieces,
                "ids": ids.tolist(),
                "starts": starts.tolist(),
                "limits": limits.tolist(),
            }
            click.echo(json.dumps(line))
        else:
            click.echo(" ".join(f"{piece}={id}" for piece, id in zip(pieces, ids.tolist(), strict=True)))
