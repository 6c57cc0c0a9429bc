"""wellread predict: what a fine-tuned module says of texts."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from wellread.cli.options import LOADING, json_flag, load_module, module_options, names_file, read_arguments
from wellread.errors import DataError
from wellread.tasks.answers import FoundAnswer
from wellread.tasks.classes import Prediction
from wellread.tasks.tags import Tagged

if TYPE_CHECKING:
    from wellread.data.examples import Examples

COLUMNS = ("text", "pair")
READING = ("format_", "kind", *COLUMNS)
OF_ANSWERS = ("top_k", "max_answer_length", "null_threshold", "stride")


@click.command("predict")
@click.argument("texts", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write JSON lines to this file.")
@click.option("--second", metavar="TEXT", help="The second text of a pair; the context of a question.")
@click.option("--text", metavar="COLUMN", help="The column of a file that is the text, or the question.")
@click.option("--pair", metavar="COLUMN", help="The column that is the second text, or the context.")
@click.option("--format", "format_", help="What the file is: nsmc, kornli, klue-ner, squad ...")
@click.option("--kind", help="tsv, csv, jsonl, parquet, conll or squad, where its ending does not say it.")
@click.option("--top-k", type=click.IntRange(1), help="Answers a question.")
@click.option("--max-answer-length", type=click.IntRange(1), help="In pieces.")
@click.option("--null-threshold", type=float, help="Allow no answer; the best must beat it by more than this.")
@click.option("--stride", type=click.IntRange(1), help="Pieces from one window of a context to the next.")
@click.option("--precision", help="f32, or bf16 where the CPU has it; the faster of these if not given.")
@click.option("--batch-size", type=int, help="At most so many texts a batch.")
@json_flag
@module_options
def command(texts: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Say what a fine-tuned module makes of TEXTS: arguments, the lines of one file, or of standard input.

    A file that ends in .tsv, .csv, .jsonl, .parquet, .conll or .json is read by columns (--text, --pair, or a known
    --format). A line is a label and its probability, a score, the entities of a text, or an answer; with --json an
    object.
    """
    loading = {name: options.pop(name) for name in LOADING}
    reading = {name: options.pop(name) for name in (*READING, "second")}
    chosen = {name: value for name in OF_ANSWERS if (value := options.pop(name)) is not None}
    asked = _asked(texts, reading)
    module = load_module(**loading)
    if module.checkpoint.head is None or module.checkpoint.head.task != "tag":
        asked["tokens"] = None  # they are for tags alone
    answers = module.predict(**asked, **options, **chosen)
    lines = [_json(text, answer) for text, answer in zip(asked["texts"], answers, strict=True)]
    if output is not None:
        _write(output, lines)
        return
    for line, answer in zip(lines, answers, strict=True):
        click.echo(line if as_json else _plain(answer))


def _asked(texts: tuple[str, ...], reading: dict[str, Any]) -> dict[str, Any]:
    """Read what is to be judged: `texts`, `pairs` and `tokens`, the last two None where there are none."""
    if not (any(reading[name] for name in READING) or _has_columns(texts)):
        rows = read_arguments(texts)
        second = reading["second"]
        return {"texts": rows, "pairs": None if second is None else [second] * len(rows), "tokens": None}
    if len(texts) != 1 or reading["second"] is not None:
        raise click.UsageError("--text, --pair, --format and --kind are for one file, without --second")
    found = _examples(Path(texts[0]), reading)
    return {"texts": found.texts, "pairs": found.pairs, "tokens": found.spans}


def _examples(file: Path, reading: dict[str, Any]) -> Examples:
    from wellread.data.examples import read_texts

    columns = {role: reading[role] for role in COLUMNS if reading[role]}
    return read_texts(file, format=reading["format_"], kind=reading["kind"], **columns)


def _has_columns(texts: tuple[str, ...]) -> bool:
    """Tell whether the one argument is a file of a kind that has columns."""
    from wellread.data.formats import ENDINGS

    return len(texts) == 1 and Path(texts[0].removesuffix(".gz")).suffix in ENDINGS and names_file(texts)


def _json(text: str, answer: Any) -> str:
    """Write what was asked and answered as a JSON object."""
    told = {"score": float(answer)} if isinstance(answer, np.floating) else dataclasses.asdict(answer)
    # of a question's answer the text is another than its own
    return json.dumps({"question" if isinstance(answer, FoundAnswer) else "input": text, **told})


def _plain(answer: Any) -> str:
    """Write an answer as a person reads it."""
    if isinstance(answer, Prediction):
        return f"{answer.label}\t{answer.score:.4f}"
    if isinstance(answer, Tagged):
        return "\t".join(f"{found.entity}={found.text}" for found in answer.entities)
    if isinstance(answer, FoundAnswer):
        return "\n".join(f"{one.text}\t{one.score:.4f}" for one in (answer, *answer.others))
    return f"{answer:.4f}"


def _write(output: Path, lines: list[str]) -> None:
    """Write all lines or none."""
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        partial.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        partial.replace(output)
    except OSError as error:
        raise DataError(
            f"{len(lines)} predictions were to be written to {output}; {error}; choose another place"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
