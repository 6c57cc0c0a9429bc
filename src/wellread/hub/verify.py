"""verify: hash every file of a module, whatever its size and time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wellread.errors import CheckpointError, InputError
from wellread.hub.checksums import MANIFEST, Comparison, Stamp, compare
from wellread.hub.handles import locate
from wellread.hub.records import Record, all_records, find_record, recall
from wellread.hub.request import request_for
from wellread.hub.resolve import DEFAULT, local
from wellread.hub.store import examine


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
    """Hash every file of a module, or of `default` and all that were ever pulled, and compare.

    Files are held against what was recorded when they were pulled, and those of a native module against its
    `wellread.json`. The network is not used.

    Raises: InputError for what nothing is recorded of; HandleError.

    >>> import wellread
    >>> [module] = wellread.verify("default")
    >>> dict(module.faults)
    {}
    """
    if handle is None:
        return [_native("default", DEFAULT), *map(_recorded, all_records())]
    name, here = os.fspath(handle), local(handle)
    if here is None:
        record = find_record(request_for(locate(name), revision=revision, cache_dir=cache_dir).key)
        if record is None:
            raise _unrecorded(name, "that it was never pulled", f"run wellread pull {name}")
        return [_recorded(record)]
    verified = verify_directory(name, here)
    if verified is None:
        found = f"neither {MANIFEST} in {here} nor a record of it"
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


def _recorded(record: Record) -> Verified:
    """Compare with the record, and with `wellread.json` where it is there."""
    found = examine(record, full=True)
    own = _with_manifest(record.directory, known=found.stamps) if record.native else None
    faults = {**(own.faults if own else {}), **found.faults}
    return Verified(handle=record.handle, directory=record.directory, stamps=found.stamps, faults=faults)


def _native(handle: str, directory: Path) -> Verified:
    found = _with_manifest(directory, known={})
    return Verified(handle=handle, directory=directory, stamps=found.stamps, faults=found.faults)


def _with_manifest(directory: Path, *, known: Mapping[str, Stamp]) -> Comparison:
    """Compare with the checksums in `wellread.json`; files whose stamps are `known` were hashed just now."""
    data = recall(directory / MANIFEST)
    wanted = data.get("files") if isinstance(data, dict) else None
    if not isinstance(wanted, dict) or not all(isinstance(value, str) for value in wanted.values()):
        return Comparison(stamps={}, faults={MANIFEST: "is damaged"})
    return compare(directory, wanted, known=known, trusted=known)


def _unrecorded(name: str, found: str, advice: str) -> InputError:
    return InputError(f"{name} was to be verified; found {found}; {advice}")
