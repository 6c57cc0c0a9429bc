"""What `DataFrame.to_json` of pandas writes by default and by its other orients: one object, read whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wellread.errors import DataError
from wellread.schema import parse_object

# how such a file begins, by its orient; an object a line begins otherwise
_NAME = rb'"(?:[^"\\]|\\.)*"'
BEGINNINGS = {
    "columns": re.compile(rb'\{\s*%s\s*:\s*\{\s*"-?\d+"\s*:' % _NAME),
    "index": re.compile(rb'\{\s*"-?\d+"\s*:\s*\{'),
    "split": re.compile(rb'\{\s*"columns"\s*:\s*\['),
    "table": re.compile(rb'\{\s*"schema"\s*:\s*\{'),
}


def orient_of(beginning: bytes) -> str | None:
    """Tell by the first bytes how pandas wrote a file; None for what it did not write.

    >>> orient_of(b'{"text":{"0":"a"}}'), orient_of(b'{"text": "a"}')
    ('columns', None)
    """
    return next((orient for orient, pattern in BEGINNINGS.items() if pattern.match(beginning)), None)


def pandas_rows(content: bytes, source: str) -> Iterator[dict[str, object]]:
    """Yield the rows of such a file. Raises: DataError where it is damaged, or its columns have different rows."""
    orient = orient_of(content)
    try:
        data = parse_object(content)
        yield from READERS[str(orient)](data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"a DataFrame, as to_json(orient={orient!r}) writes it, was asked of {source}; it is none: {error}; write "
            'it with orient="records"'
        ) from None


def _columns(data: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    index = list(next(iter(data.values())))
    if any(list(values) != index for values in data.values()):
        raise ValueError("its columns have different rows")
    return ({name: values[row] for name, values in data.items()} for row in index)


def _split(data: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    return (dict(zip(map(str, data["columns"]), row, strict=True)) for row in data["data"])


READERS: dict[str, Callable[[Mapping[str, Any]], Iterator[dict[str, object]]]] = {
    "columns": _columns,
    "index": lambda data: (dict(row) for row in data.values()),
    "split": _split,
    "table": lambda data: (dict(row) for row in data["data"]),
}
