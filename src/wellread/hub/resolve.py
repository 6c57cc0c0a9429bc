"""A handle to the directory where its files lie, fetched where they are not there yet."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from wellread.errors import DownloadError, HandleError
from wellread.hub import tfhub_cache
from wellread.hub.archives import SUFFIXES, unpack_once

DEFAULT = Path(__file__).parent.parent / "catalog" / "default"
# The files that a module is made of; other frameworks' weights, and anything executable, stay where they are.
PATTERNS = ("*.json", "*.txt", "*.model", "*.spiece", "*.safetensors", "*_Dense/pytorch_model.bin")
# Fetched where there are no safetensors, and none of the kind before: many repositories hold several.
OLDER_PATTERNS = (
    ("pytorch_model*.bin",),
    ("saved_model.pb", "variables/variables.*", "assets/*"),
    ("*.ckpt.index", "*.ckpt.data-*"),
)


def resolve(
    handle: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Path:
    """Return the directory that holds the module `handle` names, fetching it where that is needed.

    `default` ships with wellread; an existing path is taken as it is, and a .tar, .tar.gz or .zip is unpacked into
    wellread's cache, once; an address such as https://tfhub.dev/... is looked up where `wellread revive` and
    tensorflow-hub install; `owner/name` goes through huggingface_hub, with its cache, HF_ENDPOINT, HF_TOKEN and
    HF_HUB_OFFLINE.

    Raises: HandleError for a handle that names nothing; DownloadError for one that cannot be fetched; CheckpointError
        for an archive that is damaged or hostile.
    """
    if handle == "default":
        return DEFAULT
    name = os.fspath(handle)
    path = os.path.expanduser(name)
    if name and os.path.exists(path):  # neither raises, whatever the handle is made of
        return unpack_once(Path(path)) if path.endswith(SUFFIXES) and os.path.isfile(path) else Path(path)
    if name.startswith(("https://", "http://")):
        return _installed(name)
    options: dict[str, Any] = {
        "revision": revision,
        "token": token,
        "cache_dir": cache_dir,
        "local_files_only": local_files_only,
    }
    directory = _snapshot(name, PATTERNS, **options)
    wanted: tuple[str, ...] = ("*.safetensors",)
    for older in OLDER_PATTERNS:
        if any(any(directory.glob(pattern)) for pattern in wanted):
            break
        directory, wanted = _snapshot(name, PATTERNS + older, **options), older
    return directory


def _installed(address: str) -> Path:
    """Return where the module of an address lies in TF Hub's cache."""
    directory = tfhub_cache.find(address)
    if directory is not None:
        return directory
    raise HandleError(
        f"the module {address} was asked for; {tfhub_cache.cache_dir()} holds none under that handle, and tfhub.dev's "
        f"links, which wellread does not follow, are dying; run wellread revive {address} --from MODULE, or pass a "
        "local copy"
    )


def _snapshot(name: str, patterns: Collection[str], *, revision: str | None, **options: Any) -> Path:
    """Fetch what is new of a repository, and return where huggingface_hub keeps it."""
    import huggingface_hub
    from huggingface_hub import constants, errors

    constants.HF_HUB_DISABLE_TELEMETRY = True  # else it asks for a list of agents, and tells the hub what is installed
    try:
        found = huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(patterns), **options)
    except errors.HFValidationError as error:
        raise HandleError(
            f"the handle {name!r} was given; there is no such path, and it is no Hugging Face id such as "
            "sentence-transformers/all-MiniLM-L6-v2; check its spelling"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HandleError(
            f"the Hugging Face id {name!r} was asked for; the hub knows no such repository, or not with this token; "
            "check its spelling and HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HandleError(
            f"revision {revision!r} of {name} was asked for; the hub knows no such revision; check its spelling"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise DownloadError(
            f"{name} was asked for; it is not whole in the cache and could not be fetched "
            f"({error.__cause__ or 'offline'}); fetch it while online, or pass a local directory"
        ) from error
    except (errors.HTTPError, OSError) as error:  # huggingface_hub passes its HTTP library's errors on
        raise DownloadError(f"{name} was to be fetched; found that {error}; try again later") from error
    return Path(found)
