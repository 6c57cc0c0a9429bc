"""How the keys of a configuration file are accounted for: each is used, ignored for a stated reason, or refused."""

from __future__ import annotations

import json
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


def account_for(data: Mapping[str, Any], table: KeyTable, *, source: Path, ignore: Collection[str] = ()) -> Keys:
    """Sort the keys of `data`; those named in `ignore` are passed over at the caller's word.

    Raises: ConfigError that lists every unknown key, missing key and unsupported value.

    >>> table = KeyTable(used={"dim": "hidden_size"}, ignored={"use_cache": "for decoders"})
    >>> account_for({"dim": 12, "use_cache": True}, table, source=Path("config.json"))
    Keys(used={'hidden_size': 12}, ignored={'use_cache': 'for decoders'})
    """
    known = {*table.used, *table.fixed, *table.ignored}
    faults = [f"{key} is unknown{nearest(key, known)}" for key in data if key not in known and key not in ignore]
    faults += [f"{key} is missing" for key in table.required if key not in data]
    faults += [
        f"{key} is {data[key]!r}, and wellread computes only {', '.join(map(repr, values))}"
        for key, values in table.fixed.items()
        if key in data and key not in ignore and not any(data[key] == value for value in values)
    ]
    if faults:
        raise ConfigError(
            f"every key of {source} must be accounted for; found that {'; '.join(faults)}; correct the file, or name "
            "keys that may be passed over with ignore="
        )
    reasons = {key: table.ignored[key] for key in data if key in table.ignored}
    reasons |= {key: "passed over as the caller asked" for key in data if key in ignore and key not in known}
    used = {ours: data[theirs] for theirs, ours in table.used.items() if theirs in data}
    return Keys(used=used, ignored=reasons)


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
    """Write JSON for people and programs: indented, UTF-8, a newline at the end."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", "utf-8")
