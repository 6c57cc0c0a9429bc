"""Bodies of requests: dataclasses whose annotations say what a field may be, to the check and to /openapi.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

from wellread.serving.faults import Fault, Malformed

B = TypeVar("B")


class Schema:
    """What JSON Schema says of a field beside its type.

    Of a number, `minimum` and `maximum` are held here. What is Any, its route looks at itself, and has better messages.
    """

    def __init__(self, **keywords: Any) -> None:
        self.keywords = keywords


TEXTS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}
IDS: Mapping[str, Any] = {"type": "array", "items": {"type": "integer"}}
Texts = Annotated[Any, Schema(anyOf=[{"type": "string"}, TEXTS])]
TextsOrIds = Annotated[Any, Schema(anyOf=[{"type": "string"}, TEXTS, IDS, {"type": "array", "items": IDS}])]

# a type -> what a message calls it, and JSON Schema
WORDS = {
    str: ("a string", "string"),
    bool: ("true or false", "boolean"),
    int: ("a whole number", "integer"),
    float: ("a number", "number"),
    dict: ("an object", "object"),
    list: ("a list", "array"),
    NoneType: ("null", "null"),
}


def body_of(cls: type[B], raw: bytes) -> tuple[B, list[str]]:
    """Read a body, and name its fields that `cls` does not know, for clients send more than we do.

    Raises: Malformed for no JSON; Fault that lists the fields that are missing or of another type, not what they hold.
    """
    try:
        values = orjson.loads(raw)
    except ValueError as error:
        raise Malformed(f"JSON was expected in UTF-8; found a fault: {error}; correct the body") from None
    faults: list[str] = []
    ignored: list[str] = []
    body = _made(cls, values, "", faults, ignored)
    if body is None:
        raise Fault(f"{'; '.join(faults[:5])}; {len(faults)} at fault; correct the body")
    return body, sorted(ignored)


def schema_of(hint: Any) -> dict[str, Any]:
    """Return what an annotation, or a dataclass, says as JSON Schema.

    >>> schema_of(Literal["float", "base64"])
    {'enum': ['float', 'base64']}
    >>> schema_of(list[int])
    {'type': 'array', 'items': {'type': 'integer'}}
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if is_dataclass(hint):
        properties = {name: schema_of(one) for name, one, _ in _fields(hint)}  # type: ignore[arg-type]
        required = [name for name, _, needed in _fields(hint) if needed]  # type: ignore[arg-type]
        return {"type": "object", "properties": properties, **({"required": required} if required else {})}
    if origin is Annotated:
        return {**schema_of(arguments[0]), **arguments[1].keywords}
    if origin in (Union, UnionType):
        return {"anyOf": [schema_of(one) for one in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    items = {"items": schema_of(arguments[0])} if origin is list else {}
    return {"type": WORDS[origin or hint][1], **items}


@cache
def _fields(cls: type[Any]) -> tuple[tuple[str, Any, bool], ...]:
    """Return the fields of a dataclass: their names, what they may be, and whether they must be there."""
    hints = get_type_hints(cls, include_extras=True)
    rows = []
    for field in fields(cls):
        needed = field.default is MISSING and field.default_factory is MISSING
        rows.append((field.name, hints[field.name], needed))
    return tuple(rows)


def _made(cls: type[B], values: Any, place: str, faults: list[str], ignored: list[str]) -> B | None:
    """Make `cls`, unless that would add to `faults`; `place` is what stands before its fields in a message."""
    if not isinstance(values, dict):
        faults.append(f"{place.rstrip('.') or 'the body'} must be an object; found {_found(values)}")
        return None
    arguments: dict[str, Any] = {}
    for name, hint, needed in _fields(cls):  # type: ignore[arg-type]
        if name in values:
            value = values[name]
            if is_dataclass(hint):
                value = _made(hint, value, f"{place}{name}.", faults, ignored)  # type: ignore[arg-type]
            elif not _fits(value, hint):
                faults.append(f"{place}{name} must be {_words(hint)}; found {_found(value)}")
            arguments[name] = value
        elif needed:
            faults.append(f"{place}{name} is missing")
    ignored += [f"{place}{name}" for name in values.keys() - {name for name, _, _ in _fields(cls)}]  # type: ignore[arg-type]
    return None if faults else cls(**arguments)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says, exactly: true is no number, and no string stands for one."""
    if hint is Any:
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is Annotated:
        base, keywords = arguments[0], arguments[1].keywords
        if base is Any or not _fits(value, base):
            return base is Any
        return keywords.get("minimum", value) <= value <= keywords.get("maximum", value)
    if origin is Literal:
        return value in arguments
    if origin is list:
        return type(value) is list and all(_fits(one, arguments[0]) for one in value)
    return type(value) is (origin or hint)


def _words(hint: Any) -> str:
    """Say in a message what an annotation allows."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(_words, arguments))
    if origin is Annotated:
        least, most = (arguments[1].keywords.get(name) for name in ("minimum", "maximum"))
        return f"{_words(arguments[0])} of {f'at least {least}' if most is None else f'{least} to {most}'}"
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is list:
        return "a list" if arguments[0] is Any else f"a list, each {_words(arguments[0])}"
    return WORDS[origin or hint][0]


def _found(value: Any) -> str:
    """Say what a value is, but not what a text holds."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value)
    return WORDS[type(value)][0]
