"""wellread finetune: train a module for a task on a labelled file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from wellread.cli.texts import COLUMNS, reading_of, reading_options
from wellread.errors import require_extra
from wellread.files import refuse_existing
from wellread.learn.settings import FinetuneConfig
from wellread.tasks.registry import TASKS

if TYPE_CHECKING:
    from wellread.data.examples import Examples

PATH = click.Path(path_type=Path)


@click.command("finetune")
@click.argument("task", type=click.Choice(list(TASKS)))
@click.argument("file", type=PATH)
@run_options("checkpoints, log and curves")
@click.option("--dev", type=PATH, help="Score the module on this file, every --eval-steps and at the end.")
@reading_options(*COLUMNS)
@click.option("--labels", default="", help="All labels in the order of their ids, with commas between.")
@options_of(FinetuneConfig)
@json_flag
@module_options
def command(task: str, file: Path, output: Path, dev: Path | None, dtype: str, as_json: bool, **given: Any) -> None:
    """Fine-tune the --model for TASK on the labelled examples of FILE.

    classify judges a text, pair two of them, similarity scores two by the cosine of their vectors, tag names the
    tokens of a text, and answer finds the answer to a question (--text) in a context (--pair).
    """
    require_extra("torch", extra="train")
    refuse_existing(output)
    from wellread.learn.distributed import joined
    from wellread.learn.finetune import finetune

    loading = {name: given.pop(name) for name in LOADING}
    run_dir = run_directory(output, given["run_dir"])
    config, labels = _settings(given), _labels(given)
    with joined(config.loop.ddp_timeout) as process:
        module = finetune(
            load_module(**loading),
            _read(file, given, labels),
            task=task,
            output_dir=run_dir,
            config=config,
            dev=_read(dev, given, ()) if dev else None,
            labels=labels,
            resume_from_checkpoint=given["resume"],
        )
        if process.is_main:
            module.save(output, dtype=dtype)
    if not speaks():
        return
    scores = module.provenance["scores"]
    if as_json:
        click.echo(json.dumps({"output": str(output), "scores": scores}))
    else:
        click.echo(f"module: {output}\nlog: {run_dir / 'log.jsonl'}")
        for name, score in scores.items():
            click.echo(f"{name}: {score:.4f}")


def _settings(given: dict[str, Any]) -> FinetuneConfig:
    """Take the flags; a format says how answers are compared, unless a flag does."""
    from wellread.data.formats import known_format

    plain = FinetuneConfig()
    if given["format_"]:
        plain = replace(plain, rules=known_format(given["format_"]).rules)
    config: FinetuneConfig = gather(plain, given)
    return config


def _labels(given: dict[str, Any]) -> tuple[str, ...]:
    """Return the labels in the order of their ids, where flags or the format say it."""
    from wellread.data.formats import known_format

    named = tuple(filter(None, given["labels"].split(",")))
    fixed = known_format(given["format_"]).labels if given["format_"] and not given["label"] else ()
    return named or fixed


def _read(file: Path, given: dict[str, Any], labels: tuple[str, ...]) -> Examples:
    from wellread.data.examples import read_examples

    return read_examples(file, labels=labels, **reading_of(given))
