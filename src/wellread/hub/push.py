"""A directory to the Hugging Face hub: in one commit, and compared with what the hub then says it holds."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from wellread.dataclass import dataclass
from wellread.errors import ExportError, HandleError, InputError
from wellread.files import CARD, own_card, sha256
from wellread.hub.http_errors import SENT_ONCE, STATUSES, Status
from wellread.hub.integrity import blob_id
from wellread.version import __version__

SHOWN = 300  # characters of what the hub itself says


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What the hub holds after an upload."""

    repo_id: str  # owner/name
    url: str  # of the commit
    commit: str
    files: Mapping[str, str]  # path in the repository -> SHA-256, of each file that was sent
    others: tuple[str, ...]  # paths of what was there before and stays


class Upload:
    """A directory's way to a repository of the Hugging Face hub: one commit, compared with what the hub then holds."""

    def __init__(
        self,
        repo_id: str,
        *,
        private: bool = False,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        path: str = "",
    ) -> None:
        """Take the repository's name and the hub's client; no socket is opened.

        A name without an owner is of the account whose token it is. `private` makes a new repository private, and
        refuses one that is public. `revision` is a branch, made where it is not there; `path` a folder in the
        repository. `token` is the stored login's if not given; HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured.

        Raises: HandleError for what is no id; InputError without a token or with one that none can be; ExportError
            offline.
        """
        import huggingface_hub
        from huggingface_hub import constants
        from huggingface_hub.utils import validate_repo_id

        self.repo_id, self.private, self.revision, self.path = repo_id, private, revision, path
        self.message = commit_message or f"Push with wellread {__version__}"
        with self._explained():
            validate_repo_id(repo_id)
        constants.HF_HUB_DISABLE_TELEMETRY = True  # see hub.hub_errors
        if constants.is_offline_mode():
            raise ExportError(
                f"{repo_id} was to be filled; found that HF_HUB_OFFLINE is set; unset it and run it again"
            )
        token = token or huggingface_hub.get_token()
        if token is None:
            raise InputError(
                f"{repo_id} was to be filled; found no token of the Hugging Face hub; run hf auth login, set HF_TOKEN "
                "or pass token="
            )
        if not token.isascii() or not token.isprintable() or " " in token:  # else it would stand in the client's error
            raise InputError(
                f"{repo_id} was to be filled; found a token with white space or signs that no token has; copy it again"
            )
        self._api = huggingface_hub.HfApi(token=token, library_name="wellread")

    def send(self, directory: Path, *, card: str | Callable[..., str] | None = None) -> Pushed:
        """Put every file of `directory` into the repository, made where it is not there, and compare what it holds.

        `card` is the text of its README.md, or what makes one for a `repo_id`: the latter is asked unless people wrote
        the card that the repository has. Files of other names stay, and are named in `Pushed.others`.

        Raises: ExportError that says what the hub refuses, or names the files that differ.
        """
        self._make_repository()
        files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
        with tempfile.TemporaryDirectory(prefix="wellread.") as temporary:
            if callable(card):
                files.pop(CARD, None)
                card = None if self._has_own_card(Path(temporary)) else card(repo_id=self.repo_id)
            if card is not None:
                files[CARD] = Path(temporary) / "card"
                files[CARD].write_text(card, "utf-8")
            return self._commit({(PurePosixPath(self.path) / name).as_posix(): files[name] for name in sorted(files)})

    def _make_repository(self) -> None:
        """Make the repository and its branch where they are not there, and learn its owner."""
        with self._explained():
            # false would make a repository public where its owner's default is private
            self.repo_id = self._api.create_repo(self.repo_id, private=self.private or None, exist_ok=True).repo_id
            if self.private and not self._api.repo_info(self.repo_id).private:
                raise ExportError(
                    f"a private {self.repo_id} was to be filled; found that it is public; make it private in its "
                    "settings, or leave private out"
                )
            if self.revision is not None and not self.revision.startswith("refs/"):
                self._api.create_branch(self.repo_id, branch=self.revision, exist_ok=True)

    def _has_own_card(self, directory: Path) -> bool:
        """Say whether the repository has a card that people wrote; it is downloaded to `directory`."""
        from huggingface_hub import errors

        with self._explained():
            try:
                self._api.hf_hub_download(self.repo_id, CARD, revision=self.revision, local_dir=directory)
            except errors.EntryNotFoundError:
                return False
        return own_card(directory) is not None

    def _commit(self, files: Mapping[str, Path]) -> Pushed:
        """Send files by their paths in the repository, and compare."""
        from huggingface_hub import CommitOperationAdd, RepoFile

        hashes = {name: sha256(path) for name, path in files.items()}
        with self._explained():
            operations = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
            commit = self._api.create_commit(
                self.repo_id, operations, commit_message=self.message, revision=self.revision
            )
        with self._explained(committed=commit.oid):
            tree = self._api.list_repo_tree(self.repo_id, recursive=True, revision=commit.oid)
            entries = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}

        def is_same(name: str) -> bool:
            """Compare by SHA-256 with the hub's large storage, else by git's id of the content."""
            entry = entries.get(name)
            if entry is None:
                return False
            if entry.lfs is not None:
                return bool(entry.lfs.sha256 == hashes[name])
            return bool(entry.blob_id == blob_id(files[name]))

        wrong = [name for name in files if not is_same(name)]
        if wrong:
            raise ExportError(
                f"{self.repo_id} was to hold {len(files)} files at {commit.oid}; found that {', '.join(wrong)} "
                f"{'is' if len(wrong) == 1 else 'are'} missing or other than what was sent; run it again"
            )
        others = tuple(sorted(entries.keys() - files.keys() - {".gitattributes"}))
        return Pushed(repo_id=self.repo_id, url=commit.commit_url, commit=commit.oid, files=hashes, others=others)

    @contextmanager
    def _explained(self, *, committed: str | None = None) -> Iterator[None]:
        """Turn the client's errors into ours; `committed` is the commit, once it was made."""
        from huggingface_hub import errors

        try:
            with _bars_on_terminals():
                yield
        except errors.HFValidationError as error:
            raise HandleError(
                f"the Hugging Face id {self.repo_id!r} was given; found that it is none, such as owner/name; "
                "check its spelling"
            ) from error
        except (errors.HTTPError, OSError, RuntimeError, ValueError) as error:
            cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error  # of one file
            reason, advice = _reason(cause)
            step = f"was filled, and its commit {committed} to be compared" if committed else "was to be filled"
            raise ExportError(f"{self.repo_id} {step}; found that {reason}; {advice}") from error


@contextmanager
def _bars_on_terminals() -> Iterator[None]:
    """Keep the client's progress bars off where stderr is no terminal."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hide = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            enable_progress_bars()


def _reason(error: BaseException) -> tuple[str, str]:
    """Say what went wrong, and what to do."""
    from huggingface_hub import errors

    if not isinstance(error, errors.HfHubHTTPError):
        what = _flat(f"{type(error).__name__}: {error}")
        hint = "set HF_HUB_DISABLE_XET=1 where the hub has no Xet storage, or " if "/xet-" in what else ""
        return f"the hub was not reached, or answered what its client does not know ({what})", hint + SENT_ONCE
    status = error.response.status_code
    meaning, advice = STATUSES.get(status, Status()).write
    words = f": {_flat(error.server_message)}" if error.server_message else ""
    return f"the hub answered {status}, {meaning}{words}", advice


def _flat(text: str) -> str:
    """Bring what others say into one line of bounded length."""
    return " ".join(text.split())[:SHOWN]
