"""Where a module is: at a hub, and on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from wellread.dataclass import dataclass

if TYPE_CHECKING:  # modules that ship with wellread are found without the catalog
    from wellread.catalog.modules import ModuleEntry, Preprocessor, Publication
    from wellread.files import Stamp

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")  # of archives
KINDS = ("default", "path", "huggingface", "tfhub", "kaggle", "archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the files of a handle are to be had, and what the catalog knows of them."""

    handle: str  # as it was given
    kind: str  # of KINDS
    address: str  # huggingface: owner/name; kaggle: owner/model/framework/variation/version; else a path or address
    revision: str | None = None  # huggingface: a branch, tag or commit
    entry: ModuleEntry | None = None  # None: the catalog does not know the module
    publication: Publication | None = None  # the one of `entry` that is at this address
    preprocessor: Preprocessor | None = None  # where the handle is that of a preprocessor
    alternatives: tuple[str, ...] = ()  # living handles of the same weights at other hubs
    note: str = ""  # what a user should know of the way here


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A module on this machine: where its handle leads, and the files that are there."""

    location: Location
    directory: Path
    files: Mapping[str, Stamp] = field(default_factory=dict)  # path in the directory -> as checked; empty: no record
    commit: str | None = None  # of the Hugging Face hub
    archive: str | None = None  # SHA-256 of the archive that was unpacked
    note: str | None = None  # how one comes from a path to the directory, where they are not the same
