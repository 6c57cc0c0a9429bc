"""The part of a file that has come so far, and beside it what the server promised of the whole."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from wellread.hub.promises import Promise


class Partial:
    """`<path>.part` and `<path>.part.json`, which become `path` when all has come."""

    def __init__(self, path: Path) -> None:
        self.whole = path
        self.path = path.with_name(f"{path.name}.part")
        self._promise = path.with_name(f"{path.name}.part.json")

    @property
    def size(self) -> int:
        """Count the bytes that have come."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def promise(self, url: str) -> Promise | None:
        """Return what was promised of the part that is here; None where it cannot be gone on with."""
        held = Promise.read(self._promise)
        return held if held and held.url == url and held.validator and self.size else None

    def start(self, promise: Promise) -> None:
        """Begin anew; the old part goes first, so that no promise ever stands beside another file's bytes."""
        self.path.write_bytes(b"")
        promise.write(self._promise)

    def drop(self) -> None:
        """Forget what has come."""
        for path in (self.path, self._promise):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the part its name."""
        self.path.replace(self.whole)
        with suppress(OSError):
            self._promise.unlink()
