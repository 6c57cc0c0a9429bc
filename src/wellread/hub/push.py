"""A directory to the Hugging Face hub: in one commit, and compared with what the hub then says it holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from wellread.errors import ExportError, HandleError, InputError
from wellread.files import sha256
from wellread.hub.blobs import blob_id

SHOWN = 300  # characters of what the hub itself says
# HTTP status -> what it means, what to do
REFUSALS = {
    400: ("it cannot take this", "correct what it names"),
    401: ("it does not accept this token there", "log in with hf auth login, or set HF_TOKEN"),
    402: ("it asks for payment", "make room there, or push to another owner"),
    403: ("this token may not write there", "check the owner's name, and that the token has the right to write"),
    404: ("it knows no such repository or branch, or not with this token", "check the spelling and the token"),
    409: ("something else changes the repository", "wait until that is done and run it again"),
    412: ("something else changed the branch meanwhile", "run it again"),
    413: ("this is too large for it", "save as float16, or push a smaller module"),
    429: ("it takes no more requests for now", "wait some minutes and run it again; what arrived is not sent twice"),
}
FAILED = ("it failed", "run it again later; what arrived is not sent twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where on the hub a directory goes."""

    repo_id: str  # owner/name; a name alone is of the account whose token it is
    message: str  # of the commit
    revision: str | None = None  # a branch, made where it is not there; none: main
    path: str = ""  # folder in the repository
    private: bool = False  # a new repository is made private, and one that is there must be


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What the hub holds after an upload."""

    repo_id: str  # owner/name
    url: str  # of the commit
    commit: str
    files: Mapping[str, str]  # path in the repository -> SHA-256, of each file that was sent
    others: tuple[str, ...]  # paths of what was there before and stays


def connect(to: Destination, token: str | None) -> Any:
    """Return the hub's client with `token`, the stored login's if none is given; no socket is opened.

    Raises: HandleError for what is no id; InputError without a token or with one that none can be; ExportError offline.
    """
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import validate_repo_id

    with explained(to):
        validate_repo_id(to.repo_id)
    constants.HF_HUB_DISABLE_TELEMETRY = True  # see hub.hub_errors
    if constants.is_offline_mode():
        raise ExportError(f"{to.repo_id} was to be filled; found that HF_HUB_OFFLINE is set; unset it and run it again")
    token = token or huggingface_hub.get_token()
    if token is None:
        raise InputError(
            f"{to.repo_id} was to be filled; found no token of the Hugging Face hub; run hf auth login, set HF_TOKEN "
            "or pass token="
        )
    if not token.isascii() or not token.isprintable() or " " in token:  # else it would stand in the client's error
        raise InputError(
            f"{to.repo_id} was to be filled; found a token with white space or signs that no token has; copy it again"
        )
    return huggingface_hub.HfApi(token=token, library_name="wellread")


def make_repository(api: Any, to: Destination) -> Destination:
    """Make the repository and its branch where they are not there; return the destination with its owner.

    Raises: ExportError.
    """
    with explained(to):
        # false would make a repository public where its owner's default is private
        made = api.create_repo(to.repo_id, private=to.private or None, exist_ok=True)
        to = replace(to, repo_id=made.repo_id)
        if to.private and not api.repo_info(to.repo_id).private:
            raise ExportError(
                f"a private {to.repo_id} was to be filled; found that it is public; make it private in its settings, "
                "or leave private out"
            )
        if to.revision is not None and not to.revision.startswith("refs/"):
            api.create_branch(to.repo_id, branch=to.revision, exist_ok=True)
    return to


def fill(api: Any, folder: Path, to: Destination) -> Pushed:
    """Put every file of `folder` into the repository in one commit, and compare what it then holds.

    Raises: ExportError; where files differ it names them.
    """
    from huggingface_hub import CommitOperationAdd, RepoFile

    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    sent = {(PurePosixPath(to.path) / path.relative_to(folder).as_posix()).as_posix(): path for path in paths}
    files = {name: sha256(path) for name, path in sent.items()}
    with explained(to):
        operations = [CommitOperationAdd(name, str(path)) for name, path in sent.items()]
        made = api.create_commit(to.repo_id, operations, commit_message=to.message, revision=to.revision)
    with explained(to, committed=made.oid):
        tree = api.list_repo_tree(to.repo_id, recursive=True, revision=made.oid)
        held = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    wrong = [name for name, path in sent.items() if name not in held or not _same(path, files[name], held[name])]
    if wrong:
        raise ExportError(
            f"{to.repo_id} was to hold {len(sent)} files at {made.oid}; found that {', '.join(wrong)} "
            f"{'is' if len(wrong) == 1 else 'are'} missing or other than what was sent; run it again"
        )
    others = tuple(sorted(held.keys() - sent.keys() - {".gitattributes"}))
    return Pushed(repo_id=to.repo_id, url=made.commit_url, commit=made.oid, files=files, others=others)


def _same(path: Path, digest: str, held: Any) -> bool:
    """Compare a file with what the hub holds: by SHA-256 in its large storage, else by git's id of the content."""
    return bool(held.lfs.sha256 == digest if held.lfs is not None else held.blob_id == blob_id(path))


@contextmanager
def explained(to: Destination, *, committed: str | None = None) -> Iterator[None]:
    """Turn the client's errors into ours; `committed` is the commit, once it was made."""
    from huggingface_hub import errors

    try:
        with _bars_on_terminals():
            yield
    except errors.HFValidationError as error:
        raise HandleError(
            f"the Hugging Face id {to.repo_id!r} was given; found that it is none, such as owner/name; "
            "check its spelling"
        ) from error
    except (errors.HTTPError, OSError, RuntimeError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error  # of one file
        found, advice = _reason(cause)
        asked = f"was filled, and its commit {committed} to be compared" if committed else "was to be filled"
        raise ExportError(f"{to.repo_id} {asked}; found that {found}; {advice}") from error


@contextmanager
def _bars_on_terminals() -> Iterator[None]:
    """Keep the client's progress bars off where stderr is no terminal."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    ours = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if ours:
        disable_progress_bars()
    try:
        yield
    finally:
        if ours:
            enable_progress_bars()


def _reason(error: BaseException) -> tuple[str, str]:
    """Say what went wrong, and what to do."""
    from huggingface_hub import errors

    if not isinstance(error, errors.HfHubHTTPError):
        what = _flat(f"{type(error).__name__}: {error}")
        hint = "set HF_HUB_DISABLE_XET=1 where the hub has no Xet storage, or " if "/xet-" in what else ""
        return f"the hub was not reached, or answered what its client does not know ({what})", hint + FAILED[1]
    status = error.response.status_code
    meaning, advice = REFUSALS.get(status, FAILED)
    said = f": {_flat(error.server_message)}" if error.server_message else ""
    return f"the hub answered {status}, {meaning}{said}", advice


def _flat(text: str) -> str:
    """Bring what others say into one line of bounded length."""
    return " ".join(text.split())[:SHOWN]
