"""A model of Kaggle to its files: through kagglehub where it is installed, else over plain https."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType

from wellread.errors import DownloadError, HandleError
from wellread.hub.download import locked, refuse_offline
from wellread.hub.web import FaultError, status_fault
from wellread.hub.web_archives import Fetched, unpacked

ENDPOINT = "https://www.kaggle.com"
PARTS = "owner/model/framework/variation/version"


def fetch_kaggle(address: str, directory: Path, *, show: bool | None = None) -> Fetched:
    """Fetch the model `owner/model/framework/variation/version`.

    kagglehub, where it is installed, fetches into its own cache with its own credentials; without it, or where
    $KAGGLE_API_ENDPOINT names another host, the archive is fetched over https, with no login, into `directory`.

    Raises: HandleError for an address with other parts; DownloadError; CheckpointError for a damaged archive.
    """
    _check(address)
    endpoint = os.environ.get("KAGGLE_API_ENDPOINT", "").rstrip("/")
    try:
        if not endpoint and importlib.util.find_spec("kagglehub") is not None:
            return _through_kagglehub(address, directory, show)
        url = f"{endpoint or ENDPOINT}/api/v1/models/{address}/download"
        return unpacked(url, directory, show=show, label=address)
    except FaultError as fault:
        advice = _login(address) if fault.kind == "refused" else fault.advice
        raise DownloadError(f"the Kaggle model {address} was asked for; found {fault.found}; {advice}") from fault


def _check(address: str) -> None:
    parts = address.split("/")
    plain = all(part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in parts)
    if len(parts) != 5 or not plain or not address.isascii() or not parts[4].isdecimal():
        raise HandleError(f"the Kaggle model {address!r} was asked for; found no {PARTS}; check its spelling")


def _login(address: str) -> str:
    owner, model, *_ = address.split("/")
    page = f"{ENDPOINT}/models/{owner}/{model}"
    return f"accept the licence at {page}, and log in: pip install kagglehub, then kagglehub.login()"


def _through_kagglehub(address: str, directory: Path, show: bool | None) -> Fetched:
    """Have kagglehub fetch a model, one process at a time: it has no locks."""
    refuse_offline()
    with locked(directory), _kagglehub(show) as kagglehub:
        corrupted = importlib.import_module("kagglehub.exceptions").DataCorruptionError
        try:
            return Fetched(directory=Path(kagglehub.model_download(address)))
        except corrupted as error:
            found = f"other bytes than Kaggle promised ({' '.join(str(error).split())})"
            raise FaultError("wrong", found, "run it again") from error
        except (OSError, ValueError) as error:  # those of its HTTP library are OSErrors
            raise _fault(error) from error


@contextmanager
def _kagglehub(show: bool | None) -> Iterator[ModuleType]:
    """Give kagglehub, what it says kept off stdout, where results go, and its bars off where no person looks."""
    shown = sys.stderr.isatty() if show is None else show
    with redirect_stdout(sys.stderr), nullcontext() if shown else redirect_stderr(io.StringIO()):
        kagglehub = importlib.import_module("kagglehub")
        talk = logging.getLogger("kagglehub")
        level = talk.level
        talk.setLevel(logging.WARNING)
        try:
            yield kagglehub
        finally:
            talk.setLevel(level)


def _fault(error: Exception) -> FaultError:
    """Say what an error of kagglehub means."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return FaultError("cut", f"that {error}", "run it again")
    return status_fault(status)
