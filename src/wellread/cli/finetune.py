"""wellread finetune: train a module for a task on a labelled file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.options import LOADING, gather, json_flag, load_module, module_options, options_of
from wellread.cli.texts import COLUMNS, reading_of, reading_options
from wellread.cli.training import run_options, train_and_save
from wellread.errors import require_extra
from wellread.learn.settings import FinetuneConfig, read_finetune_recipe
from wellread.tasks.registry import TASKS

if TYPE_CHECKING:
    from wellread.learn.distributed import Process
    from wellread.module import Module

PATH = click.Path(path_type=Path)


@click.command("finetune")
@click.argument("task", type=click.Choice(list(TASKS)))
@click.argument("file", type=PATH)
@run_options("checkpoints, log and curves")
@click.option("--dev", type=PATH, help="Score the module on this file, every --eval-steps and at the end.")
@click.option("--recipe", type=PATH, help="A TOML file of settings, in [finetune] and [finetune.loop].")
@reading_options(*COLUMNS)
@click.option("--labels", default="", help="All labels in the order of their ids, with commas between.")
@options_of(FinetuneConfig)
@json_flag
@module_options
def command(task: str, file: Path, dev: Path | None, recipe: Path | None, labels: str, **options: Any) -> None:
    """Fine-tune the --model for TASK on the labelled examples of FILE.

    classify judges a text, pair two of them, multilabel gives a text any number of labels (--label-set), score a number
    (--score), rank a pair of query and document one, as a cross-encoder, similarity scores two texts by the cosine of
    their vectors, tag names the tokens of a text, and answer finds the answer to a question (--text) in a context
    (--pair).
    """
    require_extra("torch", extra="train")
    from wellread.data.examples import read_examples
    from wellread.data.formats import known_format
    from wellread.learn.finetune import finetune

    loading = {name: options.pop(name) for name in LOADING}
    settings, names = FinetuneConfig(), tuple(filter(None, labels.split(",")))
    if options["format_"]:  # it says how answers are compared, and what the labels are, unless a flag does
        known = known_format(options["format_"])
        settings = replace(settings, rules=known.rules)
        names = names or (() if options["label"] else known.labels)
    if recipe:
        settings = read_finetune_recipe(recipe, settings)
    settings = gather(settings, options)
    reading: dict[str, Any] = reading_of(options)

    def train(process: Process, where: dict[str, Any]) -> Module:
        return finetune(
            load_module(**loading),
            read_examples(file, labels=names, **reading),
            task=task,
            config=settings,
            dev=read_examples(dev, labels=(), **reading) if dev else None,
            labels=names,
            **where,
        )

    calibration = {"column": options["text"], "kind": options["kind"], "format": options["format_"]}
    train_and_save(train, settings.loop, options, texts=[file], reading=calibration, scores="scores")
