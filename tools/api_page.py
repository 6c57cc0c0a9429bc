"""Write docs/api.md: every public name with its signature and its docstring, from the code.

python tools/api_page.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import wellread

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
HEAD = """# Python API

Written from the code by `python tools/api_page.py`; a test holds the two together. Everything here is imported from
`wellread`. Settings of training stand on [a page of their own](settings.md), the Keras layers in
[the guide](guide/ship.md#keras-3).
"""


def page() -> str:
    """Return the whole page."""
    names = [name for name in wellread.__all__ if not name.startswith("_")]
    functions = [name for name in names if not inspect.isclass(getattr(wellread, name))]
    classes = [name for name in names if inspect.isclass(getattr(wellread, name))]
    parts = [HEAD, "## Functions\n", *(line for name in functions for line in _function(name, getattr(wellread, name)))]
    parts += ["## Classes\n", *(line for name in classes for line in _class(name, getattr(wellread, name)))]
    return "\n".join(parts)


def _function(name: str, function: Any, level: int = 3) -> Iterator[str]:
    yield f"{'#' * level} {name}\n"
    yield f"```python\n{name.rpartition('.')[2]}{_signature(function)}\n```\n"
    yield from _docstring(function)


def _class(name: str, cls: type[Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield from _docstring(cls)
    if is_dataclass(cls) and not name.endswith("Config") and cls.__name__ != "Module":
        yield ", ".join(f"`{item.name}`" for item in fields(cls)) + "\n"
    for method, value in vars(cls).items():
        if method.startswith("_") and method != "__call__":
            continue
        if isinstance(value, property):
            yield f"#### {name}.{method}\n"
            yield from _docstring(value)
        elif inspect.isfunction(inspect.unwrap(getattr(value, "__func__", value))):
            yield from _function(f"{name}.{method}", getattr(cls, method), level=4)


def _signature(function: Any) -> str:
    """Write the signature, a parameter a line where it is long."""
    signature = inspect.signature(function)
    parts = [_parameter(parameter) for parameter in signature.parameters.values()]
    keyword = [parameter.kind for parameter in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in keyword and inspect.Parameter.VAR_POSITIONAL not in keyword:
        parts.insert(keyword.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returns = f" -> {_annotation(signature.return_annotation)}"
    line = f"({', '.join(parts)}){returns}"
    return line if len(line) <= 90 else "(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = stars + parameter.name
    if parameter.annotation is not parameter.empty:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return text
    default = f"{type(parameter.default).__name__}()" if is_dataclass(parameter.default) else repr(parameter.default)
    return f"{text} = {default}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _docstring(value: Any) -> Iterator[str]:
    """Yield a docstring as Markdown, its examples as code."""
    text = inspect.getdoc(value) or ""
    if text:
        yield re.sub(r"^(>>> .*(?:\n.+)*)", r"```pycon\n\1\n```", text, flags=re.MULTILINE) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
