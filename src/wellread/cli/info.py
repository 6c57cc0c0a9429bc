"""wellread info: what a module is."""

from __future__ import annotations

import json
from typing import Any

import click

from wellread.cli.options import json_flag, load_module, module_options


@click.command("info")
@click.argument("handle", required=False)
@json_flag
@module_options
def command(handle: str | None, as_json: bool, **loading: Any) -> None:
    """Describe a module: shape, size, tokenizer, what pooled_output is, what was ignored or inferred and why."""
    facts = load_module(**{**loading, "model": handle or loading["model"]}).info()
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for key, value in _flat(facts):
        click.echo(f"{key:<36} {value}")


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Turn nested facts into lines `a.b value`."""
    lines: list[tuple[str, Any]] = []
    for key, value in facts.items():
        lines += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [(prefix + key, value)]
    return lines
