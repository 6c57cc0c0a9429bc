"""What the verbs of training share: their options, and one way from settings to a saved module and its scores."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wellread.files import refuse_existing

if TYPE_CHECKING:
    from wellread.learn.distributed import Process
    from wellread.learn.settings import LoopConfig
    from wellread.module import Module

F = TypeVar("F", bound=Callable[..., Any])
RUN = ("output", "run_dir", "resume", "overwrite", "dtype", "as_json")  # what `run_options` and `json_flag` add


def run_options(kept: str) -> Callable[[F], F]:
    """Add what every verb of training takes: where the module goes, and the run directory, which gets `kept`."""
    path = click.Path(path_type=Path)
    options = (
        click.option("-o", "--output", required=True, type=path, help="The module's directory."),
        click.option("--run-dir", type=path, help=f"For {kept}.  [default: OUTPUT-run]"),
        click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the run directory."),
        click.option(
            "--overwrite", is_flag=True, help="Replace a module in OUTPUT, and checkpoints in the run directory."
        ),
        click.option(
            "--dtype", default="float32", show_default=True, help="How weights are stored: float32 or float16."
        ),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def run_directory(output: Path, run_dir: Path | None) -> Path:
    """Return where a run keeps its files: beside the module, if no place was given."""
    return run_dir or output.with_name(f"{output.name}-run")


def train_and_save(
    train: Callable[[Process, dict[str, Any]], Module], loop: LoopConfig, options: dict[str, Any], *, scores: str = ""
) -> None:
    """Train a module, save it and print where it lies, the last loss and its scores; of several processes once.

    `train` gets `output_dir`, `resume_from_checkpoint` and `overwrite` as the functions of training take them;
    `options` are those of RUN; `scores` is where the module's provenance has them.

    Raises: CheckpointError where `output` exists and is not to be overwritten, before any work.
    """
    from wellread.learn.distributed import joined
    from wellread.learn.log import LOG, read_log

    output, overwrite = options["output"], options["overwrite"]
    run_dir = run_directory(output, options["run_dir"])
    if not overwrite:
        refuse_existing(output, advice=", or overwrite it (--overwrite)")
    with joined(loop.ddp_timeout) as process:
        where = {"output_dir": run_dir, "resume_from_checkpoint": options["resume"], "overwrite": overwrite}
        module = train(process, where)
        if process.is_main:
            module.save(output, dtype=options["dtype"], overwrite=overwrite)
    if os.environ.get("RANK", "0") != "0":
        return
    losses = [line["loss"] for line in read_log(run_dir / LOG) if "loss" in line][-1:]
    values = module.provenance.get(scores, {})
    if options["as_json"]:
        nested = {scores: values} if scores == "scores" else values
        click.echo(json.dumps({"output": str(output), **({"loss": losses[0]} if losses else {}), **nested}))
        return
    what = "student" if "teacher" in module.provenance else "module"
    click.echo(f"{what}: {output}\nlog: {run_dir / LOG}")
    for name, value in {**({"loss": losses[0]} if losses else {}), **values}.items():
        click.echo(f"{name}: {value:.4f}" if value < 100 else f"{name}: {value:.4g}")
