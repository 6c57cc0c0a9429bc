"""wellread shrink: find the small module that keeps what is asked of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wellread.cli.options import LOADING, gather, json_flag, load_module, module_options, options_of
from wellread.cli.texts import files_on_disk, reading_of, reading_options
from wellread.errors import require_extra
from wellread.shrinking.settings import ShrinkConfig
from wellread.shrinking.stages import STAGES

PATH = click.Path(path_type=Path)


@click.command("shrink")
@click.argument("task", type=click.Choice(list(STAGES)))
@click.argument("texts", nargs=-1, type=PATH)
@click.option(
    "-o", "--output", required=True, type=PATH, help="The directory of the search; the module is its `module`."
)
@click.option("--train", type=PATH, help="Labelled rows to learn from.")
@click.option("--dev", type=PATH, help="Labelled rows to score on.  [default: some are held out]")
@click.option("--dry-run", is_flag=True, help="Print the candidates and the time that they are expected to take; stop.")
@click.option("--resume", is_flag=True, help="Go on with the search in OUTPUT.")
@click.option("--overwrite", is_flag=True, help="Begin anew where another search lies.")
@reading_options("text", "pair", "label", "score", "tags")
@options_of(ShrinkConfig)
@json_flag
@module_options
def command(task: str, texts: tuple[Path, ...], output: Path, as_json: bool, **options: Any) -> None:
    """Find a small student of a model that keeps the bounds, from labelled rows and from TEXTS, plain ones.

    The model is a teacher that is fine-tuned for TASK, or a base that is fine-tuned first; for vectors a sentence
    encoder. Shapes that are predicted to keep the bounds of size and speed are trained by successive halving: each for
    a few steps, the best on for more. The best score is taken, or the smallest module that keeps the share of the
    teacher's score that was asked for. OUTPUT gets the module, the report and the plots.

    \b
    vectors   TEXTS; --dev: pairs with scores
    classify  --train, better with TEXTS: pre-training, soft labels, labels
    pair      the same for pairs of texts
    tag       --train, better with TEXTS: pre-training or attention relations, labels
    """
    require_extra("torch", extra="train")
    from wellread.data.examples import read_examples
    from wellread.shrinking.shrink import shrink

    loading = {name: options.pop(name) for name in LOADING}
    reading: dict[str, Any] = reading_of(options)
    files = {name: options[name] for name in ("train", "dev")}
    rows: dict[str, Any] = {name: read_examples(file, **reading) if file else None for name, file in files.items()}
    shrunk = shrink(
        load_module(**loading),
        task=task,
        output_dir=output,
        texts=files_on_disk(texts, output, None),
        config=gather(ShrinkConfig(), options),
        **{name: options[name] for name in ("dry_run", "resume", "overwrite")},
        **rows,
    )
    if as_json:
        found = {"output": str(shrunk.directory)} if shrunk.directory else {}
        click.echo(json.dumps({**found, "rows": [asdict(row) for row in shrunk.rows], "plan": asdict(shrunk.plan)}))
        return
    click.echo(shrunk.table())
    if shrunk.directory:
        click.echo(f"\nmodule: {shrunk.directory}\nreport: {output / 'report.md'}")
