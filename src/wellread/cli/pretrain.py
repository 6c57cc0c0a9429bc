"""wellread pretrain: train an encoder on plain text, as a masked language model or by ELECTRA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.options import LOADING, gather, json_flag, load_module, module_options, options_of, was_given
from wellread.cli.texts import COLUMNS, KIND, files_on_disk
from wellread.cli.training import run_options, train_and_save
from wellread.errors import require_extra
from wellread.learn.settings import PretrainConfig

if TYPE_CHECKING:
    from wellread.learn.distributed import Process
    from wellread.module import Module

FRESH = ("shape", "config", "vocab", "train_vocab", "vocab_size", "lower_case")


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
    texts: tuple[Path, ...], dev: tuple[Path, ...], column: str | None, kind: str | None, **options: Any
) -> None:
    """Train a --model, or a fresh one of a --shape or --config, to guess masked words of TEXTS.

    With --objective electra it learns to tell words that a small generator replaced, and is saved without a head.

    TEXTS are .txt files of a text a line, or .csv, .tsv, .jsonl, .ndjson, .json or .parquet with a --text column, each
    also .gz; - is standard input.
    """
    require_extra("torch", extra="train")
    from wellread.learn.pretrain import new_module, pretrain

    loading = {name: options.pop(name) for name in LOADING}
    fresh = {name: options.pop(name) for name in FRESH}
    named = was_given("model")
    _refuse_mixed(fresh, named)
    settings = gather(PretrainConfig(), options)
    reading: dict[str, Any] = {"column": column, "kind": kind}

    def train(process: Process, where: dict[str, Any]) -> Module:
        files = files_on_disk(texts, where["output_dir"], kind)
        if named:
            module = load_module(**loading)
        else:
            module = new_module(
                files, cache=where["output_dir"], settings=settings, process=process, **fresh, **reading
            )
        return pretrain(module, files, config=settings, dev=dev or None, **reading, **where)

    train_and_save(train, settings.loop, options, texts=texts, reading=reading, scores="held_out")


def _refuse_mixed(fresh: dict[str, Any], named: bool) -> None:
    """Refuse no beginning or two, none of the vocabularies that one needs, or one that is not used."""
    shapes = [f"--{name}" for name in ("shape", "config") if fresh[name]]
    vocabularies = [f"--{name}" for name in ("vocab", "train-vocab") if fresh[name.replace("-", "_")]]
    if vocabularies and not shapes:
        raise click.UsageError(f"{vocabularies[0]} is for --shape and --config; a --model has its own vocabulary")
    if not shapes and not named:
        raise click.UsageError(
            "name what is to be trained: --model, --shape or --config; found none; for the English default, "
            "--model default"
        )
    if len(shapes) + named > 1:
        raise click.UsageError(f"give one of --model, --shape and --config; found {len(shapes) + named}")
    if shapes and len(vocabularies) != 1:
        raise click.UsageError(f"{shapes[0]} takes one of --vocab and --train-vocab; found {len(vocabularies)}")
