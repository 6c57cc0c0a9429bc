"""What the catalog knows of addresses beside its modules: public buckets, mirrors of Hugging Face, dead handles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from wellread.catalog.tables import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A public bucket of Google Cloud, which https://storage.googleapis.com/<name>/ serves too."""

    name: str
    folder: str  # a regular expression for what stands for an archive though it does not end like one
    archive: str  # the archive of such a folder

    def archive_of(self, path: str) -> str | None:
        """Return the archive that holds a folder; None for what is no such folder."""
        found = re.fullmatch(self.folder, path)
        return self.archive.format(**found.groupdict()) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A handle that leads nowhere any more."""

    reason: str
    living: str  # a handle of the same weights, or of their kin


@cache
def buckets() -> dict[str, Bucket]:
    """Return every known bucket by its name."""
    return {row["name"]: Bucket(**row) for row in table("worlds")["bucket"]}


def mirrors() -> tuple[str, ...]:
    """Name the hosts that show Hugging Face's pages."""
    return tuple(table("worlds")["mirrors"]["hosts"])


def dead(handle: str) -> Dead | None:
    """Say why a handle is dead, and what lives instead; None where nothing is known against it.

    >>> dead("https://kobert.blob.core.windows.net/models/kobert/x.zip").living
    'skt/kobert-base-v1'
    """
    for row in table("worlds")["dead"]:
        if found := re.fullmatch(row["pattern"], handle):
            return Dead(reason=row["reason"], living=row["living"].format(**found.groupdict()))
    return None
