"""A handle to the directory where its files lie: looked up, checked, fetched where they are not there, and mended."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from wellread.errors import DownloadError, HandleError, InputError
from wellread.files import MANIFEST, Comparison, cache_directory, compare, sha256s
from wellread.hub import huggingface, tfhub_cache
from wellread.hub.archives import SUFFIXES, unpack_once
from wellread.hub.handles import locate
from wellread.hub.integrity import refuse_wrong_files
from wellread.hub.parse import Location
from wellread.hub.places import what_lies_at
from wellread.hub.records import Fetched, Request, find_record, request_for, write_record

DEFAULT = Path(__file__).parent.parent / "catalog" / "default"


def resolve(
    handle: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Fetched:
    """Return where the module lies that `handle` names, fetching it where it was never pulled.

    `default` ships with wellread; an existing path is taken as it is, and a .tar, .tar.gz or .zip is unpacked into
    wellread's cache, once; an address is looked up where `wellread revive` and tensorflow-hub install; `owner/name`
    goes through huggingface_hub, with its cache, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE; for other handles see
    `hub.handles`.

    What was pulled before is opened without the network: new commits and versions are seen by `pull` alone. Its files
    are checked first: hashed where they are under 64 MB in all, or else where a size or time is new. What is damaged is
    fetched once more, or refused where the network is not to be used.

    Raises: HandleError for a handle that names nothing; DownloadError for one that cannot be fetched whole;
        CheckpointError for an archive that is damaged or hostile, or files that are no model's; InputError.
    """
    fetched = local(handle)
    if fetched is not None:
        return fetched
    where = {"revision": revision, "token": token, "cache_dir": cache_dir}
    return obtain(request_for(locate(os.fspath(handle)), local_files_only=local_files_only, **where))  # type: ignore[arg-type]


def local(handle: str | os.PathLike[str]) -> Fetched | None:
    """Return where a handle lies that needs no network and was not pulled; None for any other.

    Raises: InputError for what is no text; CheckpointError for an archive that is damaged or hostile, or files that are
        no model's.
    """
    if not isinstance(handle, str | os.PathLike) or not isinstance(os.fspath(handle), str):
        raise InputError(
            f"a module is named by a str or an os.PathLike; found {repr(handle)[:60]}; pass a path, a handle such as "
            "owner/name, or default"
        )
    if handle == "default":
        return Fetched(location=locate("default"), directory=DEFAULT)
    name = os.fspath(handle)
    path = os.path.expanduser(name)
    if name and not os.path.exists(path) and os.path.isfile(f"{path}.index"):  # a TensorFlow 1 checkpoint's prefix
        path = f"{path}.index"
    if name and os.path.exists(path):  # neither raises, whatever the handle is made of
        return _on_disk(Location(handle=name, kind="path", address=path), Path(path))
    if name == "default":  # given as a path, and there is none
        return Fetched(location=locate("default"), directory=DEFAULT)
    directory_of_tfhub = tfhub_cache.find(name) if "://" in name else None
    if directory_of_tfhub is None:
        return None
    try:
        location = locate(name)
    except HandleError:  # dead, or known to nobody but who installed it
        location = Location(handle=name, kind="tfhub", address=name)
    return Fetched(location=location, directory=directory_of_tfhub)


_OF_A_MODULE = ("tokenizer", "no config", "no weights")  # layouts of its parts, in which a file may be an impostor


def _on_disk(location: Location, path: Path) -> Fetched:
    """Open what lies at a path: the directory of the module, where there is one reading, or else the path itself."""
    archive = None
    if path.name.endswith(SUFFIXES) and path.is_file():
        path = unpack_once(path)
        archive = path.relative_to(cache_directory() / "unpacked").parts[0]
    place = what_lies_at(path)
    directory = place.directory if place.layout.is_read or path.is_file() else path
    if directory.is_dir() and (place.layout.is_read or place.layout.name in _OF_A_MODULE):
        refuse_wrong_files(directory)
    note = place.note if directory != path else None
    return Fetched(location=location, directory=directory, archive=archive, note=note)


def preprocessor_for(fetched: Fetched) -> str | None:
    """Return the handle of the preprocessor that the page of a module names, where its directory holds no vocabulary.

    None where it does, or is no SavedModel, or the catalog does not know the page.
    """
    directory, publication = fetched.directory, fetched.location.publication
    if not (directory / "saved_model.pb").is_file() or any((directory / "assets").glob("*")):
        return None
    return publication.preprocessor if publication else None


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
