"""Large files of the Hugging Face hub, over plain HTTP into huggingface_hub's cache, hashed as they come.

huggingface_hub takes twice as long over them, and begins anew where it was broken off. What the hub keeps in its Xet
storage is left to huggingface_hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellread.files import Stamp
from wellread.hub.blobs import Promised, is_checksum, said_plainly
from wellread.hub.download import download
from wellread.hub.records import Request

LARGE = 8_000_000  # bytes


def fetch_large(request: Request, commit: str, promised: Mapping[str, Promised]) -> dict[str, Stamp]:
    """Fetch the large files that are not in the cache, or all of them by force; return what was hashed.

    A file lies where huggingface_hub looks for it, in the blob that is named by its ETag. Raises: HandleError,
    DownloadError.
    """
    large = [name for name, each in promised.items() if (each.size or 0) >= LARGE]
    if not large or not _has_links(request):
        return {}
    found = ((name, _fetch(request, commit, name)) for name in large)
    return {name: stamp for name, stamp in found if stamp is not None}


def _has_links(request: Request) -> bool:
    """Whether the cache's disk has links; else huggingface_hub would copy what is fetched here."""
    from huggingface_hub.file_download import are_symlinks_supported

    with said_plainly(request):
        return bool(are_symlinks_supported(request.cache))


def _fetch(request: Request, commit: str, name: str) -> Stamp | None:
    """Fetch a file into its blob; None where it is there, or is for huggingface_hub to fetch."""
    import huggingface_hub

    address = request.location.address
    with said_plainly(request):
        url = huggingface_hub.hf_hub_url(address, name, revision=commit)
        facts = huggingface_hub.get_hf_file_metadata(url, token=request.token, retry_on_errors=True)
    if not is_checksum(facts.etag or "") or facts.xet_file_data is not None:
        return None
    blob = Path(request.cache) / f"models--{address.replace('/', '--')}" / "blobs" / str(facts.etag)
    if blob.is_file() and not request.force:
        return None
    came = download(url, blob, headers=_login(request), show=request.show, label=name)
    return Stamp(size=came.size, mtime_ns=blob.stat().st_mtime_ns, sha256=came.sha256)


def _login(request: Request) -> dict[str, Any]:
    from huggingface_hub.utils import build_hf_headers

    headers = build_hf_headers(token=request.token)
    return {name: value for name, value in headers.items() if name == "authorization"}
