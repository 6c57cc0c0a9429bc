"""A handle to where its files are: one pure function, for every hub that handles come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wellread.catalog.modules import ModuleEntry, Preprocessor, Publication, dead, handles, names, preprocessors
from wellread.errors import HandleError
from wellread.hub.parse import Target, read, refuse, refuse_hostile

KINDS = ("default", "huggingface", "tfhub", "kaggle", "archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the files of a handle are to be had, and what the catalog knows of them."""

    handle: str  # as it was given
    kind: str  # of KINDS
    address: str  # huggingface: owner/name; kaggle: owner/model/framework/variation/version; else an https address
    revision: str | None = None  # huggingface: a branch, tag or commit that the handle itself names
    entry: ModuleEntry | None = None  # None: the catalog does not know the module
    publication: Publication | None = None  # the one of `entry` that is at this address
    preprocessor: Preprocessor | None = None  # where the handle is that of a preprocessor
    alternatives: tuple[str, ...] = ()  # living handles of the same weights in other hubs
    note: str = ""  # what a user should know of the way here


def locate(handle: str) -> Location:
    """Say where the files of a handle are, from its spelling and the catalog alone: no disk and no network is asked.

    Understood are `default`; names of the catalog; Hugging Face ids, hf:// and its pages; TF Hub's and Kaggle's
    addresses, with and without their host; https:// archives, and gs:// of public buckets. A handle without a version
    gets the newest that the catalog knows. Existing paths are the caller's to recognise, before.

    Raises: HandleError for a handle of no hub, dead or hostile; it names the nearest living ones.

    >>> locate("google/bert_uncased_L-2_H-128_A-2").entry.parameters
    4385920
    >>> locate("https://huggingface.co/distilbert-base-cased").address
    'distilbert/distilbert-base-cased'
    """
    refuse_hostile(handle)
    if handle == "default":
        return Location(handle=handle, kind="default", address=handle)
    if handle in names():
        first = next(names()[handle].living())
        return _location(handle, read(first.handle))
    if lost := dead(handle):
        reason, living = lost
        refuse(handle, f"a handle that is dead: {reason}", f"take {living}", hint=False)
    return _location(handle, read(handle))


def _location(handle: str, target: Target) -> Location:
    entry, publication = _modules().get(_key(target), (None, None))
    is_dead = publication is not None and not publication.alive
    others = entry.alternatives(None if is_dead else target.kind) if entry else ()
    if publication and is_dead:
        looks = f"a {publication.interface} for TensorFlow 1, which nothing serves or runs any more"
        refuse(handle, looks, f"take {' or '.join(others)}", hint=False)
    preprocessor = _preprocessors().get(_key(target))
    return Location(
        handle=handle,
        kind=target.kind,
        address=target.address,
        revision=target.revision,
        entry=entry,
        publication=publication,
        preprocessor=preprocessor,
        alternatives=others,
        note=target.note,
    )


def _key(target: Target) -> tuple[str, str]:
    """Return what two spellings of one place have in common: Kaggle does not mind the case of a framework."""
    return target.kind, target.address.lower() if target.kind == "kaggle" else target.address


@cache
def _modules() -> Mapping[tuple[str, str], tuple[ModuleEntry, Publication]]:
    return {_key(read(handle)): known for handle, known in handles().items()}


@cache
def _preprocessors() -> Mapping[tuple[str, str], Preprocessor]:
    return {_key(read(handle)): known for handle, known in preprocessors().items()}


def preprocessor_for(handle: str | os.PathLike[str], directory: Path) -> str | None:
    """Return the handle of the preprocessor that the page of `handle` names, where `directory` holds no vocabulary.

    None where it does, or is no SavedModel, or the catalog does not know the page.
    """
    if not (directory / "saved_model.pb").is_file() or any((directory / "assets").glob("*")):
        return None
    try:
        publication = locate(os.fspath(handle)).publication
    except HandleError:  # a path
        return None
    return publication.preprocessor if publication else None
