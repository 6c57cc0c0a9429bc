"""The first bytes of a weights file: is it what its name says, or does something else stand in its place?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wellread.errors import CheckpointError

_LENGTH = 64  # bytes: enough for every prefix below

_FETCH = "fetch the file again"
_CONVERT = "give it the name of its own format, or convert it"
# prefix, what it is, what to do
_KNOWN = (
    (b"version https://git-lfs", "a git-lfs pointer", "run `git lfs pull`, or download the file itself"),
    (b"<!doctype", "a web page", "check the address and the access rights, then fetch the file again"),
    (b"<html", "a web page", "check the address and the access rights, then fetch the file again"),
    (b"<?xml", "an XML page", "check the address and the access rights, then fetch the file again"),
    (b"pk\x03\x04", "a zip archive", _CONVERT),
    (b"\x80", "a pickle, perhaps an older torch file", _CONVERT),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"\x89hdf\r\n", "an HDF5 file", _CONVERT),
    (b"{", "a JSON file", "name the weights file itself"),
)


def check_head(path: Path, *, wanted: str, ours: Callable[[bytes], bool]) -> None:
    """Refuse a file whose first 64 bytes do not satisfy `ours`, saying what stands there instead of `wanted`.

    Raises:
        CheckpointError: the file is missing, unreadable, empty or of another kind.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_LENGTH)
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(
            f"{path} was to be read as {wanted}; found no such file ({why}); check the path"
        ) from None
    if not ours(head):
        what, advice = _identify(head)
        raise CheckpointError(f"{path} was to be read as {wanted}; found {what} ({size} bytes); {advice}")


def looks_like_safetensors(head: bytes) -> bool:
    """Say whether `head` may begin a safetensors file: eight bytes of header length, then a JSON object.

    >>> looks_like_safetensors(b"\\x02" + bytes(7) + b"{}")
    True
    """
    return head[8:9] == b"{"


def _identify(head: bytes) -> tuple[str, str]:
    if not head:
        return "an empty file", _FETCH
    plain = head.lstrip(b" \t\r\n").lower()
    for prefix, what, advice in _KNOWN:
        if plain.startswith(prefix):
            return what, advice
    if looks_like_safetensors(head):
        return "a safetensors file", _CONVERT
    return f"bytes of no known format, beginning {head[:8].hex(' ')}", _FETCH
