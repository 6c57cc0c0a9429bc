"""The spelling of a handle, taken apart: which world it is of, and its address there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import SplitResult, unquote, urlsplit

from wellread.catalog.addresses import buckets, mirrors
from wellread.catalog.modules import handles
from wellread.hub.archives import SUFFIXES
from wellread.hub.refusal import refuse
from wellread.hub.worlds import TFHUB, Target, huggingface, is_version, kaggle, kaggle_page, page, tfhub, versions

STORAGE = "storage.googleapis.com"
HOSTS = {"huggingface.co", "www.huggingface.co", "hf.co"}  # of Hugging Face's pages
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LONGEST_HOST = 60  # characters of one in a message
PATHS = ("./", "../", "/", "~", "file:")
FILES = (*SUFFIXES, ".safetensors", ".ckpt", ".index", ".pb", ".h5", ".onnx", ".json")


def read(handle: str) -> Target:
    """Take a handle apart; names of the catalog are none of its business. Raises: HandleError."""
    if handle.lower().startswith(PATHS) or "\\" in handle:
        refuse(handle, "a path, and there is nothing at it", "check its spelling")
    scheme, colon, rest = handle.partition("://")
    if not colon:
        return _bare(handle)
    reader = READERS.get(scheme.lower())
    if reader is None:
        refuse(handle, f"an address of the scheme {scheme[:20]!r}", f"use one of {', '.join(READERS)}, or a path")
    return reader(handle, rest)


def _bare(handle: str) -> Target:
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


def _hf(handle: str, rest: str) -> Target:
    name, at, revision = rest.partition("@")
    return huggingface(handle, name.split("/"), revision if at else None)


def _gs(handle: str, rest: str) -> Target:
    name, _, path = rest.partition("/")
    known = buckets()
    if name not in known:
        refuse(
            handle,
            f"a bucket of Google Cloud, {name[:60]!r}, and wellread knows {', '.join(sorted(known))}",
            "give the https:// address of an archive in it",
        )
    path = path.rstrip("/")
    archive = path if path.endswith(SUFFIXES) else known[name].archive_of(path)
    if archive is None:
        refuse(handle, f"a folder of the bucket {name} that no archive is known for", "name an archive")
    return _web(f"https://{STORAGE}/{name}/{archive}", "")


def _web(handle: str, _: str) -> Target:
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


def _elsewhere(handle: str, url: SplitResult) -> Target:
    """Read an archive, or a module under a version as tensorflow-hub takes it, of any host."""
    host = str(url.hostname)[:LONGEST_HOST]
    if url.scheme == "http" and host not in LOOPBACK:
        refuse(handle, f"an http:// address of {host}, which anyone on the way may change", "use https://")
    if not handle.isascii() or " " in handle:
        refuse(handle, "an address with characters that none may have", "percent-encode them")
    whole = url._replace(fragment="").geturl()
    if url.path.lower().endswith(SUFFIXES):
        return Target(kind="archive", address=whole)
    if is_version(url.path.rpartition("/")[2]):
        return Target(kind="tfhub", address=whole)
    advice = f"name an archive ({', '.join(SUFFIXES)}), or a module's address that ends in its version"
    return refuse(handle, f"an address of {host}, where wellread knows no modules", advice)


READERS: dict[str, Callable[[str, str], Target]] = {"https": _web, "http": _web, "hf": _hf, "gs": _gs}
