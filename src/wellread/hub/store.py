"""A request to a record: looked up where the module was pulled before, checked, fetched and mended."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from wellread.errors import DownloadError
from wellread.files import MANIFEST, Comparison, Stamp, cache_directory, compare, sha256s
from wellread.hub import huggingface as snapshot
from wellread.hub.records import Record, Request, find_record, write_record


def obtain(request: Request) -> Record:
    """Return the record of a module: as it was pulled before, without the network, or fetched now.

    Raises: HandleError, DownloadError, CheckpointError.
    """
    record = find_record(request.key)
    if record is None:
        with locked(request):
            record = find_record(request.key)  # another process may have been sooner
            if record is None:
                return _first(request)
    return _checked(request, record)


def fetch(request: Request, record: Record | None = None) -> tuple[Record, Collection[str]]:
    """Fetch a module, or what is missing or damaged of it, whatever lies there; return which files were fetched.

    A `record` keeps its commit or archive. Raises: HandleError, DownloadError, CheckpointError.
    """
    if request.location.kind == "huggingface":
        found = snapshot.fetch(request, commit=record.commit if record else None)
        made = _record(request, found.directory, found.files, commit=found.commit)
        return _written(made), found.fetched
    from wellread.hub import sources as places  # opens a socket when it is imported, through urllib3

    place = places.fetch_module(request, archive=record.archive if record else None)
    made = _record(request, place.directory, place.files, archive=place.archive)
    return _written(made), list(place.files)


def examine(record: Record, *, full: bool = False) -> Comparison:
    """Hold files against their record: all of them if `full`, else as a load does.

    A load leaves those that `wellread.json` vouches for to its reader, unless a size or time is new.
    """
    trusted = [name for name in record.files if name != MANIFEST] if record.native else ()
    return compare(record.directory, sha256s(record.files), known=record.files, full=full, trusted=trusted)


def complaint(record: Record, faults: Mapping[str, str]) -> str:
    """Say what is wrong with the files of a record."""
    words = "; ".join(f"{name} {fault}" for name, fault in faults.items())
    return f"the files of {record.handle} in {record.directory} must be as they were pulled; found that {words}"


@contextmanager
def locked(request: Request) -> Iterator[None]:
    """Keep other processes from the same module. A cache that cannot be written costs a second download, no more."""
    with ExitStack() as stack:
        try:
            place = cache_directory() / "locks"
            place.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(place / f"{request.key.name}.lock"))
        except (OSError, RuntimeError):
            pass
        yield


def _first(request: Request) -> Record:
    """Pull a module that no record speaks of; what lies in huggingface_hub's cache stands in for a hub out of reach."""
    is_hub = request.location.kind == "huggingface"
    if request.offline and not is_hub:
        raise DownloadError(
            f"{request.name} was asked for; it was never pulled, and the network is not to be used; run wellread pull "
            f"{request.name} while online, or pass a local directory"
        )
    try:
        return _found(request) if request.offline else fetch(request)[0]
    except DownloadError:
        if request.offline or not is_hub:
            raise
        try:
            return _found(request)
        except DownloadError:
            pass
        raise


def _found(request: Request) -> Record:
    """Take a snapshot that another program left in huggingface_hub's cache."""
    found = snapshot.find(request)
    return _written(_record(request, found.directory, found.files, commit=found.commit))


def _checked(request: Request, record: Record) -> Record:
    """Check a module as far as a load does, and fetch once more what is damaged."""
    record = _with_new_files(record)
    found = examine(record)
    if found.faults:
        return _mended(request, record, found.faults)
    if found.stamps != record.files:  # the same bytes with new times
        write_record(replace(record, files=found.stamps))
    return record


def _mended(request: Request, record: Record, faults: Mapping[str, str]) -> Record:
    """Fetch what is damaged of a module once more, of the same commit or archive."""
    if request.offline:
        raise DownloadError(f"{complaint(record, faults)}; run wellread pull {record.handle} while online")
    with locked(request):
        now = find_record(request.key)  # another process may have been sooner
        if now is not None and not examine(now).faults:
            return now
        try:
            return fetch(request, record)[0]
        except DownloadError as error:
            raise DownloadError(f"{complaint(record, faults)}; it could not be fetched again: {error}") from error


def _with_new_files(record: Record) -> Record:
    """Take in the files that another program fetched into a snapshot since, checked by the names of their links."""
    if record.key.kind != "huggingface":
        return record
    new = set(snapshot.selected(snapshot.present(record.directory))) - set(record.files)
    if not new:
        return record
    more = snapshot.taken(record.handle, record.directory, sorted(new))
    return _written(replace(record, files={**record.files, **more}))


def _record(
    request: Request,
    directory: Path,
    files: Mapping[str, Stamp],
    *,
    commit: str | None = None,
    archive: str | None = None,
) -> Record:
    return Record(
        key=request.key,
        handle=request.name,
        directory=directory,
        files=files,
        commit=commit,
        archive=archive,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _written(record: Record) -> Record:
    write_record(record)
    return record
