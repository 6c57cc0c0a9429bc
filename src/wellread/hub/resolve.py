"""A handle to the directory where its files lie, fetched where they are not there yet."""

from __future__ import annotations

import os
from pathlib import Path

from wellread.hub import tfhub_cache
from wellread.hub.archives import SUFFIXES, unpack_once
from wellread.hub.handles import locate
from wellread.hub.integrity import refuse_impostors
from wellread.hub.records import request_for
from wellread.hub.store import obtain

DEFAULT = Path(__file__).parent.parent / "catalog" / "default"


def resolve(
    handle: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Path:
    """Return the directory that holds the module `handle` names, fetching it where it was never pulled.

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
    here = local(handle)
    if here is not None:
        return here
    where = {"revision": revision, "token": token, "cache_dir": cache_dir}
    request = request_for(locate(os.fspath(handle)), local_files_only=local_files_only, **where)  # type: ignore[arg-type]
    return obtain(request).directory


def local(handle: str | os.PathLike[str]) -> Path | None:
    """Return where a handle lies that needs no network and was not pulled; None for any other.

    Raises: CheckpointError for an archive that is damaged or hostile, or files that are no model's.
    """
    if handle == "default":
        return DEFAULT
    name = os.fspath(handle)
    path = os.path.expanduser(name)
    if name and os.path.exists(path):  # neither raises, whatever the handle is made of
        is_archive = path.endswith(SUFFIXES) and os.path.isfile(path)
        found = unpack_once(Path(path)) if is_archive else Path(path)
        if found.is_dir():
            refuse_impostors(found)
        return found
    if name == "default":  # given as a path, and there is none
        return DEFAULT
    return tfhub_cache.find(name) if "://" in name else None
