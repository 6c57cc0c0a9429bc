"""An address to a file on disk: whole or not at all, resumed where it broke off, tried again where that may help."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path

from filelock import FileLock
from urllib3.response import BaseHTTPResponse

from wellread.dataclass import dataclass
from wellread.errors import DownloadError
from wellread.files import Stamp, sha256
from wellread.hub.http import checked, opened, urllib3_faults, without_password
from wellread.hub.http_errors import FaultError, refuse_offline, status_fault
from wellread.hub.integrity import CHUNK, Sums, Validators, is_page, validators
from wellread.progress import transfer


class Partial:
    """`<path>.part` and `<path>.part.json`, which become `path` when all has come."""

    def __init__(self, path: Path) -> None:
        self.whole = path
        self.path = path.with_name(f"{path.name}.part")
        self._validators = path.with_name(f"{path.name}.part.json")

    @property
    def size(self) -> int:
        """Count the bytes that have come."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def validators(self, url: str) -> Validators | None:
        """Return the validators of the part that is here; None where it cannot be gone on with."""
        held = Validators.read(self._validators)
        return held if held and held.url == url and held.validator and self.size else None

    def start(self, stated: Validators) -> None:
        """Begin anew; the old part goes first, so that no validators ever stand beside another file's bytes."""
        self.path.write_bytes(b"")
        stated.write(self._validators)

    def drop(self) -> None:
        """Forget what has come."""
        for path in (self.path, self._validators):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the part its name."""
        self.path.replace(self.whole)
        with suppress(OSError):
            self._validators.unlink()


PAGES = (".html", ".htm")
GZIPPED = (".gz", ".tgz")  # some servers call their bytes coded; they are the file's own all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be fetched, where to, and how."""

    url: str
    path: Path
    headers: Mapping[str, str] = field(default_factory=dict)  # for the host of `url` alone
    show: bool | None = None  # the bar: None on a terminal, for long work
    label: str = "file"  # beside the bar
    expected: str | None = None  # its SHA-256 in hexadecimal, where that is known


def _attempt(wanted: Wanted, partial: Partial) -> str:
    """Fetch what is missing of a file and return its SHA-256. Raises: FaultError; what has come stays; OSError."""
    stated = partial.validators(wanted.url)
    sums, more = Sums(stated.sums if stated else ()), {}
    if stated:
        sums.read(partial.path)
        more = {"Range": f"bytes={partial.size}-", "If-Range": str(stated.validator)}
    with opened(wanted.url, headers=wanted.headers, more=more) as response:
        if response.status == 200:
            _refuse_other(response, wanted)
            stated = validators(wanted.url, response.headers)
            sums = Sums(stated.sums)
            partial.start(stated)
        elif stated and response.status in (206, 416):
            _check_rest(response, partial, stated)
        else:
            raise status_fault(response.status, headers=response.headers)
        if response.status != 416:  # which says that all of it is here
            _receive(response, wanted, stated, sums)
    _agree(wanted, partial, stated, sums)
    partial.finish()
    return sums.sha256


def full(path: Path, needed: str) -> FaultError:
    """Say that the disk of `path` is full."""
    found = f"{shutil.disk_usage(path.parent).free} bytes free in {path.parent}, where {needed} are needed"
    return FaultError("full", found, "make room, and run it again")


def _refuse_other(response: BaseHTTPResponse, wanted: Wanted) -> None:
    """Refuse a web page in place of a file, and bytes that are not the file's own."""
    kind = response.headers.get("Content-Type", "")
    if kind.lower().startswith("text/html") and wanted.path.suffix not in PAGES:
        raise _page(f"sent as {kind}")
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity" and wanted.path.suffix not in GZIPPED:
        found = f"bytes in the coding {coding}, which was not asked for"
        raise FaultError("other", found, "get the file from another source")


def _page(how: str) -> FaultError:
    advice = "open the address in a browser to see what it wants, perhaps a login"
    return FaultError("page", f"a web page in place of the file ({how})", advice)


def _check_rest(response: BaseHTTPResponse, partial: Partial, stated: Validators) -> None:
    """See that an answer is just what is missing of the same file; else forget the part."""
    held, size = partial.size, stated.size or 0
    rest = f"{held}-{size - 1}" if response.status == 206 else "*"
    fits = response.headers.get("Content-Range") == f"bytes {rest}/{size}" and (rest == "*") == (held == size)
    if not fits or validators(stated.url, response.headers).validator not in (None, stated.validator):
        partial.drop()
        raise FaultError("cut", "that what came does not continue what was here", "run it again to start over")


def _receive(response: BaseHTTPResponse, wanted: Wanted, stated: Validators, sums: Sums) -> None:
    """Append the bytes of an answer to the part."""
    partial = Partial(wanted.path)
    position = partial.size
    needed = (stated.size or 0) - position
    if needed > shutil.disk_usage(wanted.path.parent).free:
        raise full(wanted.path, f"{needed} more")
    with partial.path.open("ab") as file, transfer(stated.size, show=wanted.show, label=wanted.label) as move:
        for data in _rest(response, stated, position):
            if position == 0 and is_page(data) and wanted.path.suffix not in PAGES:
                partial.drop()
                raise _page("by its first bytes")
            file.write(data)
            sums.update(data)
            position += len(data)
            move(position)


def _rest(response: BaseHTTPResponse, stated: Validators, position: int) -> Iterator[bytes]:
    """Give the bytes of an answer. Raises: FaultError where it ends too soon."""
    found = "that the connection closed"
    try:
        with urllib3_faults(stated.url):
            while data := response.read(CHUNK, decode_content=False):
                position += len(data)
                yield data
    except FaultError as fault:
        found = fault.found
    else:
        if stated.size in (None, position):
            return
    of = "" if stated.size is None else f" of {stated.size}"
    advice = "run it again" if stated.validator is None else "run it again to go on from there"
    raise FaultError("cut", f"{found}, after {position}{of} bytes", advice)


def _agree(wanted: Wanted, partial: Partial, stated: Validators, sums: Sums) -> None:
    """Refuse, and forget, bytes that are not those that were promised or expected."""
    wrong = sums.wrong(stated.sums)
    if wanted.expected and wanted.expected.lower() != sums.sha256:
        wrong.append(f"SHA-256 {sums.sha256} where {wanted.expected} was expected")
    if wrong:
        partial.drop()
        advice = "the file was changed, or damaged on its way: try again later, or get it from another source"
        raise FaultError("wrong", ", ".join(wrong), advice)


PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before each further try
TRIES = {"busy": len(PAUSES), "cut": len(PAUSES), "wrong": 1}  # further tries after a fault of that kind
STRIDE = 1 << 20  # bytes; a connection that brought as many before it broke is no failed try
MAX_WAIT = 60.0  # seconds that a server may ask us to wait


def download(
    url: str,
    path: Path,
    *,
    headers: Mapping[str, str] | None = None,
    show: bool | None = None,
    label: str = "",
    expected: str | None = None,
) -> Stamp:
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
        raise DownloadError(
            f"{without_password(url)} was to be fetched; found {fault.found}; {fault.advice}"
        ) from fault


def fetch(wanted: Wanted) -> Stamp:
    """Fetch as `download` does. Raises: FaultError, for callers with words of their own."""
    checked(wanted.url)
    refuse_offline()
    before = _identity(wanted.path)
    with locked(wanted.path):
        after = _identity(wanted.path)
        found = sha256(wanted.path) if after not in (None, before) else ""  # another process was sooner
        if not found or found != (wanted.expected or found).lower():
            found = _patiently(wanted)
        status = wanted.path.stat()
        return Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=found)


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
            return _attempt(wanted, partial)
        except FaultError as fault:
            # A host that answered and is gone now may come back.
            kind = "cut" if fault.kind == "unreached" and any(tried.values()) else fault.kind
            if kind == "cut" and partial.size - held >= STRIDE:
                tried[kind] = 0
            if tried.get(kind, 0) >= TRIES.get(kind, 0) or fault.wait > MAX_WAIT:
                raise
            time.sleep(max(PAUSES[tried[kind]], fault.wait))
            tried[kind] += 1
