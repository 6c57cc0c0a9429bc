"""pull and verify: have a module on this machine, whole and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wellread.catalog.packaged import packaged_modules
from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, DownloadError, InputError
from wellread.files import MANIFEST, Comparison, Stamp, compare, load_json, sha256s, stamps_of
from wellread.hub.handles import locate
from wellread.hub.location import Fetched
from wellread.hub.obtain import complaint, examine, fetch, locked, obtain
from wellread.hub.records import Request, all_records, find_record, request_for
from wellread.hub.resolve import local, preprocessor_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A module whose files were hashed and compared."""

    handle: str
    directory: Path
    stamps: Mapping[str, Stamp]  # path in the directory -> what is there
    faults: Mapping[str, str]  # path in the directory -> what is wrong with it


def verify(
    handle: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> list[Verified]:
    """Hash every file of a module, or of all that ship with wellread or were ever pulled, and compare.

    Files are held against what was recorded when they were pulled, and those of a native module against its
    `wellread.json`. The network is not used.

    Raises: InputError for what nothing is recorded of; HandleError.

    >>> import wellread
    >>> [module] = wellread.verify("default")
    >>> dict(module.faults)
    {}
    """
    if handle is None:
        shipped = [_native(name, directory) for name, directory in packaged_modules().items()]
        return [*shipped, *map(_recorded, all_records())]
    here = local(handle)
    name = os.fspath(handle)
    if here is None:
        record = find_record(request_for(locate(name), revision=revision, cache_dir=cache_dir))
        if record is None:
            raise _unrecorded(name, "that it was never pulled", f"run wellread pull {name}")
        return [_recorded(record)]
    verified = verify_directory(name, here.directory)
    if verified is None:
        found = f"neither {MANIFEST} in {here.directory} nor a record of it"
        raise _unrecorded(name, found, "pull it by its handle, or write it with Module.save")
    return [verified]


def verify_directory(handle: str, directory: Path) -> Verified | None:
    """Hash the files of a directory; None where nothing says what they should be."""
    for record in all_records():
        if record.directory.resolve() == directory.resolve():
            return _recorded(record)
    return _native(handle, directory) if (directory / MANIFEST).is_file() else None


def refuse_damaged(modules: Iterable[Verified]) -> None:
    """Refuse modules with damaged files. Raises: CheckpointError that names each of them."""
    faults = [
        f"{module.directory / name} {fault}" for module in modules for name, fault in sorted(module.faults.items())
    ]
    if faults:
        raise CheckpointError(
            f"every file must be as it is recorded; found that {'; '.join(faults)}; "
            "run wellread pull, or save the module again"
        )


def _recorded(record: Fetched) -> Verified:
    """Compare with the record, and with `wellread.json` where it is there."""
    comparison = examine(record, full=True)
    manifest = _with_manifest(record.directory, known=comparison.stamps) if MANIFEST in record.files else None
    faults = {**(manifest.faults if manifest else {}), **comparison.faults}
    return Verified(handle=record.location.handle, directory=record.directory, stamps=comparison.stamps, faults=faults)


def _native(handle: str, directory: Path) -> Verified:
    comparison = _with_manifest(directory, known={})
    return Verified(handle=handle, directory=directory, stamps=comparison.stamps, faults=comparison.faults)


def _with_manifest(directory: Path, *, known: Mapping[str, Stamp]) -> Comparison:
    """Compare with the checksums in `wellread.json`; files whose stamps are `known` were hashed just now."""
    data = load_json(directory / MANIFEST)
    checksums = data.get("files") if isinstance(data, dict) else None
    if not isinstance(checksums, dict) or not all(isinstance(value, str) for value in checksums.values()):
        return Comparison(stamps={}, faults={MANIFEST: "is damaged"})
    return compare(directory, checksums, known=known, trusted=known)


def _unrecorded(name: str, found: str, advice: str) -> InputError:
    return InputError(f"{name} was to be verified; found {found}; {advice}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A module that is on this machine."""

    handle: str
    directory: Path
    files: Mapping[str, Stamp]  # path in the directory -> size, time and SHA-256
    commit: str | None = None  # of the Hugging Face hub
    fetched: bool = False  # whether anything was fetched just now
    notes: tuple[str, ...] = ()  # what a user should know

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(stamp.size for stamp in self.files.values())

    @property
    def sha256s(self) -> dict[str, str]:
        """The SHA-256 of each file."""
        return sha256s(self.files)


def pull(
    handle: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
    show: bool | None = None,
) -> Pulled:
    """Fetch a module, or what is new of it, and check every file against the checksums of its source.

    `load` opens what was pulled without the network; new commits of the Hugging Face hub are seen here alone. A module
    of TF Hub, Kaggle or an archive is fetched once, and anew with `force`. A local path and `default` are checked. The
    preprocessor of an encoder that carries no vocabulary is pulled along. `show` is about progress bars; they are shown
    on a terminal if it is None.

    Raises: HandleError, DownloadError, CheckpointError, InputError.

    >>> import wellread
    >>> wellread.pull("default").fetched
    False
    """
    pulled, fetched = _one(handle, revision=revision, token=token, cache_dir=cache_dir, force=force, show=show)
    preprocessor = preprocessor_for(fetched)
    if preprocessor is None:
        return pulled
    text, _ = _one(preprocessor, token=token, cache_dir=cache_dir, force=force, show=show)
    note = f"it carries no vocabulary: its preprocessor {preprocessor} is here too, in {text.directory}"
    return replace(pulled, fetched=pulled.fetched or text.fetched, notes=(*pulled.notes, note))


def _one(handle: str | os.PathLike[str], *, force: bool, show: bool | None, **options: Any) -> tuple[Pulled, Fetched]:
    """Pull one handle; `options` are those of `request_for`."""
    here = local(handle)
    name = os.fspath(handle)
    if here is not None:
        return _local(name, here.directory), here
    request = replace(request_for(locate(name), **options), force=force, show=show)
    with locked(request):
        record, fetched = _held(request) if request.offline else _pulled(request)
    pulled = Pulled(
        handle=request.name,
        directory=record.directory,
        files=record.files,
        commit=record.commit,
        fetched=fetched,
        notes=(request.location.note,) if request.location.note else (),
    )
    return pulled, record


def _local(handle: str, directory: Path) -> Pulled:
    verified = verify_directory(handle, directory)
    if verified is not None:
        refuse_damaged([verified])
        return Pulled(handle=handle, directory=directory, files=verified.stamps)
    files = stamps_of(directory)
    note = "nothing is recorded of these files: they were hashed, and compared with nothing"
    return Pulled(handle=handle, directory=directory, files=files, notes=(note,))


def _held(request: Request) -> tuple[Fetched, bool]:
    """Return what was pulled before, every file hashed. Raises: DownloadError where that is nothing or damaged."""
    if request.force:
        raise DownloadError(
            f"{request.name} was to be fetched anew; found HF_HUB_OFFLINE set; unset it, or leave out force (--force)"
        )
    record = obtain(request)
    comparison = examine(record, full=True)
    if comparison.faults:
        raise DownloadError(f"{complaint(record, comparison.faults)}; run wellread pull {request.name} while online")
    return record, False


def _pulled(request: Request) -> tuple[Fetched, bool]:
    record = None if request.force or request.location.kind == "huggingface" else find_record(request)
    if record is not None and not examine(record, full=True).faults:
        return record, False
    fetched, names = fetch(request, record)
    if find_record(request) is None:
        raise DownloadError(
            f"{request.name} was pulled to {fetched.directory}; found that wellread's cache cannot be written, so that "
            "each load would ask the network; make room, or name another WELLREAD_CACHE"
        )
    return fetched, bool(names)
