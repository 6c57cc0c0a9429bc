"""A handle to the directory where its files lie: of this machine, or by `obtain`, which fetches what is not there.

Modules that ship with wellread are found without the catalog, the hubs and the network's libraries, which take longer
than they do.
"""

from __future__ import annotations

import os
from pathlib import Path

from wellread.catalog.packaged import PACKAGED, packaged_directory
from wellread.errors import HandleError, InputError
from wellread.hub.location import SUFFIXES, Fetched, Location

DEFAULT = PACKAGED / "default"


def resolve(
    handle: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Fetched:
    """Return where the module lies that `handle` names, fetching it where it was never pulled.

    `default` ships with wellread, and so may others whose names begin with it (`catalog.packaged`); an existing path is
    taken as it is, and a .tar, .tar.gz or .zip is unpacked into wellread's cache, once; an address is looked up where
    `wellread revive` and tensorflow-hub install; `owner/name` goes through huggingface_hub, with its cache,
    HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE; for other handles see `hub.handles`.

    What was pulled before is opened without the network: new commits and versions are seen by `pull` alone. Its files
    are checked first: hashed where they are under 64 MB in all, or else where a size or time is new. What is damaged is
    fetched once more, or refused where the network is not to be used.

    Raises: HandleError for a handle that names nothing; DownloadError for one that cannot be fetched whole;
        CheckpointError for an archive that is damaged or hostile, or files that are no model's; InputError.
    """
    fetched = local(handle)
    if fetched is not None:
        return fetched
    from wellread.hub.handles import locate
    from wellread.hub.obtain import obtain
    from wellread.hub.records import request_for

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
    name = os.fspath(handle)
    shipped = packaged_directory(name)
    default = Fetched(location=Location(handle=name, kind="default", address=name), directory=shipped or DEFAULT)
    if shipped is not None and isinstance(handle, str):
        return default
    path = os.path.expanduser(name)
    if name and not os.path.exists(path) and os.path.isfile(f"{path}.index"):  # a TensorFlow 1 checkpoint's prefix
        path = f"{path}.index"
    if name and os.path.exists(path):  # neither raises, whatever the handle is made of
        return _on_disk(Location(handle=name, kind="path", address=path), Path(path))
    if shipped is not None:  # given as a path, and there is none
        return default
    if "://" not in name:
        return None
    from wellread.hub.handles import locate
    from wellread.hub.tfhub_cache import find

    directory_of_tfhub = find(name)
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
    from wellread.hub.integrity import refuse_wrong_files
    from wellread.hub.places import what_lies_at

    archive = None
    if path.name.endswith(SUFFIXES) and path.is_file():
        from wellread.files import cache_directory
        from wellread.hub.archives import unpack_once

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
