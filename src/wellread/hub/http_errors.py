"""Where an HTTP status becomes an error: one table for files, for the Hugging Face hub, and for pushes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

# Both are huggingface_hub's; the second is the older name.
VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
SENT_ONCE = "run it again later; what arrived is not sent twice"
IN_TROUBLE = "the server has trouble; run it again later"


class Status(NamedTuple):
    """What a status means: of a file of any host, of the hub when it is read, and of the hub when it is written."""

    kind: str = "other"  # of FaultError
    advice: str = "check the address"  # for a file
    read: tuple[str, str] = ("an error", "try again later")  # what the hub answered, and what to do
    write: tuple[str, str] = ("it failed", SENT_ONCE)  # the same for a push


STATUSES = {
    400: Status(write=("it cannot take this", "correct what it names")),
    401: Status(
        kind="refused",
        advice="log in, or send a token that may read it",
        read=("that it does not know the token", "check HF_TOKEN"),
        write=("it does not accept this token there", "log in with hf auth login, or set HF_TOKEN"),
    ),
    402: Status(write=("it asks for payment", "make room there, or push to another owner")),
    403: Status(
        kind="refused",
        advice="log in, accept the terms of the page it is of, or send a token that may read it",
        read=("that it may not be read with this token", "check HF_TOKEN"),
        write=("this token may not write there", "check the owner's name, and that the token has the right to write"),
    ),
    404: Status(
        kind="gone",
        write=("it knows no such repository or branch, or not with this token", "check the spelling and the token"),
    ),
    409: Status(write=("something else changes the repository", "wait until that is done and run it again")),
    410: Status(kind="gone", advice="get the file from another source"),
    412: Status(write=("something else changed the branch meanwhile", "run it again")),
    413: Status(write=("this is too large for it", "save as float16, or push a smaller module")),
    429: Status(
        kind="busy",
        advice="the server asks for fewer requests; wait, and run it again",
        read=("that too much was asked of it", "wait some minutes, or set HF_TOKEN, whose limits are higher"),
        write=(
            "it takes no more requests for now",
            "wait some minutes and run it again; what arrived is not sent twice",
        ),
    ),
    **{status: Status(kind="busy", advice=IN_TROUBLE) for status in range(500, 505)},
}


class FaultError(Exception):
    """Why a GET failed.

    `kind` is "refused" (a token, a licence), "gone", "busy" (it may pass), "cut" (it broke off), "unreached", "page" (a
    web page in place of a file), "offline", "full" or "disk" (here), "wrong" (other bytes) or "other".
    """

    def __init__(self, kind: str, found: str, advice: str, *, wait: float = 0) -> None:
        super().__init__(found)
        self.kind = kind
        self.found = found
        self.advice = advice
        self.wait = wait  # seconds that the server asks for


def status_fault(status: int, *, headers: Mapping[str, str] | None = None) -> FaultError:
    """Say what an answer without a file means."""
    kind, advice, *_ = STATUSES.get(status, Status())
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else "of no known meaning"
    wait = _retry_after((headers or {}).get("Retry-After", ""))
    asking = f", to wait {wait:.0f} seconds" if wait else ""
    return FaultError(kind, f"the answer {status} {phrase}{asking}", advice, wait=wait)


def _retry_after(value: str) -> float:
    """Return the seconds that Retry-After asks for, as a number or a date."""
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def is_offline() -> bool:
    """Say whether the network must not be used, as huggingface_hub reads it."""
    value = next(filter(None, map(os.environ.get, VARIABLES)), "")
    return value.upper() in ("1", "ON", "YES", "TRUE")


def refuse_offline() -> None:
    """Raise FaultError where HF_HUB_OFFLINE says that nothing may be fetched."""
    if is_offline():
        raise FaultError("offline", "HF_HUB_OFFLINE set", "unset it, or pass a local copy")
