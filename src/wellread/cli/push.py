"""wellread push: a module to the Hugging Face hub."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

import wellread
from wellread.cli.options import json_flag


@click.command("push")
@click.argument("module")
@click.argument("repo_id")
@click.option("--private", is_flag=True, help="Make a new repository private; refuse one that is public.")
@click.option("--revision", metavar="BRANCH", help="Push to this branch, made where it is not there.")
@click.option("--message", "commit_message", help="The message of the commit.")
@click.option("--dtype", type=click.Choice(["float32", "float16", "int8"]), default="float32", show_default=True)
@click.option("--tokenizer", metavar="HANDLE", help="The preprocessor whose tokenizer MODULE takes, if it has none.")
@click.option("--ignore", multiple=True, metavar="KEY", help="Pass over this unknown configuration key.")
@json_flag
def command(module: str, repo_id: str, as_json: bool, **options: Any) -> None:
    """Put MODULE on the Hugging Face hub as REPO_ID, with a model card, and compare what the hub then holds.

    The token is that of hf auth login, or HF_TOKEN.
    """
    pushed = wellread.push(module, repo_id, **options)
    if as_json:
        click.echo(json.dumps(asdict(pushed), indent=2, ensure_ascii=False))
        return
    click.echo(f"{pushed.url}: {len(pushed.files)} files, each as it was sent")
    if pushed.others:
        click.echo(f"note: {', '.join(pushed.others)} were there before and stay")
