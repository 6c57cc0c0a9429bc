"""wellread report: modules against their size, FastText beside them; and the curves of training runs."""

from __future__ import annotations

import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.options import BACKENDS, gather, json_flag, load_module, options_of
from wellread.cli.texts import COLUMNS, reading_of, reading_options
from wellread.measure.report import Report, ReportConfig
from wellread.tasks.registry import TASKS

if TYPE_CHECKING:
    from wellread.data.examples import Examples

LOADING = ("backend", "local_files_only")
MODULE_FILES = ("wellread.json", "config.json")


@click.command("report")
@click.argument("modules", nargs=-1, required=True, metavar="MODULE|RUN...")
@click.option("--task", type=click.Choice(["stsb", *TASKS]), help="What the modules are scored on.")
@click.option("--dev", type=click.Path(path_type=Path), help="The labelled file that all are scored on.")
@click.option("--baseline", type=click.Choice(["fasttext"]), help="Trained on --train in this run.")
@click.option("--train", type=click.Path(path_type=Path), help="The labelled file for the baseline.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="A directory; must be new.")
@reading_options(*COLUMNS)
@click.option("--positive", metavar="LABEL", help="Also give the F1 of this label.")
@options_of(ReportConfig)
@click.option("--backend", default="auto", show_default=True, help=BACKENDS)
@click.option("--local-files-only", is_flag=True, help="Use the cache and make no network call.")
@json_flag
def command(modules: tuple[str, ...], output: Path, as_json: bool, **options: Any) -> None:
    """Compare modules on one file: size, parameters, score with its interval, texts a second.

    Directories of training runs (with log.jsonl) give their curves, as curves.png and curves.svg; for modules alone
    --task and --dev say what they are scored on. OUTPUT gets report.md, .json, .png and .svg, whole or not at all;
    without matplotlib there are no pictures.
    --dim to --seed are FastText's own settings.
    """
    from wellread.files import refuse_existing, whole_directory

    refuse_existing(output)
    runs, named = _sorted(modules)
    if named and not (options["task"] and options["dev"]):
        raise click.UsageError(f"--task and --dev say what modules are scored on; found {', '.join(named)}; give both")
    if not named and (options["task"] or options["dev"] or options["train"]):
        raise click.UsageError("--task, --dev and --train are for modules; found training runs alone; name a module")
    if (options["baseline"] is None) != (options["train"] is None):
        raise click.UsageError("--baseline is trained on --train, and that is for nothing else; give both, or neither")
    report = _report(named, options) if named else None
    with whole_directory(output) as directory:
        _write(report, runs, directory)
    _print(report, runs, as_json, output)


def _sorted(arguments: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the logs of the runs and the handles of the modules, by short names; a directory may be both."""
    from wellread.learn.log import is_run, read_run
    from wellread.measure.report import short_names

    runs, named = {}, {}
    for name, argument in short_names(arguments).items():
        directory = Path(argument)
        if is_run(directory):
            runs[name] = read_run(directory)
        if name not in runs or any((directory / file).is_file() for file in MODULE_FILES):
            named[name] = argument
    return runs, named


def _report(named: dict[str, str], options: dict[str, Any]) -> Report:
    """Score the modules, and the baseline, on the file of --dev."""
    from wellread.data.formats import known_format
    from wellread.doctor.examine import processor
    from wellread.measure.report import EvalSet, make_report

    if options["task"] == "stsb":
        options |= {"task": "similarity", "format_": options["format_"] or "stsb"}
    rules = known_format(options["format_"]).rules if options["format_"] else "squad"
    examples = _read(options["dev"], options)
    eval_set = EvalSet(task=options["task"], examples=examples, positive=options["positive"], rules=rules)
    train = _read(options["train"], options) if options["train"] else None
    loading = {name: options[name] for name in LOADING}
    modules = {name: load_module(handle, **loading) for name, handle in named.items()}
    cpu = processor()
    return make_report(
        modules,
        eval_set,
        train=train,
        config=gather(ReportConfig(), options),
        machine=f"{cpu.name}, {cpu.cores} cores",
    )


def _read(file: Path, options: dict[str, Any]) -> Examples:
    from wellread.data.examples import read_examples

    return read_examples(file, **reading_of(options))


def _write(report: Report | None, runs: dict[str, Any], directory: Path) -> None:
    from wellread.learn.log import draw_runs
    from wellread.measure.render import write_report

    pictures = find_spec("matplotlib") is not None
    if not pictures:
        click.echo('no picture was drawn: matplotlib is not installed; run: pip install "wellread[report]"', err=True)
    if report:
        write_report(report, directory, pictures=pictures)
    if runs and pictures:
        draw_runs(runs, [directory / "curves.png", directory / "curves.svg"])


def _print(report: Report | None, runs: dict[str, Any], as_json: bool, output: Path) -> None:
    from wellread.learn import log as curves
    from wellread.measure import render as table

    if as_json:
        fields = dataclasses.asdict(report) if report else {}
        click.echo(json.dumps({**fields, "curves": curves.summary(runs), "output": str(output)}, ensure_ascii=False))
        return
    parts = [table.as_table(report), table.notes(report)] if report else []
    parts += [curves.as_table(runs)] if runs else []
    click.echo("\n\n".join([*parts, f"report: {output}"]))
