"""wellread pretrain: train a masked language model on plain text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
from wellread.cli.texts import COLUMNS, KIND, files_on_disk
from wellread.errors import require_extra
from wellread.learn.settings import PretrainConfig


@click.command("pretrain")
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path))
@run_options("tokens, checkpoints, log and curves")
@click.option("--shape", metavar="NAME", help="Begin anew with the shape of a small BERT, such as L-2_H-128.")
@click.option("--config", type=click.Path(path_type=Path), help="Begin anew with the shape in a config.json.")
@click.option("--vocab", metavar="FILE", help="Beginning anew: a vocab.txt, a SentencePiece model, or a module.")
@click.option("--train-vocab", metavar="KIND", help="Beginning anew: train one of TEXTS, wordpiece or sentencepiece.")
@click.option("--vocab-size", default=30_522, show_default=True, help="Pieces of a vocabulary that is trained.")
@click.option("--lower-case", is_flag=True, help="The rule of a vocab.txt, or of a vocabulary that is trained.")
@click.option("--text", "--column", "column", metavar="COLUMN", help=COLUMNS["text"])
@click.option("--kind", help=KIND)
@click.option("--dev", multiple=True, type=click.Path(path_type=Path), help="Texts to be scored and not learned.")
@options_of(PretrainConfig)
@json_flag
@module_options
def command(
    texts: tuple[Path, ...],
    output: Path,
    run_dir: Path | None,
    dev: tuple[Path, ...],
    column: str | None,
    kind: str | None,
    resume: bool,
    dtype: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Train the --model, or a fresh one of a --shape or --config, to guess masked words of TEXTS.

    TEXTS are .txt files of a text a line, or .csv, .tsv, .jsonl, .ndjson, .json or .parquet with a --text column, each
    also .gz; - is standard input.
    """
    require_extra("torch", extra="train")
    from wellread.learn.pretrain import Beginning, run_pretraining

    loading = {name: given.pop(name) for name in LOADING}
    fresh = {name: given.pop(name) for name in ("shape", "config", "vocab", "train_vocab", "vocab_size", "lower_case")}
    named = click.get_current_context().get_parameter_source("model") is not click.core.ParameterSource.DEFAULT
    _refuse_mixed(fresh, named)
    begun = Beginning(**fresh) if fresh["shape"] or fresh["config"] else load_module(**loading)
    run_dir = run_directory(output, run_dir)
    made = run_pretraining(
        begun,
        files_on_disk(texts, run_dir, kind),
        output=output,
        run_dir=run_dir,
        config=gather(PretrainConfig(), given),
        dev=dev or None,
        column=column,
        kind=kind,
        dtype=dtype,
        resume=resume,
    )
    if speaks():
        _print(output, run_dir, made.provenance.get("held_out", {}), as_json=as_json)


def _refuse_mixed(fresh: dict[str, Any], named: bool) -> None:
    """Refuse two beginnings, none of the vocabularies that one needs, or one that is not used."""
    shapes = [f"--{name}" for name in ("shape", "config") if fresh[name]]
    vocabularies = [f"--{name}" for name in ("vocab", "train-vocab") if fresh[name.replace("-", "_")]]
    if len(shapes) + named > 1:
        raise click.UsageError(f"give one of --model, --shape and --config; found {len(shapes) + named}")
    if shapes and len(vocabularies) != 1:
        raise click.UsageError(f"{shapes[0]} takes one of --vocab and --train-vocab; found {len(vocabularies)}")
    if vocabularies and not shapes:
        raise click.UsageError(f"{vocabularies[0]} is for --shape and --config; a --model has its own vocabulary")


def _print(output: Path, run_dir: Path, scores: dict[str, float], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"output": str(output), **scores}))
        return
    shown = "".join(f"\n{name}: {value:.4g}" for name, value in scores.items())
    click.echo(f"module: {output}\nlog: {run_dir / 'log.jsonl'}{shown}")
