"""A Hugging Face id to a snapshot in huggingface_hub's cache, each file held against the hub's checksum of it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any

from wellread.catalog.modules import near_handles
from wellread.errors import CheckpointError, DownloadError, HandleError, some
from wellread.files import Comparison, Stamp, stamp
from wellread.hub.http_errors import STATUSES, Status
from wellread.hub.integrity import blob_id, is_checksum, refuse_wrong_files
from wellread.hub.location import Fetched
from wellread.hub.places import layout_of
from wellread.hub.records import Request

# What the hub says of each file: its bytes, and its SHA-256 or the id of a git blob; None where it is not known.
Listing = Mapping[str, tuple[int | None, str | None]]
# The files that a module is made of; other frameworks' weights, and anything executable, stay where they are.
PATTERNS = (
    *("*.json", "*.txt", "*.model", "*.spiece", "*.safetensors", "adapter_model.bin"),
    *("*_Dense/pytorch_model.bin", "*_LayerNorm/pytorch_model.bin"),
)
# Fetched where there are no safetensors, and none of the kind before: many repositories hold several.
OLDER_PATTERNS = (
    ("pytorch_model*.bin", "0_*/pytorch_model*.bin"),  # sentence-transformers kept the encoder in 0_Transformer
    ("saved_model.pb", "variables/variables.*", "assets/*"),
    ("*.ckpt.index", "*.ckpt.data-*"),
)


def selected(names: Iterable[str]) -> list[str]:
    """Return which files of a repository make up the module.

    >>> selected(["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"])
    ['config.json', 'model.safetensors']
    """
    every = sorted(names)
    files = _matching(every, PATTERNS)
    whole = [name for name in _matching(files, ("*.safetensors",)) if not name.startswith("adapter_")]
    if not any("/" not in name or name.startswith("0_") for name in whole):
        files += next((older for older in (_matching(every, patterns) for patterns in OLDER_PATTERNS) if older), [])
    return files


def _matching(names: Iterable[str], patterns: Collection[str]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def fetch(request: Request, *, commit: str | None = None) -> tuple[Fetched, list[str]]:
    """Fetch what is not there of the newest commit of a revision, or of `commit`, and check every file.

    A file with another checksum than the hub's is fetched again once. Also returns which files were fetched.

    Raises: HandleError for what the hub does not know; DownloadError for what cannot be had whole, CheckpointError for
        what is no model file.
    """
    revision = commit or request.location.revision
    commit, listing = _listing(request, revision)
    there = {name for name in listing if _cached(request, commit, name)}
    large = fetch_large(request, commit, listing)
    if request.force and (small := [name for name in listing if name not in large]):
        _snapshot(request, revision=revision, allow_patterns=list(map(escape, small)), force_download=True)
    directory = _download(request, listing, revision=revision, commit=commit)
    comparison = compare_snapshot(directory, listing, known=large)
    stamps = comparison.stamps
    if comparison.faults:
        _drop(directory, comparison.faults)
        warnings.warn(f"{_damage(request.name, comparison.faults)}; fetching again", UserWarning, stacklevel=2)
        _download(request, listing, revision=revision, commit=commit)
        again = compare_snapshot(directory, {name: listing[name] for name in comparison.faults})
        _refuse_again(request, directory, again.faults)
        stamps = {**stamps, **again.stamps}
    refuse_wrong_files(directory)
    fetched = [name for name in listing if request.force or name in comparison.faults or name not in there]
    return Fetched(location=request.location, directory=directory, files=stamps, commit=commit), fetched


def find(request: Request) -> Fetched:
    """Take a snapshot as it lies in the cache, without the network, each file checked where its link names a checksum.

    Raises: DownloadError where there is none, or a file is damaged.
    """
    directory = _snapshot(
        request, revision=request.location.revision, local_files_only=True, allow_patterns=list(PATTERNS)
    )
    files = stamped(request.name, directory, selected(present(directory)))
    return Fetched(location=request.location, directory=directory, files=files, commit=directory.name)


def stamped(name: str, directory: Path, files: Iterable[str]) -> dict[str, Stamp]:
    """Hash files of a snapshot that another program fetched, each checked where its link names a checksum.

    Raises: DownloadError where one is damaged; `name` names the module.
    """
    comparison = compare_snapshot(directory, dict.fromkeys(files, (None, None)))
    if comparison.faults:
        raise DownloadError(f"{_damage(name, comparison.faults)}; run wellread pull {name} while online")
    return dict(comparison.stamps)


def present(directory: Path) -> list[str]:
    """Name the files of a snapshot that lies in the cache, by their paths in it."""
    return [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]


def _listing(request: Request, revision: str | None) -> tuple[str, Listing]:
    """Ask the hub for a commit and for what it says of the module's files."""
    import huggingface_hub

    with hub_errors(request):
        api = huggingface_hub.HfApi(token=request.token)
        info = api.model_info(request.location.address, revision=revision, files_metadata=True)
        files = {each.rfilename: each for each in info.siblings or ()}
        if any(each.blob_id is None for each in files.values()):  # a mirror that keeps the details for its tree
            tree = api.list_repo_tree(request.location.address, recursive=True, revision=info.sha)
            files = {each.path: each for each in tree if hasattr(each, "blob_id")}
    refuse_other_forms(request.name, files)
    checksums = {}
    for name in selected(files):
        file = files[name]
        checksums[name] = (file.size, file.blob_id) if file.lfs is None else (file.lfs.size, file.lfs.sha256)
    return info.sha, checksums


def refuse_other_forms(handle: str, names: Collection[str]) -> None:
    """Refuse a repository that holds a model in forms alone that wellread does not read, before anything is fetched.

    Raises: CheckpointError that names them, and what would do.
    """
    layout = layout_of(sorted(names))
    if layout.name in ("other weights", "old adapter"):
        raise CheckpointError(
            f"{handle} was to be fetched; found {layout.what} ({some(layout.shown(names))}) and no form of it that "
            f"wellread reads; {layout.advice}"
        )


def _cached(request: Request, commit: str, name: str) -> bool:
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(
        request.location.address, name, cache_dir=request.cache, revision=commit
    )
    return isinstance(found, str)


def _download(request: Request, listing: Listing, *, revision: str | None, commit: str) -> Path:
    needed = sum(size or 0 for size, _ in listing.values())
    patterns = [escape(name) for name in listing]
    directory = _snapshot(request, revision=revision, allow_patterns=patterns, needed=needed)
    if directory.name != commit:  # huggingface_hub falls back on what it has
        raise DownloadError(
            f"commit {commit} of {request.name} was to be fetched; found {directory.name}: the hub moved on or went "
            "out of reach meanwhile; try again"
        )
    return directory


def _snapshot(request: Request, *, needed: int = 0, **options: Any) -> Path:
    """Have huggingface_hub make a snapshot whole, and return where it lies."""
    import huggingface_hub

    with hub_errors(request, needed=needed):
        return Path(
            huggingface_hub.snapshot_download(
                request.location.address,
                token=request.token,
                cache_dir=request.cache,
                tqdm_class=_bar(request.show),
                **options,
            )
        )


def _bar(show: bool | None) -> Any:
    """Return a class of progress bars for huggingface_hub, whose own are shown without a terminal too."""
    from huggingface_hub.utils import tqdm

    shown = sys.stderr.isatty() if show is None else show

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": not shown})

    return Bar


def _drop(directory: Path, damaged: Iterable[str]) -> None:
    for name in damaged:
        remove(directory / name)


def _refuse_again(request: Request, directory: Path, damaged: Mapping[str, str]) -> None:
    """Refuse files that came damaged twice, and delete them."""
    if not damaged:
        return
    try:
        refuse_wrong_files(directory)  # which knows a web page when it sees one
    finally:
        _drop(directory, damaged)
    raise DownloadError(f"{_damage(request.name, damaged)}, and so once more; try again later")


def _damage(name: str, damaged: Mapping[str, str]) -> str:
    words = "; ".join(f"{file}: {fault}" for file, fault in damaged.items())
    return f"the files of {name} must be what the hub says; found {words}"


# -- large files, over plain HTTP into huggingface_hub's cache ---------------------------------------------------------

LARGE = 8_000_000  # bytes


def fetch_large(request: Request, commit: str, listing: Listing) -> dict[str, Stamp]:
    """Fetch the large files that are not in the cache, or all of them by force, hashed as they come.

    huggingface_hub takes twice as long over them, and begins anew where it was broken off. What the hub keeps in
    its Xet storage is left to it. Returns the stamps of what was fetched.

    A file lies where huggingface_hub looks for it, in the blob that is named by its ETag. Raises: HandleError,
    DownloadError.
    """
    large = [name for name, (size, _) in listing.items() if (size or 0) >= LARGE]
    if not large or not _has_links(request):
        return {}
    found = ((name, _fetch_blob(request, commit, name)) for name in large)
    return {name: stamp for name, stamp in found if stamp is not None}


def _has_links(request: Request) -> bool:
    """Whether the cache's disk has links; else huggingface_hub would copy what is fetched here."""
    from huggingface_hub.file_download import are_symlinks_supported

    with hub_errors(request):
        return bool(are_symlinks_supported(request.cache))


def _fetch_blob(request: Request, commit: str, name: str) -> Stamp | None:
    """Fetch a file into its blob; None where it is there, or is for huggingface_hub to fetch."""
    import huggingface_hub
    from huggingface_hub.utils import build_hf_headers

    from wellread.hub.download import download  # opens a socket when it is imported, through urllib3

    address = request.location.address
    with hub_errors(request):
        url = huggingface_hub.hf_hub_url(address, name, revision=commit)
        facts = huggingface_hub.get_hf_file_metadata(url, token=request.token, retry_on_errors=True)
    if not is_checksum(facts.etag or "") or facts.xet_file_data is not None:
        return None
    blob = Path(request.cache) / f"models--{address.replace('/', '--')}" / "blobs" / str(facts.etag)
    if blob.is_file() and not request.force:
        return None
    login = {key: value for key, value in build_hf_headers(token=request.token).items() if key == "authorization"}
    return download(url, blob, headers=login, show=request.show, label=name)


# -- files of a snapshot, against their checksums ---------------------------------------------------------------------


def compare_snapshot(directory: Path, listing: Listing, *, known: Mapping[str, Stamp] | None = None) -> Comparison:
    """Hold files against what the hub, or else the name that a link leads to, says of their content.

    Those whose stamp is `known` were hashed just now.
    """
    stamps, faults = {}, {}
    for name, (_, checksum) in listing.items():
        path = directory / name
        if not path.is_file():
            faults[name] = "nothing in its place"
            continue
        stamps[name] = stamp(path, known=(known or {}).get(name))
        digest = checksum or _linked(path)
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


# -- huggingface_hub's errors in our words ----------------------------------------------------------------------------

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def hub_errors(request: Request, *, needed: int = 0) -> Iterator[None]:
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
        near = near_handles(request.location.address)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise HandleError(
            f"the Hugging Face id {request.location.address!r} was asked for; the hub knows no such repository, or not "
            f"with this token; check its spelling and HF_TOKEN{hint}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HandleError(
            f"revision {request.location.revision!r} of {request.location.address} was asked for; the hub knows no "
            "such revision; check its spelling"
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
    found, advice = STATUSES.get(status, Status()).read
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
