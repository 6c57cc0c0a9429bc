"""Something that is wrong on this machine, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A finding of `wellread doctor`."""

    found: str
    advice: str
    broken: bool = True  # something does not work; False: it works, and could be better
