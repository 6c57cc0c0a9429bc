"""The catalog's tables: how they are read, and how one row stands for many."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@cache
def table(name: str) -> dict[str, Any]:
    """Read a file of this folder; its rows are shared, so nobody changes them."""
    return tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))


def families() -> list[str]:
    """Name the families: one file each."""
    return sorted(path.stem for path in (HERE / "families").glob("*.toml"))


def expanded(row: Mapping[str, Any], **facts: object) -> Iterator[dict[str, Any]]:
    """Give a row for every combination of its lists, its texts filled with the choice and with `facts`.

    >>> [made["handle"] for made in expanded({"handle": "{name}/{version}", "version": [3, 4]}, name="bert")]
    ['bert/3', 'bert/4']
    """
    axes = {key: values for key, values in row.items() if isinstance(values, list)}
    for point in product(*axes.values()):
        chosen = dict(zip(axes, point, strict=True))
        yield {key: _filled(value, {**facts, **chosen}) for key, value in {**row, **chosen}.items()}


def _filled(value: object, facts: Mapping[str, object]) -> object:
    return value.format(**facts) if isinstance(value, str) else value
