"""One try at a file: ask for what is missing, take it in, hold it against what was promised, give it its name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from urllib3.response import BaseHTTPResponse

from wellread.hub.impostors import is_page
from wellread.hub.partial import Partial
from wellread.hub.promises import CHUNK, Promise, Sums, promised
from wellread.hub.web import FaultError, opened, said_plainly, status_fault
from wellread.progress import transfer

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


def attempt(wanted: Wanted, partial: Partial) -> str:
    """Fetch what is missing of a file and return its SHA-256. Raises: FaultError; what has come stays; OSError."""
    promise = partial.promise(wanted.url)
    sums, more = Sums(promise.sums if promise else ()), {}
    if promise:
        sums.read(partial.path)
        more = {"Range": f"bytes={partial.size}-", "If-Range": str(promise.validator)}
    with opened(wanted.url, headers=wanted.headers, more=more) as response:
        if response.status == 200:
            _refuse_other(response, wanted)
            promise = promised(wanted.url, response.headers)
            sums = Sums(promise.sums)
            partial.start(promise)
        elif promise and response.status in (206, 416):
            _check_rest(response, partial, promise)
        else:
            raise status_fault(response.status, headers=response.headers)
        if response.status != 416:  # which says that all of it is here
            _receive(response, wanted, promise, sums)
    _agree(wanted, partial, promise, sums)
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


def _check_rest(response: BaseHTTPResponse, partial: Partial, promise: Promise) -> None:
    """See that an answer is just what is missing of the same file; else forget the part."""
    held, size = partial.size, promise.size or 0
    rest = f"{held}-{size - 1}" if response.status == 206 else "*"
    fits = response.headers.get("Content-Range") == f"bytes {rest}/{size}" and (rest == "*") == (held == size)
    if not fits or promised(promise.url, response.headers).validator not in (None, promise.validator):
        partial.drop()
        raise FaultError("cut", "that what came does not continue what was here", "run it again to start over")


def _receive(response: BaseHTTPResponse, wanted: Wanted, promise: Promise, sums: Sums) -> None:
    """Append the bytes of an answer to the part."""
    partial = Partial(wanted.path)
    position = partial.size
    needed = (promise.size or 0) - position
    if needed > shutil.disk_usage(wanted.path.parent).free:
        raise full(wanted.path, f"{needed} more")
    with partial.path.open("ab") as file, transfer(promise.size, show=wanted.show, label=wanted.label) as move:
        for data in _rest(response, promise, position):
            if position == 0 and is_page(data) and wanted.path.suffix not in PAGES:
                partial.drop()
                raise _page("by its first bytes")
            file.write(data)
            sums.update(data)
            position += len(data)
            move(position)


def _rest(response: BaseHTTPResponse, promise: Promise, position: int) -> Iterator[bytes]:
    """Give the bytes of an answer. Raises: FaultError where it ends too soon."""
    found = "that the connection closed"
    try:
        with said_plainly(promise.url):
            while data := response.read(CHUNK, decode_content=False):
                position += len(data)
                yield data
    except FaultError as fault:
        found = fault.found
    else:
        if promise.size in (None, position):
            return
    of = "" if promise.size is None else f" of {promise.size}"
    advice = "run it again" if promise.validator is None else "run it again to go on from there"
    raise FaultError("cut", f"{found}, after {position}{of} bytes", advice)


def _agree(wanted: Wanted, partial: Partial, promise: Promise, sums: Sums) -> None:
    """Refuse, and forget, bytes that are not those that were promised or expected."""
    wrong = sums.wrong(promise.sums)
    if wanted.expected and wanted.expected.lower() != sums.sha256:
        wrong.append(f"SHA-256 {sums.sha256} where {wanted.expected} was expected")
    if wrong:
        partial.drop()
        advice = "the file was changed, or damaged on its way: try again later, or get it from another source"
        raise FaultError("wrong", ", ".join(wrong), advice)
