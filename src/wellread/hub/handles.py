"""A handle to the directory where its files lie: the embedded default, a local path, a Hugging Face id."""

from __future__ import annotations

import os
import re
from pathlib import Path

from wellread.errors import DownloadError, HandleError

DEFAULT = Path(__file__).parent.parent / "catalog" / "default"
# "name" or "owner/name", as the hub spells them
HUGGINGFACE_ID = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
# The files that a module is made of; other frameworks' weights, and anything executable, stay where they are.
PATTERNS = (
    *("*.json", "*.txt", "*.model", "*.spiece"),
    *("*.safetensors", "pytorch_model*.bin", "*_Dense/pytorch_model.bin"),
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

    `default` ships with wellread; an existing path is taken as it is; `owner/name` goes through huggingface_hub,
    with its cache, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE.

    Raises: HandleError for a handle that names nothing; DownloadError for one that cannot be fetched.
    """
    if handle == "default":
        return DEFAULT
    path = Path(handle).expanduser()
    if path.exists():
        return path
    name = str(handle)
    if not HUGGINGFACE_ID.fullmatch(name):
        raise HandleError(
            f"the handle {name!r} was given; there is no such path, and it is no Hugging Face id such as "
            "sentence-transformers/all-MiniLM-L6-v2; check its spelling"
        )
    return _snapshot(name, revision, token, cache_dir, local_files_only)


def _snapshot(
    name: str,
    revision: str | None,
    token: str | None,
    cache_dir: str | os.PathLike[str] | None,
    local_files_only: bool,
) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    try:
        return Path(
            huggingface_hub.snapshot_download(
                name,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                allow_patterns=list(PATTERNS),
            )
        )
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
            f"{name} was asked for; it is not in the cache and the hub cannot be reached "
            "(offline, or HF_ENDPOINT is wrong); fetch it while online, or pass a local directory"
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise DownloadError(f"{name} was to be fetched; the hub answered: {error}; try again later") from error
