"""The page at `/`: its files, as they lie beside this one in `page/`, and what it asks that no other route answers."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from starlette.responses import Response

from wellread.backends.backend import FloatArray
from wellread.dataclass import dataclass
from wellread.serving.bodies import Texts
from wellread.serving.call import Call
from wellread.serving.routes import Routes, path_of
from wellread.serving.served import Served
from wellread.serving.vectors import vectors_of

routes, files = Routes("the page"), Routes("")

FOLDER = Path(__file__).with_suffix("")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Nothing but what this server sends is run, shown or asked, and no other page may hold this one in a frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the page."""

    content: bytes
    kind: str
    tag: str  # of its content, by which a browser knows that it has it


def _files() -> dict[str, File]:
    """Read the files of the page by the paths that ask for them."""
    found = {}
    for path in sorted(FOLDER.iterdir()):
        content = path.read_bytes()
        kind = f"{KINDS[path.suffix]}; charset=utf-8"
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        found["/" if path.name == "index.html" else f"/page/{path.name}"] = File(content=content, kind=kind, tag=tag)
    return found


FILES = _files()  # once: a request names one of them, and opens nothing


@files.get(*FILES)
async def _file(call: Call) -> Response:
    file = FILES[path_of(call.request.scope)]
    headers = {**HEADERS, "etag": file.tag}
    if call.request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.kind)


@routes.get("/page/modules")
async def modules(call: Call) -> Response:
    """Describe every module, and say how much a request may hold."""
    settings = call.server.settings
    rows = [_described(call.served(name)) for name in call.server.modules.names]
    return call.answer({"modules": rows, "max_texts": settings.max_texts, "max_text_chars": settings.max_text_chars})


def _described(served: Served) -> dict[str, Any]:
    module, tokenizer = served.module, served.module.tokenizer
    head, mask = module.checkpoint.head, tokenizer.special.mask
    return {
        "name": served.name,
        "handle": str(module.provenance.get("handle", served.name)),
        "task": head.task if head else None,
        "labels": list(head.labels) if head else [],
        "takes_pairs": served.takes_pairs,
        "mask": tokenizer.pieces([mask])[0] if module.checkpoint.has_mlm and mask is not None else None,
        "embedding_size": module.embedding_size,
        "max_seq_length": module.max_seq_length,
        "prompts": sorted(module.prompts),
        "parameters": module.checkpoint.summary().get("parameters"),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class MapBody:
    """A request of /page/map."""

    inputs: Texts
    model: str | None = None
    prompt_name: str | None = None


@routes.post("/page/map", body=MapBody)
async def map_of(call: Call) -> Response:
    """Lay texts out on a plane: the two principal components of their vectors, and their shares of the variance."""
    body = await call.parse(MapBody)
    texts = call.texts(body.inputs, name="inputs")
    served = call.served(body.model)
    vectors = await vectors_of(call, served, texts, prompt=served.prompt(body.prompt_name), normalize=True)
    loop = asyncio.get_running_loop()
    points, shares = await loop.run_in_executor(call.server.reader, partial(plane_of, vectors))
    return call.answer({"points": points, "variance": shares})


def plane_of(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Project vectors [N, E] on their two principal components: points [N, 2], and shares of the variance [2].

    Signs are such that the largest number of each component is positive. What does not vary lies at 0.

    >>> points, shares = plane_of(np.array([[1.0, 5.0, 0.0], [3.0, 5.0, 0.0], [8.0, 5.0, 0.0]], np.float32))
    >>> points.round(3).tolist(), shares.round(3).tolist()
    ([[-3.0, 0.0], [-1.0, 0.0], [4.0, 0.0]], [1.0, 0.0])
    """
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    points, shares = np.zeros((len(vectors), 2)), np.zeros(2)
    total = (centred**2).sum()
    if total > 1e-12 * len(vectors):
        _, axes = np.linalg.eigh(centred.T @ centred)  # their variances ascend
        axes = axes[:, ::-1][:, :2]
        axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1, 1)
        points[:, : axes.shape[1]] = centred @ axes
        shares = (points**2).sum(0) / total
    return points.astype(np.float32), shares.astype(np.float32)
