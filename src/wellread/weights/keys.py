"""How the keys of a configuration file are accounted for: each is used, ignored for a stated reason, or refused."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wellread.errors import CheckpointError, ConfigError, nearest
from wellread.weights.strict_json import parse_object


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTable:
    """What becomes of every key that a kind of file may have."""

    used: Mapping[str, str]  # their key -> our field
    required: Collection[str] = ()  # their keys that must be there
    fixed: Mapping[str, Collection[Any]] = field(default_factory=dict)  # their key -> the values that wellread computes
    ignored: Mapping[str, str] = field(default_factory=dict)  # their key -> why it has no effect here


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A file's keys after the table: what is used, under our names, and why the others are not."""

    used: Mapping[str, Any]
    ignored: Mapping[str, str]


def account_for(data: Mapping[str, Any], table: KeyTable, *, source: object, ignore: Collection[str] = ()) -> Keys:
    """Sort the keys of `data`; those named in `ignore`, unknown or of unsupported value, are passed over.

    Raises: ConfigError that lists every unknown key, missing key and unsupported value; `source` names the file.

    >>> table = KeyTable(used={"dim": "hidden_size"}, ignored={"use_cache": "for decoders"})
    >>> account_for({"dim": 12, "use_cache": True}, table, source="config.json")
    Keys(used={'hidden_size': 12}, ignored={'use_cache': 'for decoders'})
    """
    known = {*table.used, *table.fixed, *table.ignored}
    unknown = [key for key in data if key not in known]
    unsupported = [key for key, values in table.fixed.items() if key in data and data[key] not in values]
    faults = [f"{key} is unknown{nearest(key, known)}" for key in unknown if key not in ignore]
    faults += [f"{key} is missing" for key in table.required if key not in data]
    faults += [
        f"{key} is {reprlib.repr(data[key])}, and wellread computes only {', '.join(map(repr, table.fixed[key]))}"
        for key in unsupported
        if key not in ignore
    ]
    if faults:
        raise ConfigError(
            f"every key of {source} must be accounted for; found that {'; '.join(faults)}; correct the file, or name "
            "keys that may be passed over with ignore="
        )
    reasons = {key: table.ignored[key] for key in data if key in table.ignored}
    reasons |= dict.fromkeys((*unknown, *unsupported), "passed over as the caller asked")
    return Keys(used={ours: data[theirs] for theirs, ours in table.used.items() if theirs in data}, ignored=reasons)


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
