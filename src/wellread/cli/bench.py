"""wellread bench: us and our peers on the same work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wellread.cli.options import json_flag


@click.command("bench")
@click.argument("what", type=click.Choice(["encode", "startup", "growth", "tfhub", "hub", "learn"]), default="encode")
@click.option("-m", "--model", default="default", show_default=True, help="default, a path, or a handle.")
@click.option(
    "--texts", type=click.Path(path_type=Path), help="A .txt or .tsv file; 4,000 packaged English texts if not given."
)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Timed rounds of each contender.")
@click.option("--only", multiple=True, metavar="NAME", help="encode: this contender, and no other than those named so.")
@click.option("--peer-model", help="startup: what sentence-transformers loads; the same model if not given.")
@click.option("--size", default=400, show_default=True, type=click.IntRange(1), help="hub: MB of the module's weights.")
@json_flag
def command(
    what: str,
    model: str,
    texts: Path | None,
    rounds: int,
    only: tuple[str, ...],
    peer_model: str | None,
    size: int,
    as_json: bool,
) -> None:
    """Measure WHAT, one contender at a time, in turn, and print medians and ratios.

    encode: texts a second, agreement, loading time and memory of wellread and of the peers that are installed. startup:
    from the start of a process to its first vector. growth: the time a text for 1,000, 10,000 and 100,000 texts.
    tfhub: our tokenizer, SavedModel and checkpoint reader against TensorFlow's. hub: a pull against a plain download
    with hashing, from a server on this machine, and the time to open what was pulled. learn: an epoch of masked words,
    of a classifier and of a distillation against transformers' Trainer and a plain script; takes the tokenizer alone of
    --model.
    """
    from wellread import bench
    from wellread.hub.resolve import resolve

    result: Any
    if what == "startup":
        result = bench.run_startup(model, peer=peer_model, rounds=rounds)
    elif what == "growth":
        result = bench.run_growth(resolve(model), bench.read_texts(texts), rounds=rounds)
    elif what == "learn":
        result = bench.run_learn(resolve(model), bench.read_texts(texts), rounds=rounds)
        click.echo(bench.learn_as_json(result) if as_json else bench.render_learn(result))
        return
    elif what == "hub":
        result = bench.run_hub(size=size * 1_000_000, rounds=rounds)
    elif what == "tfhub":
        result = bench.run_tfhub(resolve(model), bench.read_texts(texts), rounds=rounds)
    else:
        contenders = only or bench.DEFAULT
        result = bench.run_encode(resolve(model), bench.read_texts(texts), contenders=contenders, rounds=rounds)
    click.echo(bench.as_json(result) if as_json else bench.render(result))
