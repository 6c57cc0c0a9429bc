"""wellread distill: make a small encoder of a large one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.options import LOADING, gather, json_flag, load_module, load_modules, options_of, teacher_options
from wellread.cli.texts import files_on_disk
from wellread.cli.training import run_options, train_and_save
from wellread.errors import require_extra
from wellread.learn.settings import RECIPES, Recipe, read_recipe

if TYPE_CHECKING:
    from wellread.learn.distributed import Process
    from wellread.module import Module


@click.command("distill")
@click.argument("texts", nargs=-1, type=click.Path(path_type=Path))
@run_options("the teacher's outputs, checkpoints, log and curves")
@click.option("--student", metavar="HANDLE", help="The pre-trained module that learns.  [default: one is made]")
@click.option("--labelled", metavar="FILE", help="Rows with labels of their own, for labels (--hard-label-weight).")
@click.option("--label", metavar="COLUMN", help="The column of their labels.")
@click.option("--format", "format_", metavar="NAME", help="What their file is: nsmc, sst2 ...")
@click.option("--vocab", metavar="FILE", help="Of a fresh student: a vocab.txt, a SentencePiece model, or a module.")
@click.option("--lower-case", is_flag=True, help="The rule of a vocab.txt.")
@click.option("--layers-from", metavar="HANDLE", help="Of a fresh student: its layers begin as this encoder's.")
@click.option("--recipe", default="default", show_default=True, help=f"A TOML file, or one of: {', '.join(RECIPES)}.")
@options_of(Recipe)
@json_flag
@teacher_options
def command(texts: tuple[Path, ...], labelled: str | None, student: str | None, recipe: str, **options: Any) -> None:
    """Distil the --model into a student on TEXTS: .txt files of a text a line, or tables with a --text column.

    Tables are .csv, .tsv, .jsonl, .ndjson, .json or .parquet; each file may be .gz, and - is standard input.

    \b
    layers     a DistilBERT of some of the teacher's layers  (--recipe distilbert, distilkobert)
    labels     --student learns the soft labels of a fine-tuned teacher, or several  (--recipe well-read)
    relations  attention relations, to any smaller shape  (--recipe minilm)
    vectors    sentence vectors in the space of the teacher, or the first of several  (--recipe leaf, default)
    """
    named = {name: options.pop(name) for name in ("label", "format_")}
    if not labelled and any(named.values()):
        raise click.UsageError("--label and --format say how --labelled is read; found none; name its file")
    if not texts and not labelled:
        raise click.UsageError("name files of texts, or labelled rows (--labelled); found neither")
    require_extra("torch", extra="train")
    from wellread.data.examples import read_examples
    from wellread.learn.distill.distill import distill

    loading = {name: options.pop(name) for name in LOADING}
    words = {name: options.pop(name) for name in ("vocab", "lower_case")}
    layers, local = options.pop("layers_from"), loading["local_files_only"]
    settings = gather(read_recipe(recipe), options)
    columns = {"text": settings.text.text_column, "pair": settings.text.pair_column, "label": named["label"]}
    reading: dict[str, Any] = {name: column for name, column in columns.items() if column}

    def train(process: Process, where: dict[str, Any]) -> Module:
        return distill(
            load_modules(**loading),
            files_on_disk(texts, where["output_dir"], settings.text.kind),
            recipe=recipe,
            config=settings.distill,
            text=settings.text,
            student=load_module(student, local_files_only=local) if student else None,
            layers_from=load_module(layers, local_files_only=local) if layers else None,
            examples=read_examples(labelled, format=named["format_"], **reading) if labelled else None,
            **words,
            **where,
        )

    calibration = {"column": settings.text.text_column or None, "kind": settings.text.kind or None}
    files = list(texts) or ([Path(labelled)] if labelled else [])
    if not texts:
        calibration["format"] = named["format_"]
    train_and_save(train, settings.distill.loop, options, texts=files, reading=calibration)
