"""wellread evaluate: score a module on a task's file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from wellread.cli.options import json_flag, load_module, module_options


@click.command("evaluate")
@click.argument("task", type=click.Choice(["stsb"]))
@click.argument("file", type=click.Path(path_type=Path))
@json_flag
@module_options
def command(task: str, file: Path, as_json: bool, **loading: Any) -> None:
    """Score a module on FILE. TASK stsb: correlation of cosines with people's scores (STS-B, KorSTS)."""
    from wellread.measure.similarity import evaluate_similarity, read_stsb

    score = evaluate_similarity(load_module(**loading), read_stsb(file))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(score)))
    else:
        click.echo(f"spearman {score.spearman:.4f}  [{score.low:.4f}, {score.high:.4f}] at 95 %")
        click.echo(f"pearson  {score.pearson:.4f}")
        click.echo(f"pairs    {score.pairs}")
