"""The files of a snapshot in huggingface_hub's cache, their checksums, and huggingface_hub's faults in our words."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wellread.errors import DownloadError, HandleError
from wellread.files import Comparison, Stamp, stamp
from wellread.hub.records import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What the hub says of a file."""

    size: int | None  # bytes
    digest: str | None  # SHA-256, or the id of a git blob


def compare_snapshot(
    directory: Path, promised: Mapping[str, Promised], *, known: Mapping[str, Stamp] | None = None
) -> Comparison:
    """Hold files against what the hub, or else the name that a link leads to, says of their content.

    Those whose stamp is `known` were hashed just now.
    """
    stamps, faults = {}, {}
    for name, each in promised.items():
        path = directory / name
        if not path.is_file():
            faults[name] = "nothing in its place"
            continue
        stamps[name] = stamp(path, known=(known or {}).get(name))
        digest = each.digest or _linked(path)
        found = blob_id(path) if digest and len(digest) == 40 else stamps[name].sha256
        if digest not in (None, found):
            faults[name] = f"checksum {found} where {digest} was promised"
    return Comparison(stamps=stamps, faults=faults)


def remove(path: Path) -> None:
    """Delete a file of the cache: the name that is used, and what it links to."""
    target = path.resolve()
    blob = path.parent / os.readlink(path) if path.is_symlink() else path
    for each in (target, blob, path):
        with suppress(FileNotFoundError):
            each.unlink()


def _linked(path: Path) -> str | None:
    """Return the checksum by which the cache names a file, where it is one: an ETag may be anything."""
    name = Path(os.readlink(path)).name if path.is_symlink() else ""
    return name if is_checksum(name) else None


def is_checksum(name: str) -> bool:
    """Say whether a name is the SHA-256 of a content, or its git id.

    >>> is_checksum("a" * 40), is_checksum("../a")
    (True, False)
    """
    return len(name) in (40, 64) and set(name) <= set("0123456789abcdef")


def blob_id(path: Path) -> str:
    """Return the id that git gives to a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def said_plainly(request: Request, *, needed: int = 0) -> Iterator[None]:
    """Raise what huggingface_hub raises as a HandleError or DownloadError; `needed` is the bytes of all files."""
    from huggingface_hub import constants, errors

    constants.HF_HUB_DISABLE_TELEMETRY = True  # else it asks for a list of agents, and tells the hub what is installed
    name = request.name
    try:
        yield
    except errors.HFValidationError as error:
        raise HandleError(
            f"the handle {name!r} was given; there is no such path, and it is no Hugging Face id such as "
            "sentence-transformers/all-MiniLM-L6-v2; check its spelling"
        ) from error
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"{name} was to be fetched; the hub says that its owner lets in whom they choose "
            f"({error.response.status_code}); ask for access on its page, and set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HandleError(
            f"the Hugging Face id {request.location.address!r} was asked for; the hub knows no such repository, or not "
            "with this token; check its spelling and HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HandleError(
            f"revision {request.revision!r} of {request.location.address} was asked for; the hub knows no such "
            "revision; check its spelling"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        status = getattr(getattr(error.__cause__, "response", None), "status_code", None)
        raise (_refused(name, status) if status else _absent(name, error.__cause__ or "offline")) from error
    except errors.HfHubHTTPError as error:
        raise _refused(name, error.response.status_code) from error
    except (errors.HTTPError, OSError) as error:  # huggingface_hub passes its HTTP library's errors on
        raise _failed(request, error, needed) from error


def _absent(name: str, why: object) -> DownloadError:
    return DownloadError(
        f"{name} was asked for; it is not whole in the cache and could not be fetched ({why}); fetch it while online, "
        "or pass a local directory"
    )


def _refused(name: str, status: int) -> DownloadError:
    found, advice = {
        401: ("that it does not know the token", "check HF_TOKEN"),
        403: ("that it may not be read with this token", "check HF_TOKEN"),
        429: ("that too much was asked of it", "wait some minutes, or set HF_TOKEN, whose limits are higher"),
    }.get(status, ("an error", "try again later"))
    return DownloadError(f"{name} was to be fetched; the hub answered {found} ({status}); {advice}")


def _failed(request: Request, error: Exception, needed: int) -> DownloadError:
    from huggingface_hub import errors

    if getattr(error, "errno", None) in FULL:
        return DownloadError(
            f"{request.name} was to be fetched; it takes {needed:,} bytes and {_free(request.cache):,} are free in "
            f"{request.cache}; make room, or name another disk in HF_HOME"
        )
    unreached = isinstance(error, ConnectionError) or type(error).__name__ in ("ConnectError", "ConnectTimeout")
    if unreached and not isinstance(error, errors.HfHubHTTPError):
        return _absent(request.name, error)
    return DownloadError(f"{request.name} was to be fetched; found that {error}; try again later")


def _free(directory: str) -> int:
    """Return the bytes that are free where a directory is, or would be."""
    place = next(path for path in (Path(directory), *Path(directory).parents) if os.path.exists(path))
    return shutil.disk_usage(place).free
