"""What the verbs of training share: their options, and one way from settings to a saved module and its scores."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wellread.cli.texts import copy_of_stdin
from wellread.errors import WellreadError
from wellread.files import refuse_existing

if TYPE_CHECKING:
    from wellread.learn.distributed import Process
    from wellread.learn.settings import LoopConfig
    from wellread.module import Module

F = TypeVar("F", bound=Callable[..., Any])
DTYPES = click.Choice(["float32", "float16", "int8"])
DTYPE = "How weights are stored; int8 is what quantise makes of them, calibrated on the command's own texts."
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
        click.option("--dtype", type=DTYPES, default="float32", show_default=True, help=DTYPE),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def run_directory(output: Path, run_dir: Path | None) -> Path:
    """Return where a run keeps its files: beside the module, if no place was given."""
    return run_dir or output.with_name(f"{output.name}-run")


def save_module(
    module: Module, output: Path, *, dtype: str, overwrite: bool, texts: Sequence[Path], **reading: Any
) -> list[str]:
    """Save a module, and say in lines what int8 costs.

    It is calibrated on those of `texts` that are there, or else on wellread's own. Where that fails, the module stands
    in `output` as float32.

    Raises: CheckpointError; as `wellread.quantise`.
    """
    module.save(output, dtype="float32" if dtype == "int8" else dtype, overwrite=overwrite)
    if dtype != "int8" or module.checkpoint.has_int8:
        return []
    from wellread.cli.quantise import lines
    from wellread.measure.quantise import quantise

    files = [path for path in texts if path.is_file()]
    try:
        int8 = quantise(module, files or None, **reading)
        int8.provenance = {**module.provenance, "quantise": int8.provenance["quantise"]}
        int8.save(output, overwrite=True)
    except WellreadError as error:
        raise type(error)(f"{error}; {output} holds the module as float32") from error
    return lines(int8.provenance["quantise"])


def train_and_save(
    train: Callable[[Process, dict[str, Any]], Module],
    loop: LoopConfig,
    options: dict[str, Any],
    *,
    texts: Sequence[Path],
    reading: Mapping[str, Any],
    scores: str = "",
) -> None:
    """Train a module, save it and print where it lies, the last loss and its scores; of several processes once.

    `train` gets `output_dir`, `resume_from_checkpoint` and `overwrite` as the functions of training take them;
    `options` are those of RUN; `scores` is where the module's provenance has them. int8 is calibrated on `texts`, read
    as `reading` says.

    Raises: CheckpointError where `output` exists and is not to be overwritten, before any work.
    """
    from wellread.learn.distributed import joined
    from wellread.learn.log import LOG, read_log

    output, overwrite = options["output"], options["overwrite"]
    run_dir = run_directory(output, options["run_dir"])
    if not overwrite:
        refuse_existing(output, advice=", or overwrite it (--overwrite)")
    costs: list[str] = []
    with joined(loop.ddp_timeout) as process:
        where = {"output_dir": run_dir, "resume_from_checkpoint": options["resume"], "overwrite": overwrite}
        module = train(process, where)
        if process.is_main:
            texts = [copy_of_stdin(run_dir, reading.get("kind")) if path == Path("-") else path for path in texts]
            costs = save_module(module, output, dtype=options["dtype"], overwrite=overwrite, texts=texts, **reading)
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
    for line in costs:
        click.echo(line)
