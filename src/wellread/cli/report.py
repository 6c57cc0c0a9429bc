"""wellread report: modules against their size and speed, FastText beside them; and the curves of training runs."""

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
    from wellread.measure.systems import System

LOADING = ("backend", "local_files_only")
MODULE_FILES = ("wellread.json", "config.json")
FOR_MODULES = ("task", "dev", "train", "teacher", "compare", "cited")  # options that runs alone do not take
TUNED = ("dim", "word_ngrams", "minn", "maxn", "epoch", "lr")  # of FastText, which --tune chooses


@click.command("report")
@click.argument("modules", nargs=-1, required=True, metavar="MODULE|RUN...")
@click.option("--task", type=click.Choice(["stsb", *TASKS]), help="What the modules are scored on.")
@click.option("--dev", type=click.Path(path_type=Path), help="The labelled file that all are scored on.")
@click.option("--teacher", metavar="MODULE", help="Also say what share of its score, and of its speed, each has.")
@click.option(
    *("--compare", "compare"),
    nargs=2,
    multiple=True,
    metavar="A B",
    help="Say whether these two of the table part on the same rows; else each and the next by size.",
)
@click.option("--baseline", type=click.Choice(["fasttext"]), help="Trained on --train in this run.")
@click.option("--train", type=click.Path(path_type=Path), help="The labelled file for the baseline.")
@click.option("--cited", type=click.Path(path_type=Path), help="TOML of published figures, shown as such.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="A directory; must be new.")
@reading_options(*COLUMNS)
@click.option("--positive", metavar="LABEL", help="Also give the F1 of this label.")
@options_of(ReportConfig)
@click.option("--backend", default="auto", show_default=True, help=BACKENDS)
@click.option("--local-files-only", is_flag=True, help="Use the cache and make no network call.")
@json_flag
def command(modules: tuple[str, ...], output: Path, as_json: bool, **options: Any) -> None:
    """Compare modules on one file: size as shipped, parameters, score with its interval, texts a second.

    Directories of training runs (with log.jsonl) give their curves, as curves.png and curves.svg; for modules alone
    --task and --dev say what they are scored on. OUTPUT gets report.md and .json, and the pictures of score against
    size and speed (report.png, report-speed.png, and .svg), whole or not at all; without matplotlib there are none.
    --bucket and --seed are FastText's own; --dim to --lr too, with --no-tune.
    """
    from wellread.files import refuse_existing, whole_directory

    refuse_existing(output)
    runs, named = _sorted(modules if options["teacher"] is None else (*modules, options["teacher"]))
    _check(runs, named, options)
    report = _report(named, options) if named else None
    with whole_directory(output) as directory:
        _write(report, runs, directory)
    _print(report, runs, as_json, output)


def _check(runs: dict[str, Any], named: dict[str, str], options: dict[str, Any]) -> None:
    """Refuse options that do not belong together. Raises: click.UsageError."""
    if named and not (options["task"] and options["dev"]):
        raise click.UsageError(f"--task and --dev say what modules are scored on; found {', '.join(named)}; give both")
    if not named and any(options[name] for name in FOR_MODULES):
        listed = ", ".join(f"--{name}" for name in FOR_MODULES)
        raise click.UsageError(f"{listed} are for modules; found training runs alone; name a module")
    if (options["baseline"] is None) != (options["train"] is None):
        raise click.UsageError("--baseline is trained on --train, and that is for nothing else; give both, or neither")
    given = [f"--{name.replace('_', '-')}" for name in TUNED if options[name] is not None]
    if given and options["tune"] is not False:
        raise click.UsageError(f"{', '.join(given)} would be chosen by --tune; add --no-tune, or leave them out")


def _sorted(arguments: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the logs of the runs and the handles of the modules, by short names; a directory may be both."""
    from wellread.learn.log import is_run, read_run
    from wellread.measure.systems import short_names

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
    from wellread.measure.cited import read_cited
    from wellread.measure.report import baselines, make_report
    from wellread.measure.systems import EvalSet

    if options["task"] == "stsb":
        options |= {"task": "similarity", "format_": options["format_"] or "stsb"}
    cited = read_cited(options["cited"]) if options["cited"] else ()
    config = gather(ReportConfig(), options)
    rules = known_format(options["format_"]).rules if options["format_"] else "squad"
    examples = _read(options["dev"], options)
    eval_set = EvalSet(task=options["task"], examples=examples, positive=options["positive"], rules=rules)
    train = _read(options["train"], options) if options["train"] else None
    systems = [_system(name, handle, options) for name, handle in named.items()]
    systems += baselines(train, eval_set.task, config) if train else []
    names = {handle: name for name, handle in named.items()}  # either may be given
    cpu = processor()
    report = make_report(
        systems,
        eval_set,
        config=config,
        teacher=names.get(options["teacher"]),
        compare=[(names.get(first, first), names.get(second, second)) for first, second in options["compare"]],
        machine=f"{cpu.name}, {cpu.cores} cores",
    )
    return dataclasses.replace(report, cited=cited)


def _system(name: str, handle: str, options: dict[str, Any]) -> System:
    from wellread.hub.resolve import resolve
    from wellread.measure.systems import module_system

    module = load_module(handle, **{name: options[name] for name in LOADING})
    return module_system(name, module, resolve(handle, local_files_only=options["local_files_only"]).directory)


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
    parts = [table.as_table(report)] if report else []
    parts += [table.pairs_table(report)] if report and report.pairs else []
    parts += [table.notes(report)] if report else []
    parts += [curves.as_table(runs)] if runs else []
    click.echo("\n\n".join([*parts, f"report: {output}"]))
