"""The options that KoBertTokenizer takes, those of 2019 among them; any other is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wellread.compat.encoding import Layout
from wellread.errors import InputError, nearest
from wellread.weights.tokenizer_files import KOBERT_RULES, SPECIAL

LENGTHS = ("model_max_length", "max_len")  # the second is the older name


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options of the constructor that are unknown, or would make other ids than KoBERT was trained with."""
    known = (*SPECIAL, *LENGTHS, *KOBERT_RULES)
    unknown = [f"{name}{nearest(name, known)}" for name in options if name not in known]
    unknown += [
        f"{name}={options[name]!r}" for name, value in KOBERT_RULES.items() if options.get(name, value) != value
    ]
    if unknown:
        raise InputError(
            f"KoBertTokenizer was asked for {', '.join(unknown)}; it has {', '.join(known)}, with "
            f"{', '.join(f'{name}={value}' for name, value in KOBERT_RULES.items())}; leave the others out"
        )


def layout_of(options: Mapping[str, Any]) -> Layout:
    """Read the options of a call. Raises: InputError for one that is unknown.

    >>> layout_of({"max_length": 8, "pad_to_max_length": True}).padding
    'max_length'
    """
    given = dict(options)
    if given.pop("pad_to_max_length", False):
        given["padding"] = "max_length"
    if "truncation_strategy" in given:
        given["truncation"] = given.pop("truncation_strategy")
    known = tuple(Layout.__dataclass_fields__)
    unknown = [f"{name}{nearest(name, known)}" for name in given if name not in known]
    if unknown:
        raise InputError(
            f"a tokenizer was asked for {', '.join(unknown)}; it knows {', '.join(known)}; leave the others out"
        )
    return Layout(**given)
