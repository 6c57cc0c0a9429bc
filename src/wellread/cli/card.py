"""wellread card: what a module says of itself, and what its makers add."""

from __future__ import annotations

import json
from pathlib import Path

import click

from wellread.cli.options import json_flag, load_module

KEYS = "title, licence, languages, [[texts]] of name, licence and what, [[scores]] of name, value, low and high, notes"


@click.command("card")
@click.argument("module")
@click.option("--about", type=click.Path(path_type=Path), metavar="FILE", help=f"What is known, as TOML: {KEYS}.")
@click.option("--write", is_flag=True, help="Keep it in MODULE: in README.md and wellread.json.")
@json_flag
def command(module: str, about: Path | None, write: bool, as_json: bool) -> None:
    """Print the model card of MODULE, with what --about adds to it.

    With --write, MODULE is a directory that wellread saved; README.md is replaced, and what is known stays with the
    module when it is loaded and saved again. Its weights are not touched.
    """
    from dataclasses import replace

    from wellread.about import as_provenance, read_about
    from wellread.checkpoints.native import read_manifest, retell

    found = load_module(module)
    known = as_provenance(read_about(about)) if about is not None else {}
    card = replace(found, provenance={**found.provenance, **known}).model_card()
    directory = Path(module)
    if write:
        retell(directory, {**read_manifest(directory).provenance, **known}, card)
    written = directory / "README.md" if write else None
    if as_json:
        click.echo(json.dumps({"card": card, "written": written and str(written)}, ensure_ascii=False))
    elif written:
        click.echo(f"{written}: {len(card.splitlines()):,} lines")
    else:
        click.echo(card, nl=False)
