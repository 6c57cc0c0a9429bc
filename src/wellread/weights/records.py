"""JSON into frozen dataclasses: every field is there and of the type that it declares, or the file is refused."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from wellread.errors import ConfigError, nearest

T = TypeVar("T")


def record(cls: type[T], values: Mapping[str, Any], *, source: object) -> T:
    """Make the dataclass `cls` of JSON `values`; objects become dataclasses and lists tuples where it says so.

    Types are held exactly (`true` is no number), except that a whole number may stand for a float.

    Raises: ConfigError that lists every key that is unknown, missing or of another type, or that says what `cls`
        finds wrong; `source` names the file.

    >>> from wellread.config import DenseConfig
    >>> record(DenseConfig, {"in_features": 12, "out_features": 7}, source="config.json").out_features
    7
    """
    faults: list[str] = []
    try:
        made = _dataclass(values, cls, "", faults)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    if faults:
        raise ConfigError(f"{source} must describe a {cls.__name__}; found that {'; '.join(faults)}; correct the file")
    return made


def _dataclass(values: Mapping[str, Any], cls: type[T], place: str, faults: list[str]) -> T:
    """Make `cls`, unless that would add to `faults`; `place` is what stands before its keys in a message."""
    hints = get_type_hints(cls)
    optional = {f.name for f in fields(cls) if f.default is not MISSING or f.default_factory is not MISSING}  # type: ignore[arg-type]
    before = len(faults)
    faults += [f"{place}{key} is unknown{nearest(key, hints)}" for key in values if key not in hints]
    faults += [f"{place}{key} is missing" for key in hints if key not in values and key not in optional]
    made = {key: _made(values[key], hints[key], f"{place}{key}", faults) for key in hints if key in values}
    return cls(**made) if len(faults) == before else None  # type: ignore[return-value]


def _made(value: Any, hint: Any, place: str, faults: list[str]) -> Any:
    """Turn one JSON value into what `hint` declares, or add to `faults` that it is none."""
    arguments = get_args(hint)
    of_union = next((one for one in arguments if is_dataclass(one)), None)
    if of_union is not None and get_origin(hint) is UnionType and isinstance(value, dict):
        hint = of_union  # `HeadConfig | None`
    if is_dataclass(hint) and isinstance(value, dict):
        return _dataclass(value, hint, f"{place}.", faults)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_made(item, arguments[0], f"{place}.{i}", faults) for i, item in enumerate(value))
    if get_origin(hint) is Mapping and isinstance(value, dict):
        return {key: _made(item, arguments[1], f"{place}.{key}", faults) for key, item in value.items()}
    if not _fits(value, hint):
        faults.append(f"{place} is {reprlib.repr(value)}, not {getattr(hint, '__name__', hint)}")
    return value


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    if hint is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)  # `str | None` has two
    return any(type(value) is kind for kind in kinds)
