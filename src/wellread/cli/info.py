"""wellread info: what a module is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from wellread.card import facts
from wellread.cli.options import json_flag, load_named, module_options


@click.command("info")
@click.argument("handle", required=False)
@json_flag
@module_options
def command(handle: str | None, as_json: bool, **loading: Any) -> None:
    """Describe a module: shape, size, tokenizer, what pooled_output is, what was ignored or inferred and why."""
    module = load_named(handle, **loading)
    described = module.info()
    if as_json:
        click.echo(json.dumps(described, indent=2, ensure_ascii=False))
        return
    for key, value in facts(module.checkpoint, module.tokenizer).items():
        click.echo(f"{key.replace('`', ''):<24} {str(value).replace('`', '')}")
    ignored = described.pop("ignored")
    click.echo()
    for key, value in _settings(described):
        click.echo(f"{key:<40} {value}")
    if ignored:
        click.echo()
    for reason in dict.fromkeys(ignored.values()):
        names = ", ".join(name for name, why in ignored.items() if why == reason)
        click.echo(f"ignored: {names}: {reason}")


def _settings(described: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings as lines `a.b value`; --json has those too that are not set."""
    for key, value in described.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and value:
            yield f"{prefix}{key}", ", ".join(map(_item, value))
        elif value is not None and value != ():
            yield f"{prefix}{key}", value


def _item(value: Any) -> str:
    """Show an item of a list: a step with its settings, a place of a template where a text stands."""
    if isinstance(value, dict):
        return " ".join(f"{key}={setting}" for key, setting in value.items())
    return "(text)" if value is None else str(value)
