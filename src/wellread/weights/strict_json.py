"""JSON read strictly: in UTF-8, every key once, no NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse one JSON object.

    Raises:
        ValueError: it is not UTF-8, not JSON or not an object, is nested too deep or has a key twice.

    >>> parse_object(b'{"vocab_size": 99}')
    {'vocab_size': 99}
    >>> parse_object(b'{"vocab_size": 99, "vocab_size": 98}')
    Traceback (most recent call last):
    ValueError: the key 'vocab_size' stands twice
    """
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}, not an object")
    return value


def parse_json(raw: bytes) -> Any:
    """Parse one JSON value of any kind.

    Raises:
        ValueError: it is not UTF-8, not JSON, is nested too deep or has a key twice.

    >>> parse_json(b"[7, null]")
    [7, None]
    """
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_each_key_once, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice")
        key.encode("utf-8")  # raises for half of a surrogate pair, which no file could hold
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not JSON")
