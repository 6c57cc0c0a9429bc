"""wellread evaluate: score a module, or predictions that were made before, on a task's file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.options import LOADING, json_flag, load_module, module_options, was_given
from wellread.cli.texts import COLUMNS, reading_of, reading_options
from wellread.tasks.registry import TASKS

if TYPE_CHECKING:
    from wellread.data.examples import Examples
    from wellread.measure.predictions import TaskScore

FOR_PREDICTIONS = ("prediction", "labels")
FOR_MODULES = ("stsb", "mlm")  # tasks without predictions
FOR_LABELLED = ("pair", "label", "label_set", "score", "tags")  # columns that mere texts have not


@click.command("evaluate")
@click.argument("task", type=click.Choice(["stsb", "mlm", *TASKS]))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--predictions", type=click.Path(path_type=Path), help="Score these instead of a module.")
@click.option("--prediction", default="prediction", show_default=True, help="Their column, where they have some.")
@reading_options(*COLUMNS)
@click.option("--labels", default="", help="All labels, with commas between, where FILE lacks some.")
@click.option("--positive", metavar="LABEL", help="Also give the F1 of this label.")
@click.option("--precision", metavar="NAME", help="As the module computes otherwise: int8, bf16.  [default: f32]")
@json_flag
@module_options
def command(task: str, file: Path, predictions: Path | None, as_json: bool, **options: Any) -> None:
    """Score a module, or --predictions that were made before, on FILE.

    TASK is what a module was fine-tuned for: classify, pair (labels), multilabel (sets of labels), score, rank
    (numbers), similarity (numbers; any module, by cosines), tag (entities of CoNLL), answer (spans of SQuAD). For any
    module: stsb, the correlation of cosines with people's scores (STS-B, KorSTS); for one with a masked-language-model
    head: mlm, the perplexity of masked words.
    """
    _refuse_foreign(task, predictions is not None)
    loading = {name: options.pop(name) for name in LOADING}
    if predictions is not None:
        _print(_predictions(task, file, predictions, options), as_json)
    elif task == "stsb":
        _similarity(file, loading, as_json, options)
    elif task == "mlm":
        from wellread.data.corpus import stream_texts
        from wellread.measure.evaluate import evaluate_masked

        module = load_module(**loading)
        texts = stream_texts([file], column=options["text"], kind=options["kind"], format=options["format_"])
        _print(evaluate_masked(module, list(texts)), as_json)
    else:
        _print(_module(task, file, loading, options), as_json)


def _refuse_foreign(task: str, predicted: bool) -> None:
    """Refuse flags that this task does not take."""
    foreign = (*LOADING, "precision") if predicted else FOR_PREDICTIONS
    if task in FOR_MODULES:
        of_mlm = ("precision", *FOR_LABELLED)
        foreign = (*foreign, "positive") if task == "stsb" else (*foreign, "positive", *of_mlm)
    names = [name for name in foreign if was_given(name)]
    if predicted and task in FOR_MODULES:
        names.append("predictions")
    if names:
        flags = ", ".join(f"--{name.rstrip('_').replace('_', '-')}" for name in names)
        what = "predictions are scored without a module" if predicted else f"{task} scores a module"
        raise click.UsageError(f"{what}; found {flags}, which do not belong to that; leave them out")


def _read(file: Path, options: dict[str, Any], **more: Any) -> Examples:
    from wellread.data.examples import read_examples

    return read_examples(file, **{**reading_of(options), **more})


def _similarity(file: Path, loading: dict[str, Any], as_json: bool, options: dict[str, Any]) -> None:
    from wellread.measure.evaluate import evaluate

    examples = _read(file, options, format=options["format_"] or "stsb")
    score = evaluate(load_module(**loading), examples, task="similarity", precision=options["precision"])
    spearman, pearson = score.scores["spearman"], score.scores["pearson"].value
    if as_json:
        bounds = {"low": spearman.low, "high": spearman.high}
        click.echo(json.dumps({"spearman": spearman.value, "pearson": pearson, **bounds, "pairs": score.examples}))
    else:
        click.echo(f"spearman {spearman.value:.4f}  [{spearman.low:.4f}, {spearman.high:.4f}] at 95 %")
        click.echo(f"pearson  {pearson:.4f}")
        click.echo(f"pairs    {score.examples}")


def _module(task: str, file: Path, loading: dict[str, Any], options: dict[str, Any]) -> TaskScore:
    from wellread.data.formats import known_format
    from wellread.measure.evaluate import evaluate, task_of

    module = load_module(**loading)
    task_of(module, task)  # before a long file is read
    rules = known_format(options["format_"]).rules if options["format_"] else "squad"
    examples = _read(file, options)
    precision = options["precision"]
    return evaluate(module, examples, task=task, positive=options["positive"], rules=rules, precision=precision)


def _predictions(task: str, file: Path, predictions: Path, options: dict[str, Any]) -> TaskScore:
    from wellread.data.formats import known_format
    from wellread.measure.predictions import read_predictions, score_predictions
    from wellread.tasks.task import Scoring

    form = known_format(options["format_"]) if options["format_"] else None
    labels = tuple(filter(None, options["labels"].split(",")))
    examples = _read(file, options, labels=labels)
    return score_predictions(
        task,
        examples,
        read_predictions(predictions, task, examples, name=options["prediction"]),
        scoring=Scoring(
            labels=labels or (form.labels if form else ()),
            positive=options["positive"],
            rules=form.rules if form else "squad",
        ),
    )


def _print(score: TaskScore, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(score)))
        return
    for name, interval in score.scores.items():
        click.echo(f"{name:<11} {interval.value:.4f}  [{interval.low:.4f}, {interval.high:.4f}] at 95 %")
    click.echo(f"examples    {score.examples}")
