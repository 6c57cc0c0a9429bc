"""python -m benchmarks: us and our peers on the same work."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks import report
from benchmarks.harness import read_texts, readable_by_peers
from wellread.errors import WellreadError

FILES = {"ray": "ray_data"}  # where a benchmark has another name than its file, whose name a package has


@click.command("benchmarks")
@click.argument(
    "what",
    type=click.Choice(
        [
            "encode",
            "figures",
            "startup",
            "growth",
            "tokenise",
            "tfhub",
            "hub",
            "learn",
            "corpus",
            "search",
            "ray",
            "serve",
        ]
    ),
    default="encode",
)
@click.option("-m", "--model", default="default", show_default=True, help="default, a path, or a handle.")
@click.option("--texts", type=click.Path(path_type=Path), help="A file of texts; 4,000 English texts if not given.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Timed rounds of each system.")
@click.option("--only", multiple=True, metavar="NAME", help="encode: this system, and no other than those named so.")
@click.option(
    "--work", type=click.Path(path_type=Path), help="encode, figures: keep what is prepared here, and find it."
)
@click.option("--peer-model", help="startup: what sentence-transformers loads; the same model if not given.")
@click.option("--size", default=400, show_default=True, type=click.IntRange(1), help="hub: MB of the module's weights.")
@click.option("--vectors", default=1_000_000, show_default=True, type=click.IntRange(100), help="search: how many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    what: str,
    model: str,
    texts: Path | None,
    rounds: int,
    only: tuple[str, ...],
    work: Path | None,
    peer_model: str | None,
    size: int,
    vectors: int,
    as_json: bool,
) -> None:
    """Measure WHAT, one system at a time, in turn, and print medians and ratios.

    encode: texts a second, agreement, the time of one text, loading time and memory of wellread and of the peers that
    are installed. figures: the same on some of the texts, beside what wellread aims at on such a CPU, with
    `pooled_output` alone of three layers of 768, and growth. startup: from the start of a process to its first vector.
    growth: the time a text for 10,000 and 1,000,000 texts; minutes with the default module, hours with a large one.
    tokenise: text to ids on one core against the tokenizers library and tensorflow-text.
    tfhub: our tokenizer, SavedModel and checkpoint reader against TensorFlow's. hub: a pull against a plain download
    with hashing, from a server on this machine, and the time to open what was pulled. learn: an epoch of masked words,
    of a classifier and of a distillation against transformers' Trainer and a plain script; takes the tokenizer alone of
    --model. corpus: `embed` of a Parquet file beside `encode`, its memory, and what resuming costs; with --rounds 1
    1,000,000 rows too.
    search: the nearest of random vectors in files, all compared, against faiss and semantic_search.
    ray: rows a second and memory of one and of more actors of Ray Data on this machine. serve: 64 clients of the HTTP
    server beside `encode` in the process, sentence-transformers behind FastAPI and, where it is installed, infinity.
    """
    name = FILES.get(what, what)
    run = getattr(importlib.import_module(f"benchmarks.{name}"), f"run_{name}")
    try:
        if what == "startup":
            result = run(model, peer=peer_model, rounds=rounds)
        elif what == "hub":
            result = run(size=size * 1_000_000, rounds=rounds)
        elif what == "search":
            result = run(vectors=vectors, rounds=rounds)
        elif what == "ray":
            result = run(model, read_texts(texts), rounds=rounds)
        else:
            choice: dict[str, Any] = {"systems": only} if what == "encode" and only else {}
            choice |= {"work": work} if what in ("encode", "figures") and work else {}
            with readable_by_peers(model) as directory:
                if what in ("serve", "corpus"):  # ours as it ships: int8 is computed in int8
                    result = run(model, read_texts(texts), peers=directory, rounds=rounds)
                else:
                    result = run(directory, read_texts(texts), rounds=rounds, **choice)
    except WellreadError as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(3)
    click.echo(report.as_json(result) if as_json else report.render(result))


if __name__ == "__main__":
    command(prog_name="python -m benchmarks")
