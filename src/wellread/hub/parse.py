"""The spelling of a handle, taken apart: which hub it belongs to and its address there, or why it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from wellread.catalog.modules import (
    TFHUB,
    archive_in_bucket,
    buckets,
    handles,
    mirrors,
    near_handles,
    preprocessors,
)
from wellread.errors import HandleError
from wellread.hub.location import SUFFIXES, Location

LONGEST = 4096  # characters of a handle: signed addresses are long
SHOWN = 120  # characters of one in a message


def refuse(handle: str, looks: str, advice: str, *, hint: bool = True) -> NoReturn:
    """Raise the HandleError of a handle: what it looks like, what to do, and the living handles near it."""
    near = near_handles(handle) if hint else []
    also = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise HandleError(f"the handle {without_secrets(handle)} was given; it looks like {looks}; {advice}{also}")


def refuse_hostile(handle: str) -> None:
    """Refuse what no handle of any hub is: empty, endless, or with characters that cannot be seen."""
    if not handle.strip():
        refuse(handle, "an empty text", "name a module", hint=False)
    if len(handle) > LONGEST:
        refuse(handle, f"{len(handle):,} characters, and a handle has at most {LONGEST:,}", "shorten it", hint=False)
    if not handle.isprintable():
        strange = next(character for character in handle if not character.isprintable())
        refuse(handle, f"text with the character U+{ord(strange):04X} in it", "write it without", hint=False)


def without_secrets(handle: str) -> str:
    """Return a handle for a message: without names, passwords and signatures, and not too long.

    >>> without_secrets("https://me:secret@example.org/a.zip?signature=1")
    "'https://...@example.org/a.zip?...'"
    """
    if re.match("(?i)https?://", handle):
        handle = re.sub(r"(?<=://).*@", "...@", handle.split("?")[0], flags=re.DOTALL) + (
            "?..." if "?" in handle else ""
        )
    return repr(handle if len(handle) <= SHOWN else handle[:SHOWN] + "...")


KAGGLE = "https://www.kaggle.com/models/"
# An id of Hugging Face, as its hub checks it: no -- or .., no - or . at an end of a part, at most 96 characters.
PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_]|[-.](?![-.]))*(?<![-.])"
LONGEST_ID = 96


def page(handle: str, parts: Sequence[str]) -> Location:
    """Read a page of Hugging Face: /owner/name, /owner/name/tree/REVISION, or an old /name."""
    name, rest = (parts[:1], parts[1:]) if parts[1:2] == ["tree"] else (parts[:2], parts[2:])
    if parts[0] in ("datasets", "spaces") or rest[:1] not in ([], ["tree"]):
        refuse(handle, "a page of Hugging Face that is no model's", "give owner/name, or hf://owner/name@REVISION")
    return huggingface(handle, name, "/".join(rest[1:]) or None)


def huggingface(handle: str, parts: Sequence[str], revision: str | None = None) -> Location:
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
    return Location(handle=handle, kind="huggingface", address=name, revision=revision)


def _fault(name: str) -> str:
    """Say what keeps a name from being an id."""
    strange = sorted(set(re.sub(r"[A-Za-z0-9_./-]", "", name)))
    if strange:
        return f" with the character {strange[0]!r}"
    if name.count("/") != 1:
        return f" of {name.count('/') + 1} parts"
    return f" of {len(name)} characters" if len(name) > LONGEST_ID else " with a dot, a dash or .git where none may be"


def tfhub(handle: str, parts: Sequence[str]) -> Location:
    """Read a module of TF Hub; without a version it is the newest living one that the catalog has."""
    address = TFHUB + "/".join(parts)
    if known := versions().get(address):
        return Location(
            handle=handle, kind="tfhub", address=f"{address}/{known[-1]}", note=f"version {known[-1]} is the newest"
        )
    base, _, version = address.rpartition("/")
    if not is_version(version) or len(parts) < 3:
        refuse(handle, "a TF Hub handle without a version, of a module that the catalog does not know", "add /1")
    if base in versions() and int(version) not in versions()[base]:
        there = ", ".join(map(str, versions()[base]))
        advice = f"take {base}/{versions()[base][-1]}"
        refuse(handle, f"version {version} of a TF Hub handle that has {there}", advice, hint=False)
    if not all(re.fullmatch(PART, part) for part in parts):
        refuse(handle, "a TF Hub handle, misspelt", "write owner/name/version")
    return Location(handle=handle, kind="tfhub", address=address)


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


def kaggle_page(handle: str, parts: Sequence[str]) -> Location:
    """Read /models/owner/model/Framework/variation/version, its long form, and the API's."""
    words = list(parts[2:] if parts[:2] == ["api", "v1"] else parts)
    words = words[:-1] if words[-1:] == ["download"] else words
    if words[:1] != ["models"]:
        refuse(handle, "a page of Kaggle that is no model's", f"give {KAGGLE}owner/model/framework/variation/version")
    if words[3:8:2] == ["frameworks", "variations", "versions"] or words[3:7:2] == ["frameworks", "variations"]:
        words = words[:3] + words[4::2]
    return kaggle(handle, words[1:])


def kaggle(handle: str, parts: Sequence[str]) -> Location:
    """Read the parts of a Kaggle handle; without a version it is the newest that the catalog has."""
    version = parts[-1] if len(parts) == 5 else ""
    if len(parts) == 4 and (newest := _newest().get("/".join(parts).lower())):
        return Location(
            handle=handle,
            kind="kaggle",
            address="/".join([*parts, newest]),
            note=f"version {newest} is the newest known",
        )
    if not is_version(version) or not all(re.fullmatch(PART, part) for part in parts):
        refuse(
            handle,
            f"{len(parts)} of the 5 parts of a Kaggle handle" if len(parts) != 5 else "a Kaggle handle, misspelt",
            "write owner/model/framework/variation/version, the version being a number",
        )
    return Location(handle=handle, kind="kaggle", address="/".join(parts))


@cache
def _newest() -> dict[str, str]:
    """Return the newest version that the catalog has of every model on Kaggle, by its address in small letters."""
    known = sorted(
        handle.removeprefix(KAGGLE) for handle in [*handles(), *preprocessors()] if handle.startswith(KAGGLE)
    )
    return {address.lower().rpartition("/")[0]: address.rpartition("/")[2] for address in known}


STORAGE = "storage.googleapis.com"
HOSTS = {"huggingface.co", "www.huggingface.co", "hf.co"}  # of Hugging Face's pages
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LONGEST_HOST = 60  # characters of one in a message
PATHS = ("./", "../", "/", "~", "file:")
FILES = (*SUFFIXES, ".safetensors", ".ckpt", ".index", ".pb", ".h5", ".onnx", ".json")


def read(handle: str) -> Location:
    """Take a handle apart by its spelling; names of the catalog are the caller's. Raises: HandleError."""
    if handle.lower().startswith(PATHS) or "\\" in handle:
        refuse(handle, "a path, and there is nothing at it", "check its spelling")
    scheme, colon, rest = handle.partition("://")
    if not colon:
        return _bare(handle)
    reader = READERS.get(scheme.lower())
    if reader is None:
        refuse(handle, f"an address of the scheme {scheme[:20]!r}", f"use one of {', '.join(READERS)}, or a path")
    return reader(handle, rest)


def _bare(handle: str) -> Location:
    """Read what has no scheme: an id of one word, two or more."""
    parts = handle.split("/")
    on_tfhub = TFHUB + handle
    if handle not in handles() and not versions().keys().isdisjoint({on_tfhub, on_tfhub.rpartition("/")[0]}):
        return tfhub(handle, parts)
    if handle.lower().endswith(FILES):
        refuse(handle, "a file, and there is none", "check its spelling")
    if len(parts) in (4, 5):
        return kaggle(handle, parts)
    if len(parts) > 2:
        refuse(handle, f"a path of {len(parts)} parts, and there is nothing at it", "check its spelling")
    return huggingface(handle, parts)


def _hf(handle: str, rest: str) -> Location:
    name, at, revision = rest.partition("@")
    return huggingface(handle, name.split("/"), revision if at else None)


def _gs(handle: str, rest: str) -> Location:
    name, _, path = rest.partition("/")
    if name not in buckets():
        refuse(
            handle,
            f"a bucket of Google Cloud, {name[:60]!r}, and wellread knows {', '.join(buckets())}",
            "give the https:// address of an archive in it",
        )
    path = path.rstrip("/")
    archive = path if path.endswith(SUFFIXES) else archive_in_bucket(name, path)
    if archive is None:
        refuse(handle, f"a folder of the bucket {name} that no archive is known for", "name an archive")
    return _web(f"https://{STORAGE}/{name}/{archive}", "")


def _web(handle: str, _: str) -> Location:
    """Read an http or https address, by its host."""
    try:
        url = urlsplit(handle)
        host, is_known = url.netloc.lower(), url.port != 0 and bool(url.hostname)
    except ValueError:
        is_known = False
    if not is_known:
        refuse(handle, "an address whose host or port cannot be read", "check its spelling")
    if "@" in host:
        refuse(handle, "an address with a name or password in it", "leave them out, and log in instead")
    parts = unquote(url.path).strip("/").split("/")
    if not set(parts).isdisjoint({".", ".."}):
        refuse(handle, "an address that climbs, with . or .. in its path", "write the path out")
    if host in HOSTS:
        return page(handle, parts)
    if host in mirrors():
        note = f"{host} is a mirror of Hugging Face; the files are taken from the hub that HF_ENDPOINT names"
        return replace(page(handle, parts), note=note)
    if host.removeprefix("www.") == "tfhub.dev":
        return tfhub(handle, parts)
    if host.removeprefix("www.") == "kaggle.com":
        return kaggle_page(handle, parts)
    return _elsewhere(handle, url)


def _elsewhere(handle: str, url: SplitResult) -> Location:
    """Read an archive, or a module under a version as tensorflow-hub takes it, of any host."""
    host = str(url.hostname)[:LONGEST_HOST]
    if url.scheme == "http" and host not in LOOPBACK:
        refuse(handle, f"an http:// address of {host}, which anyone on the way may change", "use https://")
    if not handle.isascii() or " " in handle:
        refuse(handle, "an address with characters that none may have", "percent-encode them")
    whole = url._replace(fragment="").geturl()
    if url.path.lower().endswith(SUFFIXES):
        return Location(handle=handle, kind="archive", address=whole)
    if is_version(url.path.rpartition("/")[2]):
        return Location(handle=handle, kind="tfhub", address=whole)
    advice = f"name an archive ({', '.join(SUFFIXES)}), or a module's address that ends in its version"
    return refuse(handle, f"an address of {host}, where wellread knows no modules", advice)


READERS: dict[str, Callable[[str, str], Location]] = {"https": _web, "http": _web, "hf": _hf, "gs": _gs}
