"""Whether a file is what it should be: the size and checksums that a server states, and files under a false name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError

if TYPE_CHECKING:
    from concurrent.futures import Future

CHUNK = 1 << 20  # bytes read at once
ALGORITHMS = ("sha-256", "md5", "crc32c")
# Headers that hold name=checksum, several of them with commas between. Those of RFC 9530 put colons around it.
LISTS = ("Repr-Digest", "Content-Digest", "Digest", "x-goog-hash")


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What a server said of a file when it sent its first byte, against which its bytes are checked."""

    url: str
    size: int | None = None
    validator: str | None = None  # a strong ETag or a Last-Modified: what If-Range is asked with
    sums: Mapping[str, str] = field(default_factory=dict)  # of ALGORITHMS, in base64

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Validators | None:
        """Read what `write` wrote; None where nothing readable stands."""
        try:
            return cls(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def validators(url: str, headers: Mapping[str, str]) -> Validators:
    """Read the validators off the headers of an answer that holds the whole file.

    >>> validators("https://host/file", {"Content-Length": "7", "ETag": 'W/"weak"', "x-goog-hash": "crc32c=AAAAAA=="})
    Validators(url='https://host/file', size=7, validator=None, sums={'crc32c': 'AAAAAA=='})
    """
    size = headers.get("Content-Length", "")
    tag = headers.get("ETag", "")
    strong = tag if tag.startswith('"') else None
    return Validators(
        url=url,
        size=int(size) if size.isascii() and size.isdecimal() else None,
        validator=strong or headers.get("Last-Modified"),
        sums=_sums(headers),
    )


def _sums(headers: Mapping[str, str]) -> dict[str, str]:
    sums = {"md5": headers["Content-MD5"].strip()} if "Content-MD5" in headers else {}
    for header in LISTS:
        if header == "x-goog-hash" and headers.get("x-goog-stored-content-encoding", "identity") != "identity":
            continue  # of the file as it is stored, not as it is sent
        for item in headers.get(header, "").split(","):
            name, _, value = item.strip().partition("=")
            if name.lower() in ALGORITHMS:
                sums[name.lower()] = value.removeprefix(":").removesuffix(":")
    return sums


class _Running(Protocol):
    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...


class Sums:
    """Checksums of bytes as they come: SHA-256, and those that the server stated.

    A thread computes them while the next bytes are on their way: hashing takes as long as a fast network does.
    """

    def __init__(self, algorithms: Collection[str]) -> None:
        import hashlib  # of downloads alone, as the rest here
        from concurrent.futures import ThreadPoolExecutor

        self._thread = ThreadPoolExecutor(max_workers=1)
        self._last: Future[None] | None = None
        self._running: dict[str, _Running] = {"sha-256": hashlib.sha256()}
        if "md5" in algorithms:
            self._running["md5"] = hashlib.md5(usedforsecurity=False)
        if "crc32c" in algorithms:
            import google_crc32c

            self._running["crc32c"] = google_crc32c.Checksum()

    def update(self, data: bytes) -> None:
        """Take in more bytes; one call is at work while the next one waits."""
        self._wait()
        self._last = self._thread.submit(self._add, data)

    def _add(self, data: bytes) -> None:
        for running in self._running.values():
            running.update(data)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()

    def read(self, path: Path) -> None:
        """Take in what is there of a file."""
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                self.update(data)

    @property
    def sha256(self) -> str:
        self._wait()
        return self._running["sha-256"].digest().hex()

    def wrong(self, sums: Mapping[str, str]) -> list[str]:
        """Say which of `sums` these are not, with both."""
        self._wait()
        import base64

        ours = {name: base64.b64encode(self._running[name].digest()).decode() for name in sums}
        return [f"{name} {ours[name]} where {sums[name]} was promised" for name in sums if ours[name] != sums[name]]


HEAD = 1024  # bytes that are read of each file; no pointer is longer
POINTER = b"version https://git-lfs.github.com/spec/v1"
SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)
WEIGHTS = re.compile(r"\.(safetensors|bin|pt|h5|pb|index|data-\d+-of-\d+|model|spiece)$")
TEXTS = re.compile(r"\.(json|jsonl|txt|vocab)$")
LFS = "run `git lfs pull` there, or fetch the model with `wellread pull`"
FETCH = "fetch the model again with `wellread pull`"


def refuse_wrong_files(directory: Path) -> None:
    """Refuse a directory of a model in which files are not what their names say; a kilobyte of each is read.

    Raises: CheckpointError, which names all of them.
    """
    found = []
    try:
        for path in _model_files(os.fspath(directory)):
            if what := _sniffed(path):
                found.append(f"{os.path.relpath(path, directory)}, {what}")
    except OSError as error:
        raise CheckpointError(f"{directory} was to be read; found that {error}; check the path") from error
    if found:
        advice = LFS if any("git-lfs" in what for what in found) else FETCH
        raise CheckpointError(f"{directory} was to be read; found {'; '.join(sorted(found))}; {advice}")


def is_page(head: bytes) -> bool:
    """Say whether the first bytes of a file are those of a web page.

    >>> is_page(b"<!DOCTYPE html>"), is_page(b"[PAD]")
    (True, False)
    """
    plain = head[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return plain.startswith((b"<!doctype html", b"<html"))


def _model_files(directory: str) -> Iterator[str]:
    """Give the files of a model, in folders too; links are followed to files, not to folders."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _model_files(entry.path)
            elif WEIGHTS.search(entry.name) or TEXTS.search(entry.name):
                yield entry.path


def _sniffed(path: str) -> str | None:
    """Say what stands in place of a file; None where nothing is amiss."""
    with open(path, "rb", buffering=0) as file:
        head = file.read(HEAD)
    if head.startswith(POINTER):
        size = SIZE.search(head)
        return f"a git-lfs pointer to {size[1].decode() if size else 'an unknown number of'} bytes"
    if is_page(head):
        return "a web page"
    if not head and WEIGHTS.search(path):
        return "an empty file"
    return None


def is_checksum(name: str) -> bool:
    """Say whether a name is the SHA-256 of a content, or its git id.

    >>> is_checksum("a" * 40), is_checksum("../a")
    (True, False)
    """
    return len(name) in (40, 64) and set(name) <= set("0123456789abcdef")


def blob_id(path: Path) -> str:
    """Return the id that git gives to a file's content."""
    content = path.read_bytes()
    import hashlib

    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
