"""How a handle is refused: what it looked like, and which living handles are near it."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import NoReturn

from wellread.catalog.modules import entries, preprocessors
from wellread.errors import HandleError

LONGEST = 4096  # characters of a handle: signed addresses are long
SHOWN = 120  # characters of one in a message


def refuse(handle: str, looks: str, advice: str, *, hint: bool = True) -> NoReturn:
    """Raise the HandleError of a handle: what it looks like, what to do, and the living handles near it."""
    near = _near(handle) if hint else []
    also = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise HandleError(f"the handle {shown(handle)} was given; it looks like {looks}; {advice}{also}")


def refuse_hostile(handle: str) -> None:
    """Refuse what no handle of any world is: empty, endless, or with characters that cannot be seen."""
    if not handle.strip():
        refuse(handle, "an empty text", "name a module", hint=False)
    if len(handle) > LONGEST:
        refuse(handle, f"{len(handle):,} characters, and a handle has at most {LONGEST:,}", "shorten it", hint=False)
    if not handle.isprintable():
        strange = next(character for character in handle if not character.isprintable())
        refuse(handle, f"text with the character U+{ord(strange):04X} in it", "write it without", hint=False)


def shown(handle: str) -> str:
    """Return a handle for a message: without names, passwords and signatures, and not too long.

    >>> shown("https://me:secret@example.org/a.zip?signature=1")
    "'https://...@example.org/a.zip?...'"
    """
    if re.match("(?i)https?://", handle):
        handle = re.sub(r"(?<=://).*@", "...@", handle.split("?")[0], flags=re.DOTALL) + (
            "?..." if "?" in handle else ""
        )
    return repr(handle if len(handle) <= SHOWN else handle[:SHOWN] + "...")


def _near(handle: str) -> list[str]:
    close = difflib.get_close_matches(_tail(handle[: SHOWN * 2]), _tails(), n=2, cutoff=0.7)
    return [_tails()[tail] for tail in close]


def _tail(handle: str) -> str:
    """Return the telling part of a handle: its last word that is no version.

    >>> _tail("https://tfhub.dev/tensorflow/bert_zh_L-12_H-768_A-12/4")
    'bert_zh_l-12_h-768_a-12'
    """
    words = [word for word in re.split(r"[/\\@?]", handle.lower()) if word and not word.isdecimal()]
    return words[-1] if words else ""


@cache
def _tails() -> dict[str, str]:
    """Return every living handle by its telling part; where two have the same, the catalog's name."""
    living = [handle for entry in entries() for one in entry.living() for handle in reversed(one.handles)]
    return {_tail(handle): handle for handle in [*preprocessors(), *living, *(entry.name for entry in entries())]}
