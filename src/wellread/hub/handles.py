"""A handle to where its files are: one pure function, for every hub that handles come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from wellread.catalog.modules import ModuleEntry, Preprocessor, Publication, dead, handles, names, preprocessors
from wellread.catalog.packaged import packaged_directory
from wellread.hub.location import Location
from wellread.hub.parse import read, refuse, refuse_hostile


def locate(handle: str) -> Location:
    """Say where the files of a handle are, from its spelling and the catalog alone: no disk and no network is asked.

    Understood are `default` and what else ships with wellread; names of the catalog; Hugging Face ids, hf:// and its
    pages; TF Hub's and Kaggle's addresses, with and without their host; https:// archives, and gs:// of public buckets.
    A handle without a version gets the newest that the catalog knows. Existing paths are the caller's to recognise,
    before.

    Raises: HandleError for a handle of no hub, dead or hostile; it names the nearest living ones.

    >>> locate("google/bert_uncased_L-2_H-128_A-2").entry.parameters
    4385920
    >>> locate("https://huggingface.co/distilbert-base-cased").address
    'distilbert/distilbert-base-cased'
    """
    refuse_hostile(handle)
    if packaged_directory(handle) is not None:
        return Location(handle=handle, kind="default", address=handle)
    if handle in names():
        first = next(names()[handle].living())
        return _completed(handle, read(first.handle))
    if lost := dead(handle):
        reason, living = lost
        refuse(handle, f"a handle that is dead: {reason}", f"take {living}", hint=False)
    return _completed(handle, read(handle))


def _completed(handle: str, location: Location) -> Location:
    """Add what the catalog knows of an address. Raises: HandleError where nothing serves it any more."""
    entry, publication = _modules().get(_key(location), (None, None))
    if entry and publication and not publication.alive:
        looks = f"a {publication.interface} for TensorFlow 1, which nothing serves or runs any more"
        refuse(handle, looks, f"take {' or '.join(entry.alternatives())}", hint=False)
    return replace(
        location,
        handle=handle,
        entry=entry,
        publication=publication,
        preprocessor=_preprocessors().get(_key(location)),
        alternatives=entry.alternatives(location.kind) if entry else (),
    )


def _key(location: Location) -> tuple[str, str]:
    """Return what two spellings of one address have in common: Kaggle does not mind the case of a framework."""
    return location.kind, location.address.lower() if location.kind == "kaggle" else location.address


@cache
def _modules() -> Mapping[tuple[str, str], tuple[ModuleEntry, Publication]]:
    return {_key(read(handle)): entry for handle, entry in handles().items()}


@cache
def _preprocessors() -> Mapping[tuple[str, str], Preprocessor]:
    return {_key(read(handle)): preprocessor for handle, preprocessor in preprocessors().items()}
