"""Write docs/settings.md: every setting of training, with its default and what the code says of it.

python tools/settings_page.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from wellread.cli.options import words_of
from wellread.learn.settings import RECIPES, ElectraConfig, FinetuneConfig, LoopConfig, PretrainConfig, Recipe
from wellread.shrinking.settings import ShrinkConfig

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
HEAD = f"""# Settings of training

Written from the code by `python tools/settings_page.py`; a test holds the two together.

A setting is a flag of its verb (`--learning-rate 5e-5`, `--split` or `--no-split`), a field of its dataclass in Python
(`wellread.LoopConfig(learning_rate=5e-5)`), and, for `distill`, a key of a recipe's TOML file in the table that is
named here. Names are Hugging Face's where it has one. The recipes that ship with wellread are
{", ".join(RECIPES)}.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, *_table("The loop, of every verb", LoopConfig())]
    parts += _table("`wellread pretrain`", PretrainConfig())
    parts += _table("`wellread pretrain --objective electra`", ElectraConfig())
    parts += _table("`wellread finetune`", FinetuneConfig())
    for name, table in _tables(Recipe(), ""):
        parts += _table(f"`wellread distill`, `[{name}]`", table)
    parts += _table("`wellread shrink`", ShrinkConfig())
    return "\n".join(parts)


def _tables(config: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the tables of a recipe but the loop's, by their names in TOML."""
    if any(not is_dataclass(getattr(config, item.name)) for item in fields(config)):
        yield name, config
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value) and not isinstance(value, LoopConfig):
            yield from _tables(value, f"{name}.{item.name}".strip("."))


def _table(title: str, config: Any) -> Iterator[str]:
    """Yield the lines of one dataclass; where its loop begins otherwise, they say how."""
    said = words_of(type(config))
    yield f"## {title}\n"
    yield f"{inspect.getdoc(type(config)).splitlines()[0]}\n"  # type: ignore[union-attr]
    loop = getattr(config, "loop", None)
    if loop is not None:
        own = [f"`{n} = {_toml(v)}`" for n, v in _values(loop).items() if v != _values(LoopConfig())[n]]
        yield f"Its loop begins with {', '.join(own)}.\n" if own else "Its loop begins as above.\n"
    yield "| setting | default | |\n|---|---|---|"
    for name, value in _values(config).items():
        yield f"| `{name}` | `{_toml(value)}` | {said[name]} |"
    yield ""


def _values(config: Any) -> dict[str, Any]:
    values = {item.name: getattr(config, item.name) for item in fields(config)}
    return {name: value for name, value in values.items() if not is_dataclass(value)}


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
