"""A module that no directory here was named for: as it was pulled, checked and mended, or fetched now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from filelock import FileLock

from wellread.errors import DownloadError
from wellread.files import MANIFEST, Comparison, cache_directory, compare, sha256s
from wellread.hub import huggingface
from wellread.hub.location import Fetched
from wellread.hub.records import Request, find_record, write_record


def obtain(request: Request) -> Fetched:
    """Return the record of a module: as it was pulled before, without the network, or fetched now.

    Raises: HandleError, DownloadError, CheckpointError.
    """
    record = find_record(request)
    if record is None:
        with locked(request):
            record = find_record(request)  # another process may have been sooner
            if record is None:
                return _first(request)
    return _checked(request, record)


def fetch(request: Request, record: Fetched | None = None) -> tuple[Fetched, list[str]]:
    """Fetch a module, or what is missing or damaged of it, whatever lies there; return which files were fetched.

    A `record` keeps its commit or archive. Raises: HandleError, DownloadError, CheckpointError.
    """
    if request.location.kind == "huggingface":
        fetched, names = huggingface.fetch(request, commit=record.commit if record else None)
    else:
        from wellread.hub.sources import fetch_module  # opens a socket when it is imported, through urllib3

        fetched = fetch_module(request, archive=record.archive if record else None)
        names = list(fetched.files)
    write_record(request, fetched)
    return fetched, names


def examine(record: Fetched, *, full: bool = False) -> Comparison:
    """Hold files against their record: all of them if `full`, else as a load does.

    A load leaves those that `wellread.json` vouches for to its reader, unless a size or time is new.
    """
    trusted = [name for name in record.files if name != MANIFEST] if MANIFEST in record.files else ()
    return compare(record.directory, sha256s(record.files), known=record.files, full=full, trusted=trusted)


def complaint(record: Fetched, faults: Mapping[str, str]) -> str:
    """Say what is wrong with the files of a record."""
    words = "; ".join(f"{name} {fault}" for name, fault in faults.items())
    return (
        f"the files of {record.location.handle} in {record.directory} must be as they were pulled; found that {words}"
    )


@contextmanager
def locked(request: Request) -> Iterator[None]:
    """Keep other processes from the same module. A cache that cannot be written costs a second download, no more."""
    with ExitStack() as stack:
        try:
            locks = cache_directory() / "locks"
            locks.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(locks / f"{request.digest}.lock"))
        except (OSError, RuntimeError):
            pass
        yield


def _first(request: Request) -> Fetched:
    """Pull a module that no record speaks of; what lies in huggingface_hub's cache stands in for a hub out of reach."""
    is_hub = request.location.kind == "huggingface"
    if request.offline and not is_hub:
        raise DownloadError(
            f"{request.name} was asked for; it was never pulled, and the network is not to be used; run wellread pull "
            f"{request.name} while online, or pass a local directory"
        )
    try:
        return _in_cache(request) if request.offline else fetch(request)[0]
    except DownloadError:
        if request.offline or not is_hub:
            raise
        try:
            return _in_cache(request)
        except DownloadError:
            pass
        raise


def _in_cache(request: Request) -> Fetched:
    """Take a snapshot that another program left in huggingface_hub's cache."""
    fetched = huggingface.find(request)
    write_record(request, fetched)
    return fetched


def _checked(request: Request, record: Fetched) -> Fetched:
    """Check a module as far as a load does, and fetch once more what is damaged."""
    record = _with_new_files(request, record)
    comparison = examine(record)
    if comparison.faults:
        return _mended(request, record, comparison.faults)
    if comparison.stamps != record.files:  # the same bytes with new times
        write_record(request, replace(record, files=comparison.stamps))
    return record


def _mended(request: Request, record: Fetched, faults: Mapping[str, str]) -> Fetched:
    """Fetch what is damaged of a module once more, of the same commit or archive."""
    if request.offline:
        raise DownloadError(f"{complaint(record, faults)}; run wellread pull {record.location.handle} while online")
    with locked(request):
        now = find_record(request)  # another process may have been sooner
        if now is not None and not examine(now).faults:
            return now
        try:
            return fetch(request, record)[0]
        except DownloadError as error:
            raise DownloadError(f"{complaint(record, faults)}; it could not be fetched again: {error}") from error


def _with_new_files(request: Request, record: Fetched) -> Fetched:
    """Take in the files that another program fetched into a snapshot since, checked by the names of their links."""
    if record.location.kind != "huggingface":
        return record
    new = set(huggingface.selected(huggingface.present(record.directory))) - set(record.files)
    if not new:
        return record
    more = huggingface.stamped(request.name, record.directory, sorted(new))
    record = replace(record, files={**record.files, **more})
    write_record(request, record)
    return record
