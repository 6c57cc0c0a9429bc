"""Markdown for model cards: the words of others set so that none of their signs is taken for Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any


def python(lines: str) -> str:
    """Set Python code in a block."""
    return f"```python\n{lines}\n```"


def section(title: str, lines: Sequence[str]) -> list[str]:
    """Return a heading and a list; nothing where there are no lines."""
    return [f"## {title}", "\n".join(f"- {one}" for one in lines)] if lines else []


def table(facts: Mapping[str, object]) -> str:
    """Set facts as a table of two columns."""
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())])


def pairs(facts: Mapping[str, object]) -> list[str]:
    """Set each fact as a line of code and code."""
    return [f"{code(key)}: {code(str(value))}" for key, value in facts.items()]


def literal(text: str) -> str:
    """Write a string as Python reads it."""
    return json.dumps(text, ensure_ascii=False)


def line(text: str) -> str:
    """Return words of others on one line, without control characters."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def code(text: str) -> str:
    """Set words of others so that none of their signs is taken for Markdown: one line, in back quotes.

    >>> code("a|b\\n`c`")
    "`a/b 'c'`"
    """
    plain = line(text).replace("`", "'").replace("|", "/")
    return f"`{plain or ' '}`"


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Name nested facts `a.b`."""
    made: dict[str, object] = {}
    for key, value in facts.items():
        made |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return made
