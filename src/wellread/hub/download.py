"""An address to a file on disk: whole or not at all, resumed where it broke off, tried again where that may help."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from wellread.errors import DownloadError
from wellread.hub.attempt import Wanted, attempt, full
from wellread.hub.cache import sha256
from wellread.hub.offline import is_offline
from wellread.hub.partial import Partial
from wellread.hub.web import FaultError, checked, shown

PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before each further try
TRIES = {"busy": len(PAUSES), "cut": len(PAUSES), "wrong": 1}  # further tries after a fault of that kind
STRIDE = 1 << 20  # bytes; a connection that brought as many before it broke is no failed try
MAX_WAIT = 60.0  # seconds that a server may ask us to wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """A file that came whole."""

    path: Path
    sha256: str
    size: int  # bytes
    url: str  # as it was asked for


def download(
    url: str,
    path: Path,
    *,
    headers: Mapping[str, str] | None = None,
    show: bool | None = None,
    label: str = "",
    expected: str | None = None,
) -> Downloaded:
    """Fetch `url` to `path`, whole or not at all, in place of what stands there.

    What has come stays beside `path` (`.part`) until the rest has; a later call goes on from there where the server's
    file is the same. Broken connections and busy servers are tried again. The bytes must agree with the size and the
    checksums that the server sends, and with `expected`, a SHA-256. `headers` go to the host of `url` alone. Where
    another process fetches to the same `path`, its file is awaited and taken.

    Raises: DownloadError; each fault has a message of its own.
    """
    label = label or path.name
    wanted = Wanted(url=url, path=path, headers=headers or {}, show=show, label=label, expected=expected)
    try:
        return fetch(wanted)
    except FaultError as fault:
        raise DownloadError(f"{shown(url)} was to be fetched; found {fault.found}; {fault.advice}") from fault


def fetch(wanted: Wanted) -> Downloaded:
    """Fetch as `download` does. Raises: FaultError, for callers with words of their own."""
    checked(wanted.url)
    refuse_offline()
    before = _identity(wanted.path)
    with locked(wanted.path):
        after = _identity(wanted.path)
        found = sha256(wanted.path) if after not in (None, before) else ""  # another process was sooner
        if not found or found != (wanted.expected or found).lower():
            found = _patiently(wanted)
        return Downloaded(path=wanted.path, sha256=found, size=wanted.path.stat().st_size, url=wanted.url)


def refuse_offline() -> None:
    """Raise FaultError where HF_HUB_OFFLINE says that nothing may be fetched."""
    if is_offline():
        raise FaultError("offline", "HF_HUB_OFFLINE set", "unset it, or pass a local copy")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time write `path`. Raises: FaultError where the disk refuses."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield
            with suppress(OSError):
                lock.unlink()  # those who wait see that it is gone, and make another
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full(path, "more") from error
        raise FaultError("disk", f"that {error}", "choose another place, or see who may write there") from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _patiently(wanted: Wanted) -> str:
    """Try until all has come or it is no use; return the SHA-256."""
    tried = dict.fromkeys(TRIES, 0)
    partial = Partial(wanted.path)
    while True:
        held = partial.size
        try:
            return attempt(wanted, partial)
        except FaultError as fault:
            # A host that answered and is gone now may come back.
            kind = "cut" if fault.kind == "unreached" and any(tried.values()) else fault.kind
            if kind == "cut" and partial.size - held >= STRIDE:
                tried[kind] = 0
            if tried.get(kind, 0) >= TRIES.get(kind, 0) or fault.wait > MAX_WAIT:
                raise
            time.sleep(max(PAUSES[tried[kind]], fault.wait))
            tried[kind] += 1
