"""What a handle says in Hugging Face's, TF Hub's and Kaggle's own ways of writing: from its parts to its address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from wellread.catalog.modules import handles, preprocessors
from wellread.hub.refusal import refuse

TFHUB = "https://tfhub.dev/"
KAGGLE = "https://www.kaggle.com/models/"
# An id of Hugging Face, as its hub checks it: no -- or .., no - or . at an end of a part, at most 96 characters.
PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_]|[-.](?![-.]))*(?<![-.])"
LONGEST_ID = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a spelling points at, whether it is there or not."""

    kind: str  # as in hub.handles.KINDS, without default
    address: str
    revision: str | None = None
    note: str = ""


def page(handle: str, parts: Sequence[str]) -> Target:
    """Read a page of Hugging Face: /owner/name, /owner/name/tree/REVISION, or an old /name."""
    name, rest = (parts[:1], parts[1:]) if parts[1:2] == ["tree"] else (parts[:2], parts[2:])
    if parts[0] in ("datasets", "spaces") or rest[:1] not in ([], ["tree"]):
        refuse(handle, "a page of Hugging Face that is no model's", "give owner/name, or hf://owner/name@REVISION")
    return huggingface(handle, name, "/".join(rest[1:]) or None)


def huggingface(handle: str, parts: Sequence[str], revision: str | None = None) -> Target:
    """Read an id of Hugging Face; one of a single word is an old one that the catalog knows."""
    name = "/".join(parts)
    if not name:
        refuse(handle, "an address with nothing behind the host", "write owner/name")
    if len(parts) == 1 and name in handles():
        name = handles()[name][1].handle
    elif len(parts) == 1:
        refuse(
            handle,
            "a single word, which is neither a path that is there, nor a name of the catalog, nor an old id it knows",
            "write owner/name for a module on Hugging Face, or list the names with wellread catalog",
        )
    if len(name) > LONGEST_ID or not re.fullmatch(f"{PART}/{PART}", name) or name.endswith(".git"):
        refuse(
            handle,
            f"an id of Hugging Face{_fault(name)}",
            "write owner/name, of letters, digits, -, _ and single dots, at most 96 characters in all",
        )
    if revision is not None and not re.fullmatch(r"(?!.*\.\.)\w[\w./+-]*", revision, re.ASCII):
        refuse(handle, f"an id of Hugging Face with the revision {revision[:60]!r}", "name a branch, tag or commit")
    return Target(kind="huggingface", address=name, revision=revision)


def _fault(name: str) -> str:
    """Say what keeps a name from being an id."""
    strange = sorted(set(re.sub(r"[A-Za-z0-9_./-]", "", name)))
    if strange:
        return f" with the character {strange[0]!r}"
    if name.count("/") != 1:
        return f" of {name.count('/') + 1} parts"
    return f" of {len(name)} characters" if len(name) > LONGEST_ID else " with a dot, a dash or .git where none may be"


def tfhub(handle: str, parts: Sequence[str]) -> Target:
    """Read a module of TF Hub; without a version it is the newest living one that the catalog has."""
    address = TFHUB + "/".join(parts)
    if known := versions().get(address):
        return Target(kind="tfhub", address=f"{address}/{known[-1]}", note=f"version {known[-1]} is the newest")
    base, _, version = address.rpartition("/")
    if not is_version(version) or len(parts) < 3:
        refuse(handle, "a TF Hub handle without a version, of a module that the catalog does not know", "add /1")
    if base in versions() and int(version) not in versions()[base]:
        there = ", ".join(map(str, versions()[base]))
        advice = f"take {base}/{versions()[base][-1]}"
        refuse(handle, f"version {version} of a TF Hub handle that has {there}", advice, hint=False)
    if not all(re.fullmatch(PART, part) for part in parts):
        refuse(handle, "a TF Hub handle, misspelt", "write owner/name/version")
    return Target(kind="tfhub", address=address)


def is_version(text: str) -> bool:
    """Say whether a part of a handle is a version: a number, and none that is endless."""
    return re.fullmatch("[0-9]{1,9}", text) is not None


@cache
def versions() -> dict[str, list[int]]:
    """Return the versions of every TF Hub handle of the catalog, the newest last."""
    found: dict[str, list[int]] = {}
    for handle in sorted([*handles(), *preprocessors()]):
        base, _, version = handle.rpartition("/")
        if handle.startswith(TFHUB):
            found.setdefault(base, []).append(int(version))
    return found


def kaggle_page(handle: str, parts: Sequence[str]) -> Target:
    """Read /models/owner/model/Framework/variation/version, its long form, and the API's."""
    words = list(parts[2:] if parts[:2] == ["api", "v1"] else parts)
    words = words[:-1] if words[-1:] == ["download"] else words
    if words[:1] != ["models"]:
        refuse(handle, "a page of Kaggle that is no model's", f"give {KAGGLE}owner/model/framework/variation/version")
    if words[3:8:2] == ["frameworks", "variations", "versions"] or words[3:7:2] == ["frameworks", "variations"]:
        words = words[:3] + words[4::2]
    return kaggle(handle, words[1:])


def kaggle(handle: str, parts: Sequence[str]) -> Target:
    """Read the parts of a Kaggle handle; without a version it is the newest that the catalog has."""
    version = parts[-1] if len(parts) == 5 else ""
    if len(parts) == 4 and (newest := _newest().get("/".join(parts).lower())):
        return Target(kind="kaggle", address="/".join([*parts, newest]), note=f"version {newest} is the newest known")
    if not is_version(version) or not all(re.fullmatch(PART, part) for part in parts):
        refuse(
            handle,
            f"{len(parts)} of the 5 parts of a Kaggle handle" if len(parts) != 5 else "a Kaggle handle, misspelt",
            "write owner/model/framework/variation/version, the version being a number",
        )
    return Target(kind="kaggle", address="/".join(parts))


@cache
def _newest() -> dict[str, str]:
    """Return the newest version that the catalog has of every model on Kaggle, by its address in small letters."""
    known = sorted(
        handle.removeprefix(KAGGLE) for handle in [*handles(), *preprocessors()] if handle.startswith(KAGGLE)
    )
    return {address.lower().rpartition("/")[0]: address.rpartition("/")[2] for address in known}
