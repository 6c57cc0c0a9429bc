"""Modules from TF Hub, Kaggle and archives, fetched into a directory of their own, whole or not at all."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType

from wellread.errors import DownloadError, HandleError
from wellread.files import stamps_of
from wellread.hub.archives import step_in, unpack
from wellread.hub.download import Wanted, fetch, locked
from wellread.hub.http import without_password
from wellread.hub.http_errors import FaultError, refuse_offline, status_fault
from wellread.hub.integrity import refuse_wrong_files
from wellread.hub.location import Fetched
from wellread.hub.records import Request

COMPRESSED = "tf-hub-format=compressed"  # asks tfhub.dev for the module in place of its page
DEAD = ("gone", "refused", "page")  # faults of an address that no longer serves a module


def fetch_archive(
    url: str, directory: Path, *, show: bool | None = None, label: str = "", expected: str | None = None
) -> tuple[Path, str | None]:
    """Fetch the archive at `url`, unpack it into `directory`, and delete it.

    Returns where the files are, `directory` or the one folder that is all it holds, and the SHA-256 of the archive,
    None where none was fetched. A directory with files in it is taken as
    it is: it is there whole or not at all. `expected` is the archive's SHA-256.

    Raises: DownloadError as `download`; CheckpointError for an archive that is damaged or hostile, as `unpack`.
    """
    try:
        return unpacked(url, directory, show=show, label=label, expected=expected)
    except FaultError as fault:
        raise DownloadError(
            f"{without_password(url)} was to be fetched; found {fault.found}; {fault.advice}"
        ) from fault


def unpacked(
    url: str, directory: Path, *, show: bool | None = None, label: str = "", expected: str | None = None
) -> tuple[Path, str | None]:
    """Fetch as `fetch_archive` does. Raises: FaultError, for callers with words of their own; CheckpointError."""
    archive = directory.with_name(f"{directory.name}.archive.gz")
    with locked(directory):
        if directory.is_dir() and any(directory.iterdir()):  # another process was sooner
            return step_in(directory), None
        label = label or directory.name
        came = fetch(Wanted(url=url, path=archive, show=show, label=label, expected=expected))
        try:
            return unpack(archive, directory), came.sha256
        finally:
            archive.unlink()


def fetch_tfhub(
    address: str, directory: Path, *, alternatives: Sequence[str] = (), show: bool | None = None
) -> tuple[Path, str | None]:
    """Fetch the module of a tfhub.dev address into `directory`, as tensorflow-hub does.

    `alternatives` are living handles of the same weights, for the message where the address is dead.

    Raises: DownloadError, CheckpointError as `fetch_archive`.
    """
    url = f"{address}{'&' if '?' in address else '?'}{COMPRESSED}"
    try:
        return unpacked(url, directory, show=show, label=address.removeprefix("https://tfhub.dev/"))
    except FaultError as fault:
        dead = fault.kind in DEAD
        found = f"a dead address ({fault.found})" if dead else fault.found
        advice = _advice(address, alternatives) if dead else _or_else(fault.advice, alternatives)
        raise DownloadError(f"the module {without_password(address)} was asked for; found {found}; {advice}") from fault


def _or_else(advice: str, alternatives: Sequence[str]) -> str:
    return f"{advice}; or take the same weights from {', '.join(alternatives)}" if alternatives else advice


def _advice(address: str, alternatives: Sequence[str]) -> str:
    if alternatives:
        return f"the same weights are at {', '.join(alternatives)}"
    return f"get the module from elsewhere, and run wellread revive {address} --from MODULE"


ENDPOINT = "https://www.kaggle.com"
PARTS = "owner/model/framework/variation/version"


def fetch_kaggle(address: str, directory: Path, *, show: bool | None = None) -> tuple[Path, str | None]:
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


def _through_kagglehub(address: str, directory: Path, show: bool | None) -> tuple[Path, str | None]:
    """Have kagglehub fetch a model, one process at a time: it has no locks."""
    refuse_offline()
    with locked(directory), _kagglehub(show) as kagglehub:
        corrupted = importlib.import_module("kagglehub.exceptions").DataCorruptionError
        try:
            return Path(kagglehub.model_download(address)), None
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


def fetch_module(request: Request, *, archive: str | None = None) -> Fetched:
    """Fetch a module anew and put it in the place of what stands there; `archive` is the SHA-256 that it must have.

    Raises: HandleError, DownloadError, CheckpointError.
    """
    target = Path(request.cache) / "modules" / hashlib.sha256(request.location.address.encode()).hexdigest()
    new = target.with_name(f"{target.name}.new")
    _clear(new, *target.parent.glob(f".{new.name}.*"))  # what a process that was killed left
    fetched, sha256 = _download(request, new)
    refuse_wrong_files(fetched)
    if archive is not None and sha256 != archive:
        _clear(new)
        raise DownloadError(
            f"{request.name} was to be fetched as it was pulled; found another archive at its address; run wellread "
            f"pull --force {request.name} to take that"
        )
    if not fetched.is_relative_to(new):  # kagglehub has a cache of its own
        return Fetched(location=request.location, directory=fetched, files=stamps_of(fetched))
    directory = target / fetched.relative_to(new)
    _swap(new, target)
    return Fetched(location=request.location, directory=directory, files=stamps_of(directory), archive=sha256)


def _download(request: Request, directory: Path) -> tuple[Path, str | None]:
    location, show = request.location, request.show
    if location.kind == "tfhub":
        return fetch_tfhub(location.address, directory, alternatives=location.alternatives, show=show)
    if location.kind == "kaggle":
        return fetch_kaggle(location.address, directory, show=show)
    return fetch_archive(location.address, directory, show=show)


def _swap(new: Path, target: Path) -> None:
    """Move `new` to its place. A process that is killed meanwhile leaves no place, and the next pull fetches again."""
    old = target.with_name(f"{target.name}.old")
    _clear(old)
    if target.exists():
        target.rename(old)
    new.rename(target)
    _clear(old)


def _clear(*directories: Path) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
