"""wellread predict: what a fine-tuned module says of texts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from wellread.about import noted
from wellread.cli.options import LOADING, json_flag, load_module, module_options
from wellread.cli.texts import READING, check_output, files_of, reading_of, reading_options
from wellread.files import whole_file
from wellread.tasks.registry import TASKS

OF_TASKS = ("top_k", "max_answer_length", "null_threshold", "stride", "threshold", "activation")


@click.command("predict")
@click.argument("texts", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write JSON lines to this file.")
@click.option("--second", metavar="TEXT", help="The second text of a pair; the context of a question.")
@reading_options("text", "pair")
@click.option("--top-k", type=click.IntRange(1), help="Answers a question.")
@click.option("--max-answer-length", type=click.IntRange(1), help="In pieces.")
@click.option("--null-threshold", type=float, help="Allow no answer; the best must beat it by more than this.")
@click.option("--stride", type=click.IntRange(1), help="Pieces from one window of a context to the next.")
@click.option("--threshold", type=float, help="Several labels: the probability that those given are above.")
@click.option(
    "--activation", help="Scores: what logits go through, identity, sigmoid ...; that of the head if not given."
)
@click.option("--precision", help="f32, or bf16 where the CPU has it; if not given, bf16 with AMX and else f32.")
@click.option("--batch-size", type=int, help="At most so many texts a batch.")
@json_flag
@module_options
def command(texts: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Say what a fine-tuned module makes of TEXTS: arguments, the texts of files, or the lines of standard input.

    Files are .txt (a text a line), .csv, .tsv, .jsonl, .ndjson, .json or .parquet (columns --text and --pair, or a
    known --format) or .conll, each also .gz, or - for standard input. What is printed of a text is a label and its
    probability, several of them, a score, the entities, or an answer; with --json an object.
    """
    loading = {name: options.pop(name) for name in LOADING}
    reading, second = reading_of(options), options.pop("second")
    for name in READING:
        options.pop(name, None)
    settings = {name: value for name in OF_TASKS if (value := options.pop(name)) is not None}
    if output is not None:
        check_output(output)
    module = load_module(**loading)
    inputs = _inputs(texts, second, reading, noted(module.provenance, "columns") or {})
    head = module.checkpoint.head
    task = TASKS.get(head.task) if head else None
    if task is None or not task.takes_tokens:
        inputs["tokens"] = None
    answers = module.predict(**inputs, **options, **settings)
    input_name = task.input_name if task else "input"
    lines = []
    for text, answer in zip(inputs["texts"], answers, strict=True):
        lines.append(json.dumps({input_name: text, **_fields(answer, head.labels if head else ())}))
    if output is not None:
        with whole_file(output) as file:
            file.writelines(f"{line}\n".encode() for line in lines)
        return
    for line, answer in zip(lines, answers, strict=True):
        numbers = np.ravel(answer) if isinstance(answer, np.floating | np.ndarray) else None
        words = str(answer) if numbers is None else "\t".join(f"{number:.4f}" for number in numbers)
        click.echo(line if as_json else words)


def _fields(answer: Any, outputs: tuple[str, ...]) -> dict[str, Any]:
    """Return what JSON says of a prediction: a number, a number for each output, or its fields."""
    if isinstance(answer, np.ndarray):
        return {"scores": dict(zip(outputs, answer.tolist(), strict=True))}
    return {"score": float(answer)} if isinstance(answer, np.floating) else dataclasses.asdict(answer)


def _inputs(
    arguments: tuple[str, ...], second: str | None, reading: dict[str, str], remembered: dict[str, str]
) -> dict[str, Any]:
    """Read what predictions are made for: `texts`, `pairs` and `tokens`, the last two None where there are none."""
    from wellread.data.examples import read_texts

    files = files_of(arguments)
    if reading and (second is not None or not files):
        raise click.UsageError("--text, --pair, --format and --kind are for files, without --second")
    examples = [read_texts(file, remembered=remembered, **reading) for file in files]
    texts = [text for one in examples for text in one.texts] if files else list(arguments)
    pairs = [pair for one in examples for pair in one.pairs or []]
    if pairs and (second is not None or len(pairs) < len(texts)):
        raise click.UsageError("--second is for texts alone, and files of pairs stand apart; found a column pair")
    if second is not None:
        pairs = [second] * len(texts)
    tokens = [spans for one in examples for spans in one.spans or []]
    return {"texts": texts, "pairs": pairs or None, "tokens": tokens if tokens and len(tokens) == len(texts) else None}
