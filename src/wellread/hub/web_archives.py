"""Archives at an address, tfhub.dev's among them: fetched, unpacked into a directory, and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wellread.errors import DownloadError
from wellread.hub.archives import step_in, unpack
from wellread.hub.attempt import Wanted
from wellread.hub.download import fetch, locked
from wellread.hub.web import FaultError, shown

COMPRESSED = "tf-hub-format=compressed"  # asks tfhub.dev for the module in place of its page
DEAD = ("gone", "refused", "page")  # faults of an address that no longer serves a module


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Where the files of a model are that was fetched."""

    directory: Path
    archive: str | None = None  # the SHA-256 of the archive they came in; none where none was fetched


def fetch_archive(
    url: str, directory: Path, *, show: bool | None = None, label: str = "", expected: str | None = None
) -> Fetched:
    """Fetch the archive at `url`, unpack it into `directory`, and delete it.

    The files are in `directory`, or in the one folder that is all it holds. A directory with files in it is taken as
    it is: it is there whole or not at all. `expected` is the archive's SHA-256.

    Raises: DownloadError as `download`; CheckpointError for an archive that is damaged or hostile, as `unpack`.
    """
    try:
        return unpacked(url, directory, show=show, label=label, expected=expected)
    except FaultError as fault:
        raise DownloadError(f"{shown(url)} was to be fetched; found {fault.found}; {fault.advice}") from fault


def unpacked(
    url: str, directory: Path, *, show: bool | None = None, label: str = "", expected: str | None = None
) -> Fetched:
    """Fetch as `fetch_archive` does. Raises: FaultError, for callers with words of their own; CheckpointError."""
    archive = directory.with_name(f"{directory.name}.archive.gz")
    with locked(directory):
        if directory.is_dir() and any(directory.iterdir()):  # another process was sooner
            return Fetched(directory=step_in(directory))
        label = label or directory.name
        came = fetch(Wanted(url=url, path=archive, show=show, label=label, expected=expected))
        try:
            return Fetched(directory=unpack(archive, directory), archive=came.sha256)
        finally:
            archive.unlink()


def fetch_tfhub(
    address: str, directory: Path, *, alternatives: Sequence[str] = (), show: bool | None = None
) -> Fetched:
    """Fetch the module of a tfhub.dev address into `directory`, as tensorflow-hub does.

    `alternatives` are living handles of the same weights, for the message where the address is dead.

    Raises: DownloadError, CheckpointError as `fetch_archive`.
    """
    url = f"{address}{'&' if '?' in address else '?'}{COMPRESSED}"
    try:
        return unpacked(url, directory, show=show, label=address.removeprefix("https://tfhub.dev/"))
    except FaultError as fault:
        dead = fault.kind in DEAD
        found = f"a dead address ({fault.found})" if dead else fault.found
        advice = _advice(address, alternatives) if dead else _or_else(fault.advice, alternatives)
        raise DownloadError(f"the module {shown(address)} was asked for; found {found}; {advice}") from fault


def _or_else(advice: str, alternatives: Sequence[str]) -> str:
    return f"{advice}; or take the same weights from {', '.join(alternatives)}" if alternatives else advice


def _advice(address: str, alternatives: Sequence[str]) -> str:
    if alternatives:
        return f"the same weights are at {', '.join(alternatives)}"
    return f"get the module from elsewhere, and run wellread revive {address} --from MODULE"
