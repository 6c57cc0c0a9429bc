"""What huggingface_hub raises, said in wellread's words."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wellread.errors import DownloadError, HandleError
from wellread.hub.request import Request

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
