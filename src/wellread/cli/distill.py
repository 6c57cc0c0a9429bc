"""wellread distill: make a small encoder of a large one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from wellread.cli.options import (
    LOADING,
    gather,
    json_flag,
    load_module,
    module_options,
    options_of,
    run_directory,
    run_options,
    speaks,
)
from wellread.cli.texts import files_on_disk
from wellread.errors import require_extra
from wellread.learn.distill.recipe import RECIPES, Recipe, read_recipe, run_recipe


@click.command("distill")
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path))
@run_options("the teacher's outputs, checkpoints, log and curves")
@click.option("--student", metavar="HANDLE", help="The pre-trained module that learns.  [default: one is made]")
@click.option("--recipe", default="default", show_default=True, help=f"A TOML file, or one of: {', '.join(RECIPES)}.")
@options_of(Recipe)
@json_flag
@module_options
def command(
    texts: tuple[Path, ...],
    output: Path,
    student: str | None,
    recipe: str,
    run_dir: Path | None,
    resume: bool,
    dtype: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Distil the --model into a student on TEXTS: .txt files of a text a line, or tables with a --text column.

    Tables are .csv, .tsv, .jsonl, .ndjson, .json or .parquet; each file may be .gz, and - is standard input.

    \b
    layers     a DistilBERT of some of the teacher's layers  (--recipe distilbert, distilkobert)
    labels     --student learns a fine-tuned teacher's soft labels  (--recipe well-read)
    relations  attention relations, to any smaller shape  (--recipe minilm)
    vectors    sentence vectors in the teacher's own space  (--recipe leaf, default)
    """
    require_extra("torch", extra="train")
    loading = {name: given.pop(name) for name in LOADING}
    settings = gather(read_recipe(recipe), given)
    run_dir = run_directory(output, run_dir)
    run_recipe(
        settings,
        load_module(**loading),
        files_on_disk(texts, run_dir, settings.text.kind),
        student=load_module(student, local_files_only=loading["local_files_only"]) if student else None,
        output=output,
        run_dir=run_dir,
        name=recipe,
        dtype=dtype,
        resume=resume,
    )
    if not speaks():
        return
    click.echo(json.dumps({"output": str(output)}) if as_json else f"student: {output}\nlog: {run_dir / 'log.jsonl'}")
