"""wellread quantise: a module with int8 matrices, within a budget of accuracy."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wellread.cli.help import Setting
from wellread.cli.options import LOADING, json_flag, load_named, module_options, was_given
from wellread.cli.texts import reading_options
from wellread.data.formats import ENDINGS, ending_of
from wellread.files import refuse_existing

PATH = click.Path(path_type=Path)
SCORING: dict[str, Any] = {"cls": Setting, "section": "The score"}


@click.command("quantise")
@click.argument("handle", required=False)
@click.argument("texts", nargs=-1, type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The module's directory.")
@click.option("--budget", type=float, default=0.999, show_default=True, help="Mean cosine to float32, at least.")
@click.option("--evaluate", type=PATH, metavar="FILE", help="Score the module on FILE before and after.", **SCORING)
@click.option("--evaluate-format", metavar="NAME", help="What FILE is.  [default: stsb without a head]", **SCORING)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="How the rest is stored.",
)
@click.option("--overwrite", is_flag=True, help="Replace a module in OUTPUT.")
@reading_options("text")
@json_flag
@module_options
def command(
    handle: str | None, texts: tuple[Path, ...], output: Path, budget: float, as_json: bool, **options: Any
) -> None:
    """Store a module's matrices as int8, a quarter of the size, and say what that costs.

    TEXTS are files of texts such as the module will be given; without any, wellread takes English and Korean ones of
    its own. Half of them choose the scales, the others measure. While the vectors are further from float32 than
    --budget allows, the matrix that costs most stays as it is. With --model, all arguments are TEXTS.
    """
    from wellread.measure.quantise import quantise

    if handle is not None and os.path.isfile(handle) and ending_of(handle) in ENDINGS:
        if not was_given("model"):
            raise click.UsageError(
                f"HANDLE names the module; found the file of texts {handle}; name the module first, then the texts"
            )
        texts, handle = (Path(handle), *texts), None
    if not options["overwrite"]:
        refuse_existing(output, advice=", or overwrite it (--overwrite)")
    loading = {name: options.pop(name) for name in LOADING}
    module = load_named(handle, **loading)
    smaller = quantise(
        module,
        list(texts) or None,
        budget=budget,
        examples=_examples(module, options),
        column=options["text"],
        kind=options["kind"],
        format=options["format_"],
    )
    smaller.save(output, dtype=options["dtype"], overwrite=options["overwrite"])
    report = smaller.provenance["quantise"]
    if as_json:
        click.echo(json.dumps({"output": str(output), **report}))
        return
    click.echo(f"module: {output}")
    for line in lines(report):
        click.echo(line)


def _examples(module: Any, options: Mapping[str, Any]) -> Any:
    """Read the examples of --evaluate, before any other work; None without it."""
    if options["evaluate"] is None:
        if options["evaluate_format"] is not None:
            raise click.UsageError("--evaluate-format says what the FILE of --evaluate is; found none; name it")
        return None
    from wellread.data.examples import read_examples

    stsb = None if module.checkpoint.head is not None else "stsb"
    return read_examples(options["evaluate"], format=options["evaluate_format"] or stsb)


def lines(report: Mapping[str, Any]) -> list[str]:
    """Say what int8 saves, and what it costs."""
    words = [
        f"megabytes: {report['megabytes_before']:,} -> {report['megabytes_after']:,}",
        f"cosine to float32: {report['mean_cosine']:.6f} on average, {report['least_cosine']:.6f} at least",
        f"nearest neighbours kept: {report['neighbours_kept']:.2%}",
    ]
    if report["predictions_kept"] is not None:
        words.append(f"predictions kept: {report['predictions_kept']:.2%}")
    if report["score"] is not None:
        words.append(f"{report['score']}: {report['score_before']:.4f} -> {report['score_after']:.4f}")
    words.append(
        f"texts: {report['calibration_texts']:,} to calibrate, {report['held_out_texts']:,} held out, {report['texts']}"
    )
    kept = [f"floats: {name}: {why}" for name, why in report["kept_as_floats"].items()]
    return [*words, f"int8 matrices: {report['int8_matrices']}", *kept]
