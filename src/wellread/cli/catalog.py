"""wellread catalog: the published modules that wellread knows, and where each of them is."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from wellread.catalog.modules import (
    HUBS,
    ModuleEntry,
    entries,
    entry_named,
    families,
    handles,
    language_names,
    language_tag,
    names,
)
from wellread.catalog.packaged import packaged_modules
from wellread.cli.options import json_flag
from wellread.errors import nearest

UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
MANY = 3  # languages that a row names; more are counted


def _count(_: click.Context, __: click.Parameter, value: str) -> int:
    """Read a number such as 30M, 4.4M, 110k or 1_000_000."""
    match = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?)([KMB]?)", value.upper(), re.ASCII)
    if not match:
        raise click.BadParameter(f"{value!r} is no number such as 30M, 4.4M, 110k or 1_000_000")
    return round(float(match[1].replace("_", "")) * UNITS[match[2]])


@click.command("catalog")
@click.argument("word", required=False)
@click.option("--language", help="Only modules of this language, such as Korean, ko or zh.")
@click.option("--family", type=click.Choice(families()), help="Only modules of this family.")
@click.option("--hub", "--world", "hub", type=click.Choice(HUBS), help="Only modules that this hub still has.")
@click.option("--min-parameters", callback=_count, default="0", metavar="NUMBER", help="Such as 10M.")
@click.option("--max-parameters", callback=_count, default="1000B", metavar="NUMBER", help="Such as 30M.")
@json_flag
def command(word: str | None, as_json: bool, **filters: Any) -> None:
    """List the modules that wellread knows, or those with WORD in a name or handle.

    A WORD that is one module's name or handle shows all about it: its handles at every hub, its scores, its traps.
    """
    if word is not None and word in packaged_modules():
        _packaged(word, as_json=as_json)
        return
    if word is not None and (word in names() or word in handles()):
        modules = [entry_named(word)]
        lines = list(_whole(modules[0]))
    else:
        modules = [entry for entry in entries() if _has(entry, word or "") and _passes(entry, **filters)]
        lines = []
    if word is not None and not modules and not any(_has(entry, word) for entry in entries()):
        entry_named(word)  # which says what is near
    if as_json:
        lines = [json.dumps({**asdict(entry), "pooler": entry.pooler}, ensure_ascii=False) for entry in modules]
    if lines or as_json:
        click.echo("".join(f"{line}\n" for line in lines), nl=False)
    else:
        _show(modules)
    if not modules:
        for hint in _hints(**filters):
            click.echo(hint, err=True)


def _has(entry: ModuleEntry, word: str) -> bool:
    """Say whether a word stands in the name or in a handle."""
    texts = [entry.name, *(handle for one in entry.publications for handle in one.handles)]
    return any(word.lower() in text.lower() for text in texts)


def _passes(
    entry: ModuleEntry,
    *,
    language: str | None,
    family: str | None,
    hub: str | None,
    min_parameters: int,
    max_parameters: int,
) -> bool:
    return (
        (language is None or entry.supports_language(language_tag(language)))
        and family in (None, entry.family)
        and (hub is None or any(entry.living(hub)))
        and min_parameters <= entry.parameters <= max_parameters
    )


def _hints(*, language: str | None, max_parameters: int, **_: Any) -> Iterator[str]:
    """Say which filter no module passes, and what was perhaps meant."""
    tag = language_tag(language) if language is not None else ""
    if language is not None and not any(entry.supports_language(tag) for entry in entries()):
        languages = [*language_names().values(), *language_names()]
        near = nearest(language.title() if len(language) > 3 else language, languages)
        yield f"no module is of the language {language}: name one in English, or by its tag, such as Korean or ko{near}"
    smallest = min(entry.parameters for entry in entries())
    if max_parameters < smallest:
        yield f"the smallest module has {smallest:,} parameters, over {max_parameters:,}: write 30M for 30 millions"


def _show(modules: list[ModuleEntry]) -> None:
    """Print a table; where nobody looks, as wide as it needs."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("name", "family", "layers x width", "parameters", "languages", "vocabulary", "where"):
        table.add_column(head, justify="right" if head == "parameters" else "left", overflow="fold")
    for entry in modules:
        table.add_row(
            entry.name,
            entry.family,
            f"{entry.num_hidden_layers} x {entry.hidden_size}",
            f"{entry.parameters:,}",
            " ".join(entry.languages) if len(entry.languages) <= MANY else f"{len(entry.languages)} languages",
            f"{entry.vocabulary.pieces:,} {entry.vocabulary.kind}",
            " ".join(dict.fromkeys(one.hub for one in entry.living())),
        )
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    Console(width=width).print(table)
    shipped = ", ".join(packaged_modules())
    click.echo(f"{len(modules)} of {len(entries())} modules; beside these, wellread ships {shipped}", err=True)


def _packaged(name: str, *, as_json: bool) -> None:
    """Say what a module is that ships with wellread."""
    import wellread
    from wellread.card import facts

    module = wellread.load(name)
    if as_json:
        click.echo(json.dumps({"name": name, **module.info()}, ensure_ascii=False))
        return
    click.echo(f"{name}, which ships with wellread")
    for key, value in facts(module.checkpoint, module.tokenizer).items():
        click.echo(f"  {key.replace('`', ''):<15} {str(value).replace('`', '')}")


def _whole(entry: ModuleEntry) -> Iterator[str]:
    """Say all about a module, in lines."""
    head = f"{entry.mlm_parameters:,} more" if entry.mlm_parameters else "none published"
    facts = {
        "family": f"{entry.family} ({entry.architecture})",
        "languages": " ".join(entry.languages),
        "licence": entry.licence or "not known",
        "layers x width": f"{entry.num_hidden_layers} x {entry.hidden_size}, {entry.num_attention_heads} heads",
        "vocabulary": f"{entry.vocabulary.pieces:,} pieces, {entry.vocabulary.kind} ({entry.vocabulary.name})",
        "pooled_output": entry.pooler,
        "parameters": f"{entry.parameters:,}; masked-language-model head: {head}",
        "note": entry.note or "none",
    }
    yield entry.name
    yield from (f"  {key:<15} {value}" for key, value in facts.items())
    yield "handles"
    for one in entry.publications:
        alias = f" (or {one.alias})" if one.alias else ""
        yield f"  {one.handle}{alias}"
        mlm = {True: "with .mlm", False: "no .mlm", None: ".mlm not known"}[one.mlm]
        state = "" if one.alive else "; dead"
        yield (
            f"    {one.hub}, {one.format}; text: {one.dialect}; {one.hidden_act}; {mlm}; takes: {one.interface}{state}"
        )
        if one.preprocessor:
            yield f"    preprocessor {one.preprocessor}"
        if one.note:
            yield f"    {one.note}"
    yield "scores" if entry.scores else "scores: none that wellread knows"
    for score in entry.scores:
        yield f"  {score.task}, {score.metric}: {score.value}  ({score.source})"
