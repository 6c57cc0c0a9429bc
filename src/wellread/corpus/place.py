"""Where a run over a corpus writes: checked before any work, held against other processes, tidied behind a failure."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from wellread.corpus.join import JOINED, join_shards
from wellread.corpus.manifest import MANIFEST, SHARDS, Manifest, Shard, read_manifest, shard_path, whole_shards
from wellread.data.formats import FilePath
from wellread.dataclass import dataclass
from wellread.errors import DataError, nearest, some
from wellread.files import sync_directory, writing

LOCK = ".lock"
# what a run writes in its folder, unfinished files too
OURS = re.compile(rf"\.?(part-\d{{6,}}\.parquet|{re.escape(MANIFEST)}|{re.escape(SHARDS)})(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run writes: a folder of shards, or a file and, until it is made of them, such a folder beside it."""

    output: Path
    shards: Path

    @classmethod
    def of(cls, output: FilePath) -> Place:
        """Raise DataError for a place that cannot be written to."""
        path = Path(os.path.expanduser(output))
        single = path.suffix.lower() in JOINED
        if path.suffix and not single and not path.is_dir():
            raise DataError(
                f"results were to be written to {path}; wellread writes {', '.join(JOINED)} and folders without an "
                f"ending; name such a file{nearest(path.suffix, JOINED)}"
            )
        fault = None
        if not path.parent.is_dir():
            fault = f"there is no directory {path.parent}"
        elif single and path.is_dir() and path.suffix.lower() != ".lance":
            fault = "it is a directory"
        elif not single and path.exists() and not path.is_dir():
            fault = f"it is a file; a file of vectors ends in {', '.join(JOINED)}"
        elif not os.access(path if path.is_dir() else path.parent, os.W_OK):
            fault = "it may not be written to"
        if fault:
            raise DataError(f"results were to be written to {path}; found that {fault}; choose another place")
        return cls(output=path, shards=path.with_name(f".{path.name}.parts") if single else path)

    @property
    def is_joined(self) -> bool:
        return self.shards != self.output

    def holds(self, file: FilePath) -> bool:
        """Say whether a file is what is written here, or a part of it."""
        return Path(file).resolve().is_relative_to(self.output.resolve())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the place. Raises: DataError where another process does."""
        from filelock import FileLock, Timeout

        with writing(self.shards):
            made = not self.shards.exists()
            self.shards.mkdir(exist_ok=True)
            sync_directory(self.shards.parent)
            lock = FileLock(self.shards / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise DataError(
                f"{self.shards} was to be written; found that another process writes it; wait for it, or choose "
                "another place"
            ) from None
        try:
            yield
        finally:
            with suppress(OSError):  # before it is released: afterwards it may be another's
                (self.shards / LOCK).unlink(missing_ok=True)
            lock.release()
            if made:
                with suppress(OSError):
                    self.shards.rmdir()  # where nothing was written

    def earlier_run(self, *, resume: bool, overwrite: bool) -> Manifest | None:
        """Return the manifest to go on with; None to begin. Nothing is removed.

        Raises: DataError for what is not to be gone over.
        """
        names = [path.name for path in self.shards.iterdir()]
        ours = [name for name in names if OURS.fullmatch(name)]
        before = None if overwrite else read_manifest(self.shards)
        others = [name for name in names if name not in ours and not name.startswith(".")]
        if others or (ours and before is None and not overwrite):
            raise DataError(
                f"vectors were to be written to {self.shards}; found {some(sorted(others or ours))}, of no run that is "
                "known there; choose an empty folder"
            )
        if before is not None and not resume:
            state = "one that is complete" if before.complete else "one that was cut short"
            go_on = "resume=True to go on with it, or " if before.inputs else ""  # standard input is there no more
            raise DataError(
                f"a run was to begin in {self.shards}; found {state}; pass {go_on}overwrite=True to begin anew"
            )
        if self.is_joined and before is None and not overwrite and os.path.lexists(self.output):
            raise DataError(
                f"vectors were to be written to {self.output}; found that it exists; choose another name, or pass "
                "overwrite=True to replace it"
            )
        return before

    def clear(self, *, everything: bool) -> None:
        """Remove what a killed process was writing, or all that an earlier run left but its manifest.

        That goes last or gives way to another: who is killed here leaves a run that is known. Raises: DataError.
        """
        with writing(self.shards):
            for path in list(self.shards.iterdir()):
                unfinished = path.name.startswith(".")
                if OURS.fullmatch(path.name) and (unfinished or (everything and path.name != MANIFEST)):
                    path.unlink()

    @contextmanager
    def cleared_after_failure(self, resumable: bool) -> Iterator[None]:
        """Remove shards that nothing can go on from; those of a folder stay in any case."""
        try:
            yield
        except BaseException:
            if self.is_joined and not (resumable and whole_shards(self.shards)):
                self._remove_shards()
            raise

    def finish(self, shards: Sequence[Shard], *, errors: bool) -> None:
        """Make the file of the shards, and remove them. Raises: DataError."""
        if self.is_joined:
            join_shards([shard_path(self.shards, shard.number) for shard in shards], self.output, errors=errors)
            self._remove_shards()

    def _remove_shards(self) -> None:
        """Remove the folder beside a file; what the system does not let go of stays."""
        with suppress(DataError):
            self.clear(everything=True)
        shutil.rmtree(self.shards, ignore_errors=True)
