"""wellread fill-mask: guess the masked words of a text."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from wellread.cli.options import json_flag, load_module, module_options


@click.command("fill-mask")
@click.argument("text")
@click.option("-k", "--top-k", default=5, show_default=True, type=click.IntRange(1), help="Guesses a mask.")
@json_flag
@module_options
def command(text: str, top_k: int, as_json: bool, **loading: Any) -> None:
    """Guess each [MASK] of TEXT, with a model that has its masked-language-model head (the default has none)."""
    for number, guesses in enumerate(load_module(**loading).fill_mask(text, top_k=top_k)):
        for guess in guesses:
            if as_json:
                click.echo(json.dumps({"mask": number, **dataclasses.asdict(guess)}))
            else:
                click.echo(f"{guess.score:.4f}  {guess.token_str}\t{guess.sequence}")
