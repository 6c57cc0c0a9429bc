"""JSON to frozen data, strictly: every key once and of its type, each used, ignored for a stated reason, or refused."""

from __future__ import annotations

import json
import operator
import reprlib
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, field, fields, is_dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, ConfigError, InputError, nearest


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
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(f"the key {key!r} stands twice")
        key.encode("utf-8")  # raises for half of a surrogate pair, which no file could hold
        data[key] = value
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not JSON")


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
        data = _dataclass(values, cls, "", faults)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    if faults:
        raise ConfigError(f"{source} must describe a {cls.__name__}; found that {'; '.join(faults)}; correct the file")
    return data


def _dataclass(values: Mapping[str, Any], cls: type[T], place: str, faults: list[str]) -> T:
    """Make `cls`, unless that would add to `faults`; `place` is what stands before its keys in a message."""
    hints = get_type_hints(cls)
    optional = {f.name for f in fields(cls) if f.default is not MISSING or f.default_factory is not MISSING}  # type: ignore[arg-type]
    before = len(faults)
    faults += [f"{place}{key} is unknown{nearest(key, hints)}" for key in values if key not in hints]
    faults += [f"{place}{key} is missing" for key in hints if key not in values and key not in optional]
    arguments = {key: _value(values[key], hints[key], f"{place}{key}", faults) for key in hints if key in values}
    return cls(**arguments) if len(faults) == before else None  # type: ignore[return-value]


def _value(value: Any, hint: Any, place: str, faults: list[str]) -> Any:
    """Turn one JSON value into what `hint` declares, or add to `faults` that it is none."""
    arguments = get_args(hint)
    of_union = next((one for one in arguments if is_dataclass(one)), None)
    if of_union is not None and get_origin(hint) is UnionType and isinstance(value, dict):
        hint = of_union  # `HeadConfig | None`
    if is_dataclass(hint) and isinstance(value, dict):
        return _dataclass(value, hint, f"{place}.", faults)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(item, arguments[0], f"{place}.{i}", faults) for i, item in enumerate(value))
    if get_origin(hint) is Mapping and isinstance(value, dict):
        return {key: _value(item, arguments[1], f"{place}.{key}", faults) for key, item in value.items()}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTable:
    """What becomes of every key that a kind of file may have."""

    used: Mapping[str, str]  # their key -> our field
    required: Collection[str] = ()  # their keys that must be there
    nullable: Collection[str] = ()  # their keys whose null says no more than that they are absent
    fixed: Mapping[str, Collection[Any]] = field(default_factory=dict)  # their key -> the values that wellread computes
    equal: Mapping[str, str] = field(default_factory=dict)  # their key -> the used key whose value it must repeat
    ignored: Mapping[str, str] = field(default_factory=dict)  # their key -> why it has no effect here
    # Of keys that stand in none of these: a pattern -> why such a key has no effect, or None where it may have one. The
    # first that matches counts. Without patterns the table is closed: every other key is refused.
    patterns: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A file's keys after the table: what is used, under our names, and why the others are not."""

    used: Mapping[str, Any]
    ignored: Mapping[str, str]


ASKED = "passed over as the caller asked"
UNKNOWN = "unknown; nothing that wellread computes is known to depend on it"
_MISSPELT = 0.85  # how like a key of the table another is that must be meant for it


def whole(value: object) -> int | None:
    """Return a whole number, one of NumPy's too, as an int; None for anything else.

    >>> whole(8), whole(8.0), whole("8"), whole(True)
    (8, None, None, None)
    """
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def names_to_ignore(given: Collection[str]) -> list[str]:
    """Return the names and patterns of `ignore=`; one str is one of them.

    Raises: InputError for anything else.

    >>> names_to_ignore("crf.*")
    ['crf.*']
    """
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise InputError(f"ignore= takes names of keys and tensors; found {wrong[0]!r}; pass a list of str")
    return names


def is_named(name: str, ignore: Collection[str]) -> bool:
    """Say whether the caller named a key or tensor to be passed over, by itself or by a pattern.

    >>> is_named("crf.transitions", ["crf.*"])
    True
    """
    return name in ignore or any(fnmatchcase(name, pattern) for pattern in ignore)


def account_for(data: Mapping[str, Any], table: KeyTable, *, source: object, ignore: Collection[str] = ()) -> Keys:
    """Sort the keys of `data`; those named in `ignore`, unknown or of unsupported value, are passed over.

    A key that stands nowhere in a table with patterns is refused where it is nearly one that the table uses, or where
    its pattern says that it may have an effect and its value is not null, false, 0 or empty. Any other is ignored, and
    the reason says that it is unknown.

    Raises: ConfigError that lists every refused key, missing key and unsupported value; `source` names the file.

    >>> table = KeyTable(used={"dim": "hidden_size"}, ignored={"use_cache": "for decoders"}, patterns={"*norm*": None})
    >>> account_for({"dim": 12, "use_cache": True}, table, source="config.json")
    Keys(used={'hidden_size': 12}, ignored={'use_cache': 'for decoders'})
    >>> account_for({"dim": 12, "pre_norm": True}, table, source="config.json", ignore=["pre_*"]).ignored
    {'pre_norm': 'passed over as the caller asked'}
    """
    keys = {*table.used, *table.fixed, *table.equal, *table.ignored}
    fates = {key: _fate(key, data[key], table, keys) for key in data if key not in keys}
    unknown = {key: words for key, (refused, words) in fates.items() if refused}
    unsupported = {
        key: f"{reprlib.repr(data[key])}, and wellread computes only {', '.join(map(repr, values))}"
        for key, values in table.fixed.items()
        if key in data and data[key] not in values
    } | {
        key: f"{reprlib.repr(data[key])}, and wellread computes only {other}, {reprlib.repr(data.get(other))}"
        for key, other in table.equal.items()
        if key in data and data[key] != data.get(other)
    }
    faults = [f"{key} is {words}" for key, words in unknown.items() if not is_named(key, ignore)]
    faults += [f"{key} is missing" for key in table.required if key not in data]
    faults += [f"{key} is {words}" for key, words in unsupported.items() if not is_named(key, ignore)]
    if faults:
        raise ConfigError(
            f"every key of {source} must be accounted for; found that {'; '.join(faults)}; correct the file, or name "
            "keys that may be passed over with ignore="
        )
    absent = {key for key in table.nullable if key in data and data[key] is None}
    reasons = {key: table.ignored[key] for key in data if key in table.ignored}
    reasons |= {key: words for key, (refused, words) in fates.items() if not refused}
    reasons |= dict.fromkeys((*unknown, *unsupported), ASKED) | dict.fromkeys(absent, "null, as if it were absent")
    used = {ours: data[theirs] for theirs, ours in table.used.items() if theirs in data and theirs not in absent}
    return Keys(used=used, ignored=reasons)


def _fate(key: str, value: Any, table: KeyTable, keys: Collection[str]) -> tuple[bool, str]:
    """Say of a key that the table does not name whether it is refused, and why."""
    if not table.patterns:
        return True, f"unknown{nearest(key, keys)}"
    if value is not None:
        from difflib import get_close_matches

        meant = get_close_matches(key, [*table.used, *table.fixed], n=1, cutoff=_MISSPELT)
        if meant:
            return True, f"unknown (did you mean {meant[0]}?)"
    pattern = next((pattern for pattern in table.patterns if fnmatchcase(key.lower(), pattern)), None)
    if pattern is None:
        return False, UNKNOWN
    why = table.patterns[pattern]
    if why is not None:
        return False, f"unknown; {why}, by its name"
    if not value:
        return False, "unknown, and switched off"
    return True, f"{reprlib.repr(value)}, which is unknown, and by its name may touch what wellread computes"


def as_dict(value: Any) -> Any:
    """Turn a dataclass into what `record` takes, leaving out fields of `config.ADDED_LATER` that are at their default.

    >>> from wellread.config import TokenizerConfig
    >>> "template" in as_dict(TokenizerConfig(dialect="hf"))
    False
    """
    if is_dataclass(value):
        omitted = {
            f.name for f in fields(value) if f.metadata.get("omit_default") and getattr(value, f.name) == f.default
        }
        return {f.name: as_dict(getattr(value, f.name)) for f in fields(value) if f.name not in omitted}
    if isinstance(value, list | tuple):
        return type(value)(map(as_dict, value))
    return {key: as_dict(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object strictly. Raises: CheckpointError where the file is missing or no such object."""
    try:
        return parse_object(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} was to be read; found no such file ({error.strerror}); check the path") from None
    except ValueError as error:
        raise CheckpointError(
            f"{path} was to be read as a JSON object; found that {error}; fetch the file again"
        ) from None


def write_json(path: Path, data: Any) -> None:
    """Write JSON for people and programs: indented, UTF-8, a newline at the end.

    Raises: CheckpointError for what JSON cannot hold, NaN included: `read_json` would refuse it.
    """
    try:
        path.write_bytes((json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} was to be written; found what JSON cannot hold: {error}; write texts and finite numbers"
        ) from None
