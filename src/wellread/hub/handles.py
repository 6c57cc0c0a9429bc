"""A handle to where its files are: one pure function, for every world that handles come from."""

from __future__ import annotations

from dataclasses import dataclass

from wellread.errors import HandleError

KINDS = ("default", "huggingface", "tfhub", "kaggle", "archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the files of a handle are to be had."""

    handle: str  # as it was given
    kind: str  # of KINDS
    address: str  # huggingface: owner/name; kaggle: owner/model/framework/variation/version; else an https address
    revision: str | None = None  # huggingface: a branch, tag or commit that the handle itself names


def locate(handle: str) -> Location:
    """Say where the files of a handle are, from its spelling alone: no disk and no network is asked.

    Raises: HandleError for a handle that is of no world, or dead; it names the nearest living ones.

    >>> locate("google/bert_uncased_L-2_H-128_A-2").kind
    'huggingface'
    """
    if handle == "default":
        return Location(handle=handle, kind="default", address=handle)
    if handle.startswith("https://tfhub.dev/"):
        return Location(handle=handle, kind="tfhub", address=handle)
    if handle.count("/") == 1 and "://" not in handle:
        return Location(handle=handle, kind="huggingface", address=handle)
    raise HandleError(f"the handle {handle!r} was given; found nothing that it names; check its spelling")
