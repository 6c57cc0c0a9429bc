"""wellread bench: a module on this machine, on each backend and in each precision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellread.cli.options import MODEL, json_flag
from wellread.cli.texts import reading_options, stream_arguments

if TYPE_CHECKING:
    from wellread.doctor.speed import SpeedResult

AGAINST_PEERS = (
    "encode",
    "startup",
    "growth",
    "tokenise",
    "tfhub",
    "hub",
    "learn",
)  # what `python -m benchmarks` measures


@click.command("bench")
@click.argument("texts", nargs=-1)
@click.option("-m", "--model", default="default", show_default=True, help=MODEL)
@reading_options("text")
@json_flag
def command(texts: tuple[str, ...], model: str, as_json: bool, **options: Any) -> None:
    """Measure a module on this machine: speed, memory and exactness on every backend that is installed.

    TEXTS are texts or files of texts; 256 packaged English ones if not given. Each backend and precision runs in a
    process of its own; the cosines are to the vectors of the float64 reference.
    """
    if len(texts) == 1 and texts[0] in AGAINST_PEERS and not Path(texts[0]).exists():
        raise click.UsageError(
            f"wellread bench measures your module on this machine; found {texts[0]!r}, which compares wellread with "
            f"its peers; run python -m benchmarks {texts[0]} in a clone of the repository"
        )
    from wellread.doctor import speed

    result = speed.measure_speed(model, list(stream_arguments(texts, options)) if texts else None)
    for line in [speed.as_json(result)] if as_json else lines(result):
        click.echo(line)


def lines(result: SpeedResult) -> Iterator[str]:
    """Write a result as a table, and a line about the machine."""
    yield f"{result.model}: {result.texts:,} texts"
    yield ""
    yield f"{'backend':<12}{'precision':<10}{'texts/s':>10}{'one text':>12}{'peak':>10}{'mean cosine':>13}{'least':>11}"
    for row in result.rows:
        start = f"{row.backend:<12}{row.precision:<10}"
        if row.rate is None or row.latency is None or row.peak_bytes is None:
            yield f"{start}{row.note}"
        else:
            cosines = f"{row.cosine_mean:>13.7f}{row.cosine_min:>11.7f}"
            figures = f"{row.rate:>10,.1f}{1000 * row.latency:>9.2f} ms{row.peak_bytes / 2**20:>6,.0f} MiB"
            yield f"{start}{figures}{cosines}"
    yield ""
    cpu = result.processor
    backend, precision = result.default["backend"], result.default["precision"]
    default = f"encode takes {backend} in {precision} where nothing is said, a call of the module f32"
    yield f"{cpu.name}, {cpu.cores} cores, {', '.join(cpu.sets) or 'instruction sets not told'}; {default}"
    if result.missing:
        yield f"not installed: {', '.join(result.missing)}; see wellread doctor"
